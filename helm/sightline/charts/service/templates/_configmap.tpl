{{/* The ConfigMap with configFiles. */}}
{{- define "service.configmap" -}}
{{- with .Values.configFiles -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "sightline.fullname" $ }}
  namespace: {{ include "sightline.namespace" $ }}
  labels:
    {{- include "service.labels" $ | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" $) }}
  {{- . | nindent 2 }}
  {{- end }}
data:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
