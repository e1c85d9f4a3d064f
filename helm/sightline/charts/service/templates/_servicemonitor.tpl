{{/* The ServiceMonitor. */}}
{{- define "service.servicemonitor" -}}
{{- if .Values.admin.enabled -}}
{{- include "sightline.serviceMonitor" (dict
  "context" . "name" (include "sightline.fullname" .) "labels" (include "service.labels" .)
  "selector" (include "service.selectorLabels" .) "ports" (list "admin")) }}
{{- end -}}
{{- end -}}
