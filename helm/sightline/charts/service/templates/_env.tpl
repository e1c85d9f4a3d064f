{{/*
The environment variables that the chart sets. The order matters, because $(NAME) can refer only to variables that are
set above it.
*/}}
{{- define "service.chartEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: OTEL_SERVICE_NAME
  value: {{ .Values.telemetry.serviceName | default (include "sightline.name" .) | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ include "service.resourceAttributes" . | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: grpc
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ include "service.endpoint" . | quote }}
{{- if include "service.tlsSecret" . }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: {{ include "sightline.tlsDirectory" . }}/ca.crt
- name: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE
  value: {{ include "sightline.tlsDirectory" . }}/tls.crt
- name: OTEL_EXPORTER_OTLP_CLIENT_KEY
  value: {{ include "sightline.tlsDirectory" . }}/tls.key
{{- end }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .Values.telemetry.sampler | quote }}
{{- if hasSuffix "traceidratio" .Values.telemetry.sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .Values.telemetry.ratio | quote }}
{{- end }}
{{- if .Values.admin.enabled }}
- name: OTEL_EXPORTER_PROMETHEUS_HOST
  value: {{ .Values.global.bindAddress | quote }}
- name: OTEL_EXPORTER_PROMETHEUS_PORT
  value: {{ .Values.admin.port | quote }}
{{- end }}
{{- if not .Values.rbac.create }}
# The pod has no token for the API server, so the service must not query the API server.
- name: SIGHTLINE_KUBERNETES_API
  value: "false"
{{- end }}
{{- if ne .Values.protocol "worker" }}
- name: {{ ternary "SIGHTLINE_GRPC_ADDRESS" "SIGHTLINE_HTTP_ADDRESS" (eq .Values.protocol "grpc") }}
  value: {{ include "sightline.listenAddress" (dict "bind" .Values.global.bindAddress "port" .Values.service.port) | quote }}
{{- end }}
{{- with .Values.database.url }}
- name: DATABASE_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.database.existingSecret }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.database.existingSecretKey }}
{{- end }}
{{- end -}}

{{/*
The value of OTEL_RESOURCE_ATTRIBUTES. The attribute values in it are percent-encoded, as the OpenTelemetry
specification says.
*/}}
{{- define "service.resourceAttributes" -}}
{{- $attributes := list
  "k8s.pod.name=$(POD_NAME)"
  "k8s.pod.uid=$(POD_UID)"
  "k8s.pod.ip=$(POD_IP)"
  "k8s.node.name=$(NODE_NAME)"
  "k8s.namespace.name=$(NAMESPACE)"
  (printf "k8s.container.name=%s" (include "sightline.name" .)) -}}
{{- $chartAttributes := dict "deployment.environment.name" .Values.global.environment "k8s.cluster.name" .Values.global.clusterName -}}
{{- range $key, $value := merge (dict) .Values.telemetry.resourceAttributes $chartAttributes -}}
{{- with $value -}}
{{- $attributes = append $attributes (printf "%s=%s" $key (urlquery . | replace "+" "%20")) -}}
{{- end -}}
{{- end -}}
{{- join "," $attributes -}}
{{- end -}}

{{/* The URL of the agent. */}}
{{- define "service.endpoint" -}}
{{- ternary "http" "https" (eq .Values.global.tls.mode "disabled") -}}
://{{ include "sightline.agentName" . }}.{{ include "sightline.agentNamespace" . }}.svc:4317
{{- end -}}

{{/* All environment variables of the container. */}}
{{- define "service.env" -}}
{{- include "sightline.env" (dict
  "context" . "chartEnv" (include "service.chartEnv" .) "env" .Values.env "valuesPath" (include "service.valuesPath" .)
  "advice" "Remove it, and use the matching value instead: service.port, admin.port, or one under database, telemetry or global.") -}}
{{- end -}}
