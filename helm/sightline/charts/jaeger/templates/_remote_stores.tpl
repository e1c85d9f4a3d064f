{{/*
Stores that are not in Jaeger's pod: VictoriaMetrics or VictoriaLogs in pods of their own, or other programs. Jaeger sends
metrics and log records to them, with TLS and with the value of the header Authorization from a secret. vmauth adds the
same header to what the pages and Jaeger's Monitor page read.

The secret contains the whole header, and not a user name and a password: neither Jaeger's configuration nor vmauth can
encode the two for basic authentication, no character of the encoded form has a meaning in their files, and the header can
be a bearer token instead.
*/}}

{{/* The stores elsewhere, as a JSON list with metrics, logs, both or neither. */}}
{{- define "jaeger.remoteStores" -}}
{{- $remote := list -}}
{{- if include "jaeger.hasStores" . -}}
{{- range list "metrics" "logs" -}}
{{- if (get $.Values.stores .).endpoint -}}{{- $remote = append $remote . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $remote -}}
{{- end -}}

{{/*
Whether a store is VictoriaMetrics or VictoriaLogs, which have a UI: `true` or empty. The path of OTLP shows it. Takes
context, store.
*/}}
{{- define "jaeger.isVictoria" -}}
{{- $paths := dict "metrics" "/opentelemetry/v1/metrics" "logs" "/insert/opentelemetry/v1/logs" -}}
{{- if eq (get .context.Values.stores .store).otlpPath (get $paths .store) }}true{{ end -}}
{{- end -}}

{{/* Whether vmauth serves a page of this store: `true` or empty. Takes context, store. */}}
{{- define "jaeger.hasPage" -}}
{{- if and (include "jaeger.hasStores" .context) (include "jaeger.isVictoria" .) }}true{{ end -}}
{{- end -}}

{{/* Whether vmauth serves pages of both stores: `true` or empty. */}}
{{- define "jaeger.hasPages" -}}
{{- if and (include "jaeger.hasPage" (dict "context" . "store" "metrics")) (include "jaeger.hasPage" (dict "context" . "store" "logs")) }}true{{ end -}}
{{- end -}}

{{- define "jaeger.storesCAFile" -}}/etc/sightline/stores/ca.crt{{- end -}}

{{- define "jaeger.storesCAMount" -}}
{{- if .Values.stores.caSecret -}}
- name: stores-ca
  mountPath: {{ dir (include "jaeger.storesCAFile" .) }}
  readOnly: true
{{- end -}}
{{- end -}}

{{/* The name of the variable with the header Authorization. Takes the store. */}}
{{- define "jaeger.authorizationVariable" -}}
SIGHTLINE_{{ upper . }}_STORE_AUTHORIZATION
{{- end -}}

{{/* The variable with the header Authorization, from the secret. Takes context, store. */}}
{{- define "jaeger.authorization" -}}
{{- $values := get .context.Values.stores .store -}}
- name: {{ include "jaeger.authorizationVariable" .store }}
  valueFrom:
    secretKeyRef:
      name: {{ $values.existingSecret }}
      key: {{ $values.authorizationKey }}
{{- end -}}

{{/* The variables of Jaeger for stores elsewhere, or nothing. */}}
{{- define "jaeger.remoteStoresEnv" -}}
{{- range include "jaeger.remoteStores" . | fromJsonArray }}
{{- if (get $.Values.stores .).existingSecret }}
{{ include "jaeger.authorization" (dict "context" $ "store" .) }}
{{- end }}
{{- end }}
{{- if .Values.stores.caSecret }}
- name: SIGHTLINE_STORES_CA_FILE
  value: {{ include "jaeger.storesCAFile" . }}
{{- end }}
{{- end -}}

{{/* The variables of vmauth for what it reads from the stores. An empty header is not sent. */}}
{{- define "jaeger.queriesEnv" -}}
- name: SIGHTLINE_METRICS_QUERIES
  value: {{ include "jaeger.storeURL" (dict "context" . "store" "metrics") }}{{ .Values.stores.metrics.queryPath }}
{{- range list "metrics" "logs" }}
{{- if (get $.Values.stores .).existingSecret }}
{{ include "jaeger.authorization" (dict "context" $ "store" .) }}
{{- else }}
- name: {{ include "jaeger.authorizationVariable" . }}
  value: ""
{{- end }}
{{- end }}
{{- end -}}

