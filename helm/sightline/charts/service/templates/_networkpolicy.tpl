{{/* The NetworkPolicy. */}}
{{- define "service.networkpolicy" -}}
{{- if .Values.global.networkPolicy.enabled -}}
{{- $policy := .Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sightline.fullname" . }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- include "service.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if eq .Values.protocol "worker" }}
    {{- /* A worker has no server. */}}
    {{- else if $policy.anyCaller }}
    # anyCaller allows connections from anywhere.
    - ports:
        - port: {{ .Values.service.port }}
          protocol: TCP
    {{- else if or (get . "Callers") $policy.from }}
    - from:
        {{- range get . "Callers" | default list }}
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: {{ . }}
              app.kubernetes.io/instance: {{ $.Release.Name }}
        {{- end }}
        {{- with $policy.from }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - port: {{ .Values.service.port }}
          protocol: TCP
    {{- end }}
    {{- if .Values.admin.enabled }}
    {{- with include "sightline.ingressPrometheus" (dict "context" . "ports" (list .Values.admin.port)) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
  egress:
    {{- include "sightline.egressDNS" . | nindent 4 }}
    # Telemetry to the agent.
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/component: agent
              app.kubernetes.io/part-of: sightline
              {{- if not .Values.global.agent.name }}
              app.kubernetes.io/instance: {{ .Release.Name }}
              {{- end }}
          {{- if ne (include "sightline.agentNamespace" .) (include "sightline.namespace" .) }}
          namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ include "sightline.agentNamespace" . }}
          {{- end }}
      ports:
        - port: 4317
          protocol: TCP
        - port: 4318
          protocol: TCP
    {{- range get . "Callees" | default dict }}
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: {{ .label }}
              app.kubernetes.io/instance: {{ $.Release.Name }}
      ports:
        - port: {{ .port }}
          protocol: TCP
    {{- end }}
    {{- if .Values.rbac.create }}
    # The resource detector queries the API server.
    {{- include "sightline.egressAPIServer" . | nindent 4 }}
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}
