{{/* The Certificate for cert-manager. */}}
{{- define "service.certificate" -}}
{{- include "sightline.certificate" (dict
  "context" . "fullname" (include "sightline.fullname" .) "labels" (include "service.labels" .)) }}
{{- end -}}