{{/* The part of Jaeger's configuration that differs for stores elsewhere, as YAML, or nothing. */}}
{{- define "jaeger.remoteStoresOverlay" -}}
{{- $overlay := dict -}}
{{- range include "jaeger.remoteStores" . | fromJsonArray -}}
{{- $values := get $.Values.stores . -}}
{{- $exporter := dict (printf "%s_endpoint" .) (printf "${env:SIGHTLINE_%s_STORE}%s" (upper .) $values.otlpPath) -}}
{{- if $values.existingSecret -}}
{{- $_ := set $exporter "headers" (dict "Authorization" (printf "${env:%s}" (include "jaeger.authorizationVariable" .))) -}}
{{- end -}}
{{- if hasPrefix "https://" $values.endpoint -}}
{{- $tls := dict "min_version" "1.2" -}}
{{- if $.Values.stores.caSecret -}}{{- $_ := set $tls "ca_file" "${env:SIGHTLINE_STORES_CA_FILE}" -}}{{- end -}}
{{- $_ := set $exporter "tls" $tls -}}
{{- end -}}
{{- $_ := mergeOverwrite $overlay (dict "exporters" (dict (printf "otlphttp/%s" .) $exporter)) -}}
{{- if eq . "metrics" -}}
{{- /* Jaeger's client for queries has no setting for a header, so it reads through vmauth. */ -}}
{{- $backend := dict "prometheus" (dict "endpoint" "http://127.0.0.1:16686/prometheus") -}}
{{- $_ := mergeOverwrite $overlay (dict "extensions" (dict "jaeger_storage" (dict "metric_backends" (dict "metrics" $backend)))) -}}
{{- end -}}
{{- end -}}
{{- with $overlay -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* Rejects stores elsewhere that cannot work, or whose data would cross the network unencrypted. */}}
{{- define "jaeger.validateRemoteStores" -}}
{{- $stores := .Values.stores -}}
{{- $encrypted := ne .Values.global.tls.mode "disabled" -}}
{{- range list "metrics" "logs" -}}
{{- $values := get $stores . -}}
{{- $path := printf "jaeger.stores.%s" . -}}
{{- with $values.endpoint -}}
{{- include "jaeger.rejectPassword" (dict "url" . "valuesPath" (printf "%s.endpoint" $path) "secret" (printf "%s.existingSecret" $path)) -}}
{{- if not (regexMatch "^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~-]+)*$" .) -}}
{{- fail (printf "\n\n%s.endpoint is %q, but has to be the base URL of a store without a slash at the end, for example https://victoria-metrics.monitoring.svc:8427. The path for OTLP is in %s.otlpPath." $path . $path) -}}
{{- end -}}
{{- if and $encrypted (hasPrefix "http://" .) (not (include "jaeger.isLocalURL" .)) -}}
{{- fail (printf "\n\n%s.endpoint is %q, so data would cross the network unencrypted. Use an https URL, for example of vmauth in front of the store." $path .) -}}
{{- end -}}
{{- if not $.Values.global.stores.enabled -}}
{{- fail (printf "\n\n%s.endpoint is %q, but global.stores.enabled is false, so nothing would be sent there. Set global.stores.enabled to true, or remove the endpoint." $path .) -}}
{{- end -}}
{{- include "jaeger.rejectWithoutPolicy" (dict "context" $ "url" . "valuesPath" (printf "%s.endpoint" $path) "port" "8427") -}}
{{- else -}}
{{- if $values.existingSecret -}}
{{- fail (printf "\n\n%s.existingSecret is %q, but %s.endpoint is empty, so the store is in Jaeger's pod, which needs no login. Set the endpoint, or remove the secret." $path $values.existingSecret $path) -}}
{{- end -}}
{{- if not (include "jaeger.isVictoria" (dict "context" $ "store" .)) -}}
{{- fail (printf "\n\n%s.otlpPath is %q, but %s.endpoint is empty, so the store is in Jaeger's pod and has another path. Set the endpoint, or remove the path." $path $values.otlpPath $path) -}}
{{- end -}}
{{- if and (hasKey $values "queryPath") (ne $values.queryPath "/prometheus") -}}
{{- fail (printf "\n\n%s.queryPath is %q, but %s.endpoint is empty, so the store is in Jaeger's pod and has another path. Set the endpoint, or remove the path." $path $values.queryPath $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $stores.caSecret (not (or (hasPrefix "https://" $stores.metrics.endpoint) (hasPrefix "https://" $stores.logs.endpoint))) -}}
{{- fail (printf "\n\njaeger.stores.caSecret is %q, but neither jaeger.stores.metrics.endpoint nor jaeger.stores.logs.endpoint is an https URL, so it would not be used. Set an endpoint, or remove the secret." $stores.caSecret) -}}
{{- end -}}
{{- end -}}
