{{/* The ServiceAccount. */}}
{{- define "service.serviceaccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "service.serviceAccountName" . }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" . "annotations" .Values.serviceAccount.annotations) }}
  {{- . | nindent 2 }}
  {{- end }}
# The Deployment sets whether its pods get a token.
automountServiceAccountToken: false
{{- end }}
{{- end -}}
