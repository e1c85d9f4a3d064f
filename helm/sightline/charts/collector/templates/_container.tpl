{{/*
The container of the agent or the gateway. Takes context and component, and args, env, ports and mounts as YAML.
*/}}
{{- define "collector.container" -}}
{{- $values := get .context.Values .component -}}
{{- $valuesPath := printf "collector.%s" .component -}}
- name: otelcol
  image: {{ include "sightline.image" (dict "context" .context "image" .context.Values.image) }}
  imagePullPolicy: {{ include "sightline.imagePullPolicy" (dict "context" .context "image" .context.Values.image) }}
  args:
    {{- include "collector.args" . | trim | nindent 4 }}
    {{- with .args }}
    {{- . | nindent 4 }}
    {{- end }}
  env:
    {{- include "sightline.env" (dict
      "context" .context "chartEnv" (include "collector.env" .) "env" $values.env "valuesPath" $valuesPath
      "advice" "Remove it, and use the value under collector or global instead.") | nindent 4 }}
  ports:
    {{- .ports | nindent 4 }}
    - name: health
      containerPort: 13133
    - name: metrics
      containerPort: 8888
  startupProbe:
    httpGet:
      path: /
      port: health
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  readinessProbe:
    httpGet:
      path: /
      port: health
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  livenessProbe:
    httpGet:
      path: /
      port: health
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  {{- if gt (int $values.preStopSeconds) 0 }}
  lifecycle:
    preStop:
      # Wait until no client sends telemetry to this pod any more.
      sleep:
        seconds: {{ $values.preStopSeconds }}
  {{- end }}
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  securityContext:
    {{- include "sightline.containerSecurityContext" . | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/otelcol
      readOnly: true
    {{- if include "collector.tlsSecret" . }}
    - name: tls
      mountPath: {{ include "sightline.tlsDirectory" . }}
      readOnly: true
    {{- end }}
    {{- with .mounts }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "sightline.extraList" (dict
      "context" .context "list" $values.volumeMounts "reserved" list "valuesPath" (printf "%s.volumeMounts" $valuesPath)) }}
    {{- . | nindent 4 }}
    {{- end }}
{{- with include "sightline.extraList" (dict
  "context" .context "list" $values.extraContainers "reserved" (list "otelcol") "valuesPath" (printf "%s.extraContainers" $valuesPath)) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* The init containers from the values, or nothing. Takes context, component. */}}
{{- define "collector.initContainers" -}}
{{- $values := get .context.Values .component -}}
{{- with include "sightline.extraList" (dict
  "context" .context "list" $values.initContainers "reserved" (list "otelcol") "valuesPath" (printf "collector.%s.initContainers" .component)) -}}
initContainers:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The environment variables that the chart sets. Takes the same arguments as collector.container. */}}
{{- define "collector.env" -}}
{{- $values := get .context.Values .component -}}
{{ include "sightline.goMemory" (dict "resources" $values.resources "valuesPath" (printf "collector.%s" .component)) }}
- name: SIGHTLINE_BIND
  value: {{ ternary (printf "[%s]" .context.Values.global.bindAddress) .context.Values.global.bindAddress (contains ":" .context.Values.global.bindAddress) | quote }}
{{- if include "collector.tlsSecret" . }}
- name: SIGHTLINE_TLS_DIR
  value: {{ include "sightline.tlsDirectory" . }}
{{- end }}
- name: SIGHTLINE_DRAIN_TIMEOUT
  value: {{ include "collector.drainSeconds" $values }}s
{{ .env }}
{{- end -}}

{{/* The volumes of a pod. Takes context, component, and the component's own volumes as YAML (optional). */}}
{{- define "collector.volumes" -}}
- name: config
  configMap:
    name: {{ include "collector.fullname" . }}
{{- with include "collector.tlsSecret" . }}
{{ include "sightline.tlsVolume" . }}
{{- end }}
{{- with .volumes }}
{{ . }}
{{- end }}
{{- with include "sightline.extraList" (dict
  "context" .context "list" (get .context.Values .component).volumes
  "reserved" (list "config" "tls" "queue" "traces-ca") "valuesPath" (printf "collector.%s.volumes" .component)) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* The labels and annotations of a pod. Takes context, component. */}}
{{- define "collector.podTemplateMetadata" -}}
{{- $values := get .context.Values .component -}}
labels:
  {{- include "collector.podLabels" . | nindent 2 }}
annotations:
  # The checksum restarts the pods after a change to the configuration files, because the Collector reads these files
  # only when it starts. The checksum does not cover certificates, because the Collector reloads certificates.
  checksum/config: {{ include "collector.configData" . | sha256sum }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "collector.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
