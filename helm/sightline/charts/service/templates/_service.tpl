{{/*
The Service. If it can be reached from outside the cluster, the admin port has a separate Service, so that the admin port
is never published. The Service of a worker has only the admin port.
*/}}
{{- define "service.service" -}}
{{- $isServer := ne .Values.protocol "worker" -}}
{{- $isSeparate := and $isServer .Values.admin.enabled (ne .Values.service.type "ClusterIP") -}}
{{- if or $isServer .Values.admin.enabled -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sightline.fullname" . }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" . "annotations" .Values.service.annotations) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  type: {{ ternary .Values.service.type "ClusterIP" $isServer }}
  selector:
    {{- include "service.selectorLabels" . | nindent 4 }}
  ports:
    {{- if $isServer }}
    - name: {{ .Values.protocol }}
      port: {{ .Values.service.port }}
      targetPort: {{ .Values.protocol }}
      appProtocol: {{ .Values.protocol }}
    {{- end }}
    {{- if and .Values.admin.enabled (not $isSeparate) }}
    # The admin port is for Prometheus. The NetworkPolicy allows no other client.
    {{- include "service.adminPort" . | nindent 4 }}
    {{- end }}
{{- end }}
{{- if $isSeparate }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sightline.fullname" . }}-admin
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" . "annotations" .Values.admin.annotations) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "service.selectorLabels" . | nindent 4 }}
  ports:
    {{- include "service.adminPort" . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "service.adminPort" -}}
- name: admin
  port: {{ .Values.admin.port }}
  targetPort: admin
  appProtocol: http
{{- end -}}
