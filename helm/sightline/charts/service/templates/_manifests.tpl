{{/*
All manifests of one service. The chart `service` and the umbrella chart both use this template. In the umbrella chart,
the context is not Helm's own: umbrella.services creates it, and adds Callers and Callees.
*/}}
{{- define "service.manifests" -}}
{{- include "service.validate" . -}}
{{- $context := . -}}
{{- range list "serviceaccount" "rbac" "certificate" "configmap" "service" "deployment" "hpa" "pdb" "networkpolicy" "servicemonitor" -}}
{{- with include (printf "service.%s" .) $context | trim }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end -}}
