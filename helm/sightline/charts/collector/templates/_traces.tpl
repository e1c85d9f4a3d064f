{{/*
The connection from the gateways to the backend for traces. The backend is Jaeger of this release, or any receiver of
OTLP over gRPC.
*/}}

{{/* host:port of the backend. */}}
{{- define "collector.tracesEndpoint" -}}
{{- $service := .Values.gateway.traces.service | default (printf "%s-jaeger" .Release.Name) -}}
{{- .Values.gateway.traces.endpoint | default (printf "%s:4317" $service) -}}
{{- end -}}

{{/* The name in the backend's certificate. */}}
{{- define "collector.tracesServerName" -}}
{{- .Values.gateway.traces.tls.serverName | default (regexReplaceAll ":[0-9]+$" (include "collector.tracesEndpoint" .) "") -}}
{{- end -}}

{{/* How gateways connect to the backend: mutual, server or disabled. */}}
{{- define "collector.tracesMode" -}}
{{- .Values.gateway.traces.tls.mode | default (ternary "disabled" "mutual" (eq .Values.global.tls.mode "disabled")) -}}
{{- end -}}

{{/*
Whether gateways also send metrics and log records to the backend: `true` or empty. Jaeger of this release receives them
if its pod contains the stores.
*/}}
{{- define "collector.sendsAllSignals" -}}
{{- if ternary .Values.gateway.traces.metricsAndLogs .Values.global.stores.enabled (ne .Values.gateway.traces.endpoint "") }}true{{ end -}}
{{- end -}}

{{/* The name of the environment variable for a header whose value is in a secret. Takes the name of the header. */}}
{{- define "collector.headerVariable" -}}
SIGHTLINE_TRACES_HEADER_{{ . | upper | replace "-" "_" }}
{{- end -}}

{{- define "collector.tracesCAFile" -}}/etc/sightline/traces/ca.crt{{- end -}}

