{{/*
The metrics store, the log store and the proxy in front of the pages. They are containers of Jaeger's pod, because the
stores check neither certificates nor passwords: they listen on loopback, and only Jaeger sends data to them. The flags
are the same as in a local stack: a test compares them with tools/sightline/src/stack/spec/pipeline.toml. A store that has
an endpoint in the values is elsewhere: see _remote_stores.tpl.
*/}}

{{/* Whether Jaeger receives metrics and log records, and vmauth serves the pages: `true` or empty. */}}
{{- define "jaeger.hasStores" -}}
{{- if .Values.global.stores.enabled }}true{{ end -}}
{{- end -}}

{{/* The stores in the pod, as a JSON list with metrics, logs, both or neither. */}}
{{- define "jaeger.ownStores" -}}
{{- $own := list -}}
{{- if include "jaeger.hasStores" . -}}
{{- range list "metrics" "logs" -}}
{{- if not (get $.Values.stores .).endpoint -}}{{- $own = append $own . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{/* Whether the pod contains this store: `true` or empty. Takes context, store. */}}
{{- define "jaeger.isOwn" -}}
{{- if has .store (include "jaeger.ownStores" .context | fromJsonArray) }}true{{ end -}}
{{- end -}}

{{/* Whether only one pod at a time can use what is stored: `true` or empty. */}}
{{- define "jaeger.exclusive" -}}
{{- if or (include "jaeger.ownStores" . | fromJsonArray) (not (include "jaeger.sharedStorage" .)) }}true{{ end -}}
{{- end -}}

{{- define "jaeger.uiAddress" -}}127.0.0.1:26686{{- end -}}

{{/* The address of a store on loopback. Takes the name, metrics or logs. */}}
{{- define "jaeger.storeAddress" -}}
{{- get (dict "metrics" "127.0.0.1:8428" "logs" "127.0.0.1:9428") . -}}
{{- end -}}

{{/* The base URL of a store. Takes context, store. */}}
{{- define "jaeger.storeURL" -}}
{{- (get .context.Values.stores .store).endpoint | default (printf "http://%s" (include "jaeger.storeAddress" .store)) -}}
{{- end -}}

{{/* The environment variables with the addresses of both stores. */}}
{{- define "jaeger.storesEnv" -}}
- name: SIGHTLINE_METRICS_STORE
  value: {{ include "jaeger.storeURL" (dict "context" . "store" "metrics") }}
- name: SIGHTLINE_LOGS_STORE
  value: {{ include "jaeger.storeURL" (dict "context" . "store" "logs") }}
{{- end -}}

{{/*
The regular expression of the accepted Host headers, with any port: this machine, the names of the Service, and
pages.hosts of the values. vmauth anchors it.
*/}}
{{- define "jaeger.pagesHosts" -}}
{{- $hosts := list "localhost" "127.0.0.1" "[::1]" -}}
{{- $hosts = concat $hosts (include "sightline.dnsNames" (dict "context" . "fullname" (include "jaeger.fullname" .)) | fromJsonArray) -}}
{{- $escaped := list -}}
{{- range concat $hosts .Values.pages.hosts | uniq -}}
{{- $escaped = append $escaped (. | lower | replace "." "\\." | replace "[" "\\[" | replace "]" "\\]") -}}
{{- end -}}
({{ join "|" $escaped }})(:\d+)?
{{- end -}}

{{/* The image of a container. Takes context, image, valuesPath (for messages). */}}
{{- define "jaeger.storeImage" -}}
{{- if not (or .image.tag .image.digest) -}}
{{- fail (printf "\n\n%s.image has neither a tag nor a digest. Set one of them, for example the tag in the chart's default values." .valuesPath) -}}
{{- end -}}
image: {{ include "sightline.image" . }}
imagePullPolicy: {{ include "sightline.imagePullPolicy" . }}
{{- end -}}

{{/* The flag for the memory of a store's caches: a third of the memory limit. Takes resources and valuesPath. */}}
{{- define "jaeger.cacheMemory" -}}
{{- $bytes := include "sightline.bytes" (dict "value" (dig "limits" "memory" "0" .resources | default "0") "valuesPath" (printf "%s.resources.limits.memory" .valuesPath)) | float64 -}}
- -memory.allowedBytes={{ divf $bytes 3145728.0 | int64 }}MiB
{{- end -}}

{{/* The flags of the metrics store. */}}
{{- define "jaeger.metricsArgs" -}}
{{- $store := .Values.stores.metrics -}}
- -httpListenAddr={{ include "jaeger.storeAddress" "metrics" }}
- -storageDataPath=/var/lib/victoria-metrics
- -retentionPeriod={{ $store.retention }}
{{ include "jaeger.cacheMemory" (dict "resources" $store.resources "valuesPath" "jaeger.stores.metrics") }}
- -opentelemetry.usePrometheusNaming
- -opentelemetry.promoteAllResourceAttributes=false
- -opentelemetry.promoteResourceAttributes=service.name,service.namespace,service.instance.id,deployment.environment.name
- -opentelemetry.promoteScopeMetadata=false
- -dedup.minScrapeInterval=1ms
- -search.latencyOffset=1s
- -http.disableCORS
- -promscrape.config=/etc/victoria-metrics/victoria-metrics-scrape.yaml
- -vmui.customDashboardsPath=/etc/dashboards
{{- if include "jaeger.hasAlerts" . }}
- -vmalert.proxyURL=http://{{ include "jaeger.alertsAddress" . }}
{{- end }}
{{- end -}}

{{/* The addresses on loopback at which the metrics store reads the metrics of the containers. */}}
{{- define "jaeger.scrapeEnv" -}}
- name: SIGHTLINE_SCRAPE_INTERVAL
  value: 15s
- name: SIGHTLINE_METRICS_STORE_ADDRESS
  value: {{ include "jaeger.storeAddress" "metrics" }}
- name: SIGHTLINE_LOGS_STORE_ADDRESS
  # A target without an address is not read.
  value: {{ ternary (include "jaeger.storeAddress" "logs") "" (eq (include "jaeger.isOwn" (dict "context" . "store" "logs")) "true") | quote }}
- name: SIGHTLINE_JAEGER_METRICS_ADDRESS
  value: 127.0.0.1:8888
- name: SIGHTLINE_PAGES_HEALTH_ADDRESS
  value: 127.0.0.1:26133
- name: SIGHTLINE_VMALERT_ADDRESS
  value: {{ ternary (include "jaeger.alertsAddress" .) "" (eq (include "jaeger.hasAlerts" .) "true") | quote }}
{{- end -}}

{{/* The flags of the log store. Its files use at most four fifths of the volume. */}}
{{- define "jaeger.logsArgs" -}}
{{- $store := .Values.stores.logs -}}
{{- $size := include "sightline.bytes" (dict "value" $store.size "valuesPath" "jaeger.stores.logs.size") | float64 -}}
- -httpListenAddr={{ include "jaeger.storeAddress" "logs" }}
- -storageDataPath=/var/lib/victoria-logs
- -retentionPeriod={{ $store.retention }}
- -retention.maxDiskSpaceUsageBytes={{ divf (mulf $size 0.8) 1048576.0 | int64 }}MiB
- -inmemoryDataFlushInterval=1s
{{ include "jaeger.cacheMemory" (dict "resources" $store.resources "valuesPath" "jaeger.stores.logs") }}
- -http.disableCORS
{{- end -}}

{{/* The flags of vmauth. */}}
{{- define "jaeger.pagesArgs" -}}
{{- $bind := .Values.global.bindAddress -}}
- -auth.config=/etc/vmauth/vmauth.yaml
- -httpListenAddr={{ include "sightline.listenAddress" (dict "bind" $bind "port" 16686) }}
- -httpInternalListenAddr={{ include "sightline.listenAddress" (dict "bind" $bind "port" 26133) }}
- -http.disableCORS
{{- if contains ":" $bind }}
- -enableTCP6
{{- end }}
{{- if .Values.stores.caSecret }}
- -backend.TLSCAFile={{ include "jaeger.storesCAFile" . }}
{{- end }}
{{- end -}}

{{/* The probes of a store. Takes the path. */}}
{{- define "jaeger.storeProbes" -}}
{{- $probe := dict "httpGet" (dict
  "path" . "port" 16686 "httpHeaders" (list (dict "name" "Host" "value" "localhost"))) "timeoutSeconds" 5 -}}
# A store listens on loopback, where no probe can reach it, so vmauth forwards the probes. If vmauth itself hangs, it is
# restarted before the stores.
startupProbe:
  {{- toYaml (merge (dict "periodSeconds" 1 "failureThreshold" 600) $probe) | nindent 2 }}
readinessProbe:
  {{- toYaml (merge (dict "periodSeconds" 5 "failureThreshold" 3) $probe) | nindent 2 }}
livenessProbe:
  {{- toYaml (merge (dict "periodSeconds" 10 "failureThreshold" 6) $probe) | nindent 2 }}
{{- end -}}

{{/* The containers of the stores and of vmauth, or nothing. */}}
{{- define "jaeger.storeContainers" -}}
{{- if include "jaeger.hasStores" . -}}
{{- $context := . -}}
{{- range $store, $program := dict "metrics" "victoria-metrics" "logs" "victoria-logs" }}
{{- if include "jaeger.isOwn" (dict "context" $context "store" $store) }}
{{- $values := get $context.Values.stores $store }}
{{- $path := printf "jaeger.stores.%s" $store }}
- name: {{ $program }}
  {{- include "jaeger.storeImage" (dict "context" $context "image" $values.image "valuesPath" $path) | nindent 2 }}
  args:
    {{- include (printf "jaeger.%sArgs" $store) $context | nindent 4 }}
  env:
    {{- include "sightline.goMemoryOf" (dict "resources" $values.resources "valuesPath" $path) | trim | nindent 4 }}
    {{- if eq $store "metrics" }}
    {{- include "jaeger.scrapeEnv" $context | nindent 4 }}
    {{- end }}
  {{- include "jaeger.storeProbes" (get (dict "metrics" "/health/metrics-store" "logs" "/health/log-store") $store) | nindent 2 }}
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  securityContext:
    {{- include "sightline.containerSecurityContext" $context | nindent 4 }}
  volumeMounts:
    - name: {{ $store }}
      mountPath: /var/lib/{{ $program }}
    {{- if eq $store "metrics" }}
    - name: config
      mountPath: /etc/victoria-metrics
      readOnly: true
    - name: dashboards
      mountPath: /etc/dashboards
      readOnly: true
    {{- end }}
{{- end }}
{{- end }}
{{- with .Values.pages }}
- name: vmauth
  {{- include "jaeger.storeImage" (dict "context" $context "image" .image "valuesPath" "jaeger.pages") | nindent 2 }}
  args:
    {{- include "jaeger.pagesArgs" $context | nindent 4 }}
  env:
    {{- include "sightline.goMemory" (dict "resources" .resources "valuesPath" "jaeger.pages") | nindent 4 }}
    - name: SIGHTLINE_JAEGER_UI
      value: http://{{ include "jaeger.uiAddress" $context }}
    {{- include "jaeger.storesEnv" $context | nindent 4 }}
    {{- include "jaeger.queriesEnv" $context | nindent 4 }}
    - name: SIGHTLINE_VMALERT
      value: http://{{ include "jaeger.alertsAddress" $context }}
    - name: SIGHTLINE_PAGES_HOSTS
      value: {{ include "jaeger.pagesHosts" $context | quote }}
  ports:
    - name: ui
      containerPort: 16686
    - name: pages-health
      containerPort: 26133
  readinessProbe:
    httpGet:
      path: /health
      port: pages-health
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  livenessProbe:
    httpGet:
      path: /health
      port: pages-health
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  resources:
    {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- include "sightline.containerSecurityContext" $context | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/vmauth
      readOnly: true
    {{- with include "jaeger.storesCAMount" $context }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The name of a store's claim; empty if there is no claim. Takes context, store. */}}
{{- define "jaeger.storeClaimName" -}}
{{- if and (include "jaeger.isOwn" .) .context.Values.persistence.enabled -}}
{{- (get .context.Values.stores .store).existingClaim | default (printf "%s-%s" (include "jaeger.fullname" .context) .store) -}}
{{- end -}}
{{- end -}}

{{/* The volumes of the stores, or nothing. */}}
{{- define "jaeger.storeVolumes" -}}
{{- if include "jaeger.isOwn" (dict "context" . "store" "metrics") -}}
- name: dashboards
  configMap:
    name: {{ include "jaeger.fullname" . }}-dashboards
{{- end -}}
{{- range include "jaeger.ownStores" . | fromJsonArray }}
- name: {{ . }}
  {{- with include "jaeger.storeClaimName" (dict "context" $ "store" .) }}
  persistentVolumeClaim:
    claimName: {{ . }}
  {{- else }}
  # The volume is deleted with the pod.
  emptyDir:
    sizeLimit: {{ (get $.Values.stores .).size }}
  {{- end }}
{{- end }}
{{- end -}}
