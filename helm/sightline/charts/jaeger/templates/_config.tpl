{{/*
Jaeger's configuration: the unchanged files of collector-config/, the environment variables that these files read, and
an overlay from the values.
*/}}

{{/* The names of the files from collector-config/, in load order, as a JSON list. */}}

{{- define "jaeger.files" -}}
{{- $files := list "jaeger.yaml" (printf "jaeger-%s.yaml" .Values.storage.type) -}}
{{- if include "jaeger.hasStores" . -}}
{{- $files = append $files "jaeger-stores.yaml" -}}
{{- end -}}
{{- if eq .Values.global.tls.mode "disabled" -}}
{{- $files = append $files "jaeger-insecure.yaml" -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The last overlay. It contains the values config and basePath, and the stores that are elsewhere. */}}
{{- define "jaeger.valuesOverlay" -}}
{{- $overlay := include "jaeger.remoteStoresOverlay" . | fromYaml -}}
{{- with .Values.basePath -}}
{{- $overlay = mergeOverwrite $overlay (dict "extensions" (dict "jaeger_query" (dict "base_path" .))) -}}
{{- end -}}
{{- with mergeOverwrite $overlay (deepCopy .Values.config) }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The data of the ConfigMap: the files whose names jaeger.files lists, the other files of the containers, and the overlay
from the values.
*/}}
{{- define "jaeger.configData" -}}
{{- $files := include "jaeger.files" . | fromJsonArray -}}
{{- if include "jaeger.hasStores" . -}}
{{- $files = append $files "vmauth.yaml" -}}
{{- end -}}
{{- if include "jaeger.hasPages" . -}}
{{- $files = append $files "jaeger-ui.js" -}}
{{- end -}}
{{- if include "jaeger.isOwn" (dict "context" . "store" "metrics") -}}
{{- $files = append $files "victoria-metrics-scrape.yaml" -}}
{{- end -}}
{{- range $files -}}
{{- $text := $.Files.Get (printf "config/%s" .) -}}
{{- if not $text -}}
{{- fail (printf "\n\njaeger: the chart has no file config/%s. The files in config are copies of the files in collector-config/. Restore them with make chart UPDATE_RENDERED=1." .) -}}
{{- end }}
{{ . }}: |
  {{- $text | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- with include "jaeger.valuesOverlay" . }}
values.yaml: |
  # From jaeger.config, jaeger.basePath and jaeger.stores of the chart's values.
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The arguments that load the files in the ConfigMap. */}}
{{- define "jaeger.args" -}}
{{- range include "jaeger.files" . | fromJsonArray }}
- --config=/etc/jaeger/{{ . }}
{{- end }}
{{- if include "jaeger.valuesOverlay" . }}
- --config=/etc/jaeger/values.yaml
{{- end }}
{{- end -}}

{{/* The environment variables that the chart sets. */}}
{{- define "jaeger.env" -}}
{{- $storage := .Values.storage -}}
{{- $bind := .Values.global.bindAddress -}}
{{ include "sightline.goMemory" (dict "resources" .Values.resources "valuesPath" "jaeger") }}
- name: SIGHTLINE_BIND
  value: {{ ternary (printf "[%s]" $bind) $bind (contains ":" $bind) | quote }}
- name: SIGHTLINE_UI_BIND
  value: {{ ternary "127.0.0.1" (ternary (printf "[%s]" $bind) $bind (contains ":" $bind)) (eq (include "jaeger.hasStores" .) "true") | quote }}
{{- if include "jaeger.hasStores" . }}
- name: SIGHTLINE_UI_PORT
  value: {{ splitList ":" (include "jaeger.uiAddress" .) | last | quote }}
{{- if include "jaeger.hasPages" . }}
- name: SIGHTLINE_UI_CONFIG
  value: /etc/jaeger/jaeger-ui.js
{{- end }}
{{ include "jaeger.storesEnv" . }}
{{- include "jaeger.remoteStoresEnv" . }}
{{- end }}
{{- with .Values.ui.assetsPath }}
- name: SIGHTLINE_UI_DIR
  value: {{ . | quote }}
{{- end }}
{{- if include "jaeger.tlsSecret" . }}
- name: SIGHTLINE_TLS_DIR
  value: {{ include "sightline.tlsDirectory" . }}
{{- end }}
{{- if eq $storage.type "badger" }}
- name: SIGHTLINE_BADGER_DIR
  value: /var/lib/jaeger/badger
{{- end }}
{{- if include "jaeger.sharedStorage" . }}
- name: SIGHTLINE_STORE_ADDRESSES
  value: {{ join "," $storage.addresses | quote }}
- name: SIGHTLINE_STORE_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $storage.existingSecret }}
      key: {{ $storage.usernameKey }}
- name: SIGHTLINE_STORE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $storage.existingSecret }}
      key: {{ $storage.passwordKey }}
{{- if $storage.caSecret }}
- name: SIGHTLINE_STORE_CA_FILE
  value: /etc/sightline/store/ca.crt
{{- end }}
{{- if and (ne $storage.type "clickhouse") (not (kindIs "invalid" $storage.replicas)) }}
- name: SIGHTLINE_STORE_REPLICAS
  value: {{ $storage.replicas | quote }}
{{- end }}
{{- end }}
{{- if eq $storage.type "opensearch" }}
- name: SIGHTLINE_STORE_INDEX_PREFIX
  value: {{ $storage.indexPrefix | quote }}
{{- else if eq $storage.type "cassandra" }}
- name: SIGHTLINE_STORE_KEYSPACE
  value: {{ $storage.keyspace | quote }}
- name: SIGHTLINE_STORE_DATACENTER
  value: {{ $storage.datacenter | quote }}
{{- else if eq $storage.type "clickhouse" }}
- name: SIGHTLINE_STORE_DATABASE
  value: {{ $storage.database | quote }}
{{- end }}
{{- end -}}