{{/* The environment variables for the connection. Takes the context. */}}
{{- define "collector.tracesEnv" -}}
{{- $traces := .Values.gateway.traces -}}
- name: SIGHTLINE_TRACES_ENDPOINT
  value: {{ include "collector.tracesEndpoint" . | quote }}
{{- if ne (include "collector.tracesMode" .) "disabled" }}
- name: SIGHTLINE_TRACES_SERVER_NAME
  value: {{ include "collector.tracesServerName" . | quote }}
{{- end }}
{{- if $traces.tls.caSecret }}
- name: SIGHTLINE_TRACES_CA_FILE
  value: {{ include "collector.tracesCAFile" . }}
{{- end }}
{{- range $name, $value := $traces.headers }}
{{- if kindIs "map" $value }}
- name: {{ include "collector.headerVariable" $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $value.secret }}
      key: {{ $value.key }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The settings of the exporter that no file of collector-config/ contains, as YAML, or nothing. Takes the context.
*/}}
{{- define "collector.tracesExporter" -}}
{{- $traces := .Values.gateway.traces -}}
{{- $mode := include "collector.tracesMode" . -}}
{{- $exporter := dict -}}
{{- $headers := dict -}}
{{- range $name, $value := $traces.headers -}}
{{- $text := "" -}}
{{- if kindIs "map" $value -}}
{{- $text = printf "%s${env:%s}" ($value.prefix | default "" | replace "$" "$$") (include "collector.headerVariable" $name) -}}
{{- else -}}
{{- $text = replace "$" "$$" $value -}}
{{- end -}}
{{- $_ := set $headers $name $text -}}
{{- end -}}
{{- with $headers -}}{{- $_ := set $exporter "headers" . -}}{{- end -}}
{{- /* Not every receiver of OTLP supports zstd. gateway-backend.yaml sets the same compression. */ -}}
{{- if and $traces.endpoint (ne $mode "server") -}}{{- $_ := set $exporter "compression" "gzip" -}}{{- end -}}
{{- if and (eq $mode "disabled") (ne .Values.global.tls.mode "disabled") -}}
{{- $_ := set $exporter "tls" (dict "insecure" true "ca_file" "" "cert_file" "" "key_file" "") -}}
{{- else if and (eq $mode "mutual") $traces.tls.caSecret -}}
{{- $_ := set $exporter "tls" (dict "ca_file" "${env:SIGHTLINE_TRACES_CA_FILE}") -}}
{{- end -}}
{{- with $exporter -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{- define "collector.tracesMounts" -}}
{{- if .Values.gateway.traces.tls.caSecret -}}
- name: traces-ca
  mountPath: {{ dir (include "collector.tracesCAFile" .) }}
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "collector.tracesVolume" -}}
{{- with .Values.gateway.traces.tls -}}
{{- if .caSecret -}}
- name: traces-ca
  secret:
    secretName: {{ .caSecret }}
    items:
      - key: {{ .caKey }}
        path: {{ base (include "collector.tracesCAFile" .) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Rejects a connection that cannot work. */}}
{{- define "collector.validateTraces" -}}
{{- $traces := .Values.gateway.traces -}}
{{- $mode := include "collector.tracesMode" . -}}
{{- if .Values.gateway.jaeger -}}
{{- fail "\n\ncollector.gateway.jaeger is now collector.gateway.traces. Move jaeger.endpoint to traces.endpoint, jaeger.serverName to traces.tls.serverName, and jaeger.name to traces.service." -}}
{{- end -}}
{{- if contains "://" $traces.endpoint -}}
{{- fail (printf "\n\ncollector.gateway.traces.endpoint is %q, but has to be host:port without a scheme. collector.gateway.traces.tls.mode turns TLS on or off." $traces.endpoint) -}}
{{- end -}}
{{- if not (regexMatch "^[^/@\\s]+:[0-9]+$" (include "collector.tracesEndpoint" .)) -}}
{{- fail (printf "\n\ncollector.gateway.traces.endpoint is %q, but has to be the host:port of an OTLP/gRPC endpoint, for example jaeger.tracing.svc:4317." $traces.endpoint) -}}
{{- end -}}
{{- if and $traces.endpoint $traces.service -}}
{{- fail (printf "\n\ncollector.gateway.traces.endpoint is %q, so collector.gateway.traces.service, %q, would not be used. Set only one of them." $traces.endpoint $traces.service) -}}
{{- end -}}
{{- if and $traces.endpoint .Values.global.networkPolicy.enabled (not .Values.gateway.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\ncollector.gateway.traces.endpoint is %q, but no NetworkPolicy allows gateways to reach this endpoint. Allow the connection in collector.gateway.networkPolicy.extraEgress, for example [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tracing}}}], ports: [{port: 4317}]}]." $traces.endpoint) -}}
{{- end -}}
{{- if not $traces.endpoint -}}
{{- range $key, $value := dict "headers" $traces.headers "metricsAndLogs" $traces.metricsAndLogs "tls.mode" $traces.tls.mode "tls.caSecret" $traces.tls.caSecret -}}
{{- if $value -}}
{{- fail (printf "\n\ncollector.gateway.traces.%s is set, but traces.endpoint is empty, so gateways send to Jaeger in this release, which needs none of this. Set traces.endpoint to the host:port of the backend, or remove the value." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $mode "mutual") (eq .Values.global.tls.mode "disabled") -}}
{{- fail "\n\ncollector.gateway.traces.tls.mode is mutual, but global.tls.mode is disabled, so gateways have no certificate to present. Use the mode server or disabled, or turn on TLS in global.tls.mode." -}}
{{- end -}}
{{- if eq $mode "disabled" -}}
{{- range $key, $value := pick $traces.tls "caSecret" "serverName" -}}
{{- if $value -}}
{{- fail (printf "\n\ncollector.gateway.traces.tls.%s is %q, but the connection to the backend has no TLS. Set collector.gateway.traces.tls.mode to server or mutual, or remove the value." $key $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $traces.headers -}}
{{- if or (hasPrefix "grpc-" $name) (has $name (list "content-type" "host" "te" "user-agent")) -}}
{{- fail (printf "\n\ncollector.gateway.traces.headers.%s: gRPC sets this header itself. Remove it." $name) -}}
{{- end -}}
{{- if and (kindIs "string" $value) (regexMatch "(authorization|cookie|token|secret|password|key)$" $name) -}}
{{- fail (printf "\n\ncollector.gateway.traces.headers.%s: the name of this header says that its value is a secret, which anyone who can read the release would see. Put the value into a secret, and set the header to {secret: NAME, key: KEY}, with prefix: \"Bearer \" for a bearer token." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
