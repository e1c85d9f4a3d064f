{{/*
vmalert, which evaluates alerts. It is a container of Jaeger's pod, next to the metrics store, and listens on loopback. The
metrics store forwards what the pages read from it. The flags are the same as in a local stack: a test compares them with
tools/sightline/src/stack/spec/pipeline.toml.
*/}}

{{/* Whether vmalert evaluates alerts: `true` or empty. */}}
{{- define "jaeger.hasAlerts" -}}
{{- if and .Values.alerts.enabled (include "jaeger.isOwn" (dict "context" . "store" "metrics")) }}true{{ end -}}
{{- end -}}

{{- define "jaeger.alertsAddress" -}}127.0.0.1:8880{{- end -}}

{{- define "jaeger.notifierCAFile" -}}/etc/sightline/notifier/ca.crt{{- end -}}

{{/*
The data of the ConfigMap with the rules: the files of deploy/alerts, and the files of the values. A file of the values
replaces a file with the same name.
*/}}
{{- define "jaeger.alertFiles" -}}
{{- $files := dict -}}
{{- range $path, $content := .Files.Glob "alerts/*.yaml" -}}
{{- $_ := set $files (base $path) (toString $content) -}}
{{- end -}}
{{- range $name, $rules := .Values.alerts.rules -}}
{{- $_ := set $files $name (ternary $rules (toYaml $rules) (kindIs "string" $rules)) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* The flags of vmalert. */}}
{{- define "jaeger.alertsArgs" -}}
{{- $store := printf "http://%s/prometheus" (include "jaeger.storeAddress" "metrics") -}}
{{- $notifier := .Values.alerts.notifier -}}
- -httpListenAddr={{ include "jaeger.alertsAddress" . }}
- -http.disableCORS
- -rule=/etc/alerts/*.yaml
- -configCheckInterval=30s
- -evaluationInterval=30s
- -datasource.url={{ $store }}
- -remoteWrite.url={{ $store }}
- -remoteRead.url={{ $store }}
{{- if $notifier.url }}
- -notifier.url={{ $notifier.url }}
{{- if $notifier.existingSecret }}
- -notifier.headers=Authorization:$(SIGHTLINE_NOTIFIER_AUTHORIZATION)
{{- end }}
{{- if $notifier.caSecret }}
- -notifier.tlsCAFile={{ include "jaeger.notifierCAFile" . }}
{{- end }}
{{- else }}
- -notifier.blackhole
{{- end }}
{{- with .Values.pages.hosts }}
- -external.url=https://{{ first . }}/prometheus
{{- else }}
- -external.url=http://127.0.0.1:16686/prometheus
{{- end }}
- -external.alert.source=vmui/#/?g0.expr={{ "{{.Expr|queryEscape}}" }}
{{- if contains ":" .Values.global.bindAddress }}
- -enableTCP6
{{- end }}
{{- end -}}

{{/* The container of vmalert, or nothing. */}}
{{- define "jaeger.alertsContainer" -}}
{{- if include "jaeger.hasAlerts" . -}}
{{- $context := . -}}
{{- with .Values.alerts -}}
- name: vmalert
  {{- include "jaeger.storeImage" (dict "context" $context "image" .image "valuesPath" "jaeger.alerts") | nindent 2 }}
  args:
    {{- include "jaeger.alertsArgs" $context | nindent 4 }}
  env:
    {{- include "sightline.goMemoryOf" (dict "resources" .resources "valuesPath" "jaeger.alerts") | trim | nindent 4 }}
    {{- if .notifier.existingSecret }}
    - name: SIGHTLINE_NOTIFIER_AUTHORIZATION
      valueFrom:
        secretKeyRef:
          name: {{ .notifier.existingSecret }}
          key: {{ .notifier.authorizationKey }}
    {{- end }}
  {{- include "jaeger.storeProbes" "/health/alerts" | nindent 2 }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- include "sightline.containerSecurityContext" $context | nindent 4 }}
  volumeMounts:
    - name: alerts
      mountPath: /etc/alerts
      readOnly: true
    {{- if .notifier.caSecret }}
    - name: notifier-ca
      mountPath: {{ dir (include "jaeger.notifierCAFile" $context) }}
      readOnly: true
    {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The volumes of vmalert, or nothing. */}}
{{- define "jaeger.alertsVolumes" -}}
{{- if include "jaeger.hasAlerts" . -}}
- name: alerts
  configMap:
    name: {{ include "jaeger.fullname" . }}-alerts
{{- with .Values.alerts.notifier.caSecret }}
- name: notifier-ca
  secret:
    secretName: {{ . }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end -}}
{{- end -}}

{{/* Rejects alerts that would not be evaluated, and a notifier that would not be reached or get alerts unencrypted. */}}
{{- define "jaeger.validateAlerts" -}}
{{- $notifier := .Values.alerts.notifier -}}
{{- if .Values.alerts.enabled -}}
{{- if not .Values.global.stores.enabled -}}
{{- fail "\n\njaeger.alerts.enabled is true, but global.stores.enabled is false, so there are no metrics to evaluate. Set global.stores.enabled to true, or load the rules in deploy/alerts into the Prometheus that scrapes the metrics." -}}
{{- end -}}
{{- with .Values.stores.metrics.endpoint -}}
{{- fail (printf "\n\njaeger.alerts.enabled is true, but jaeger.stores.metrics.endpoint is %q, and the chart evaluates alerts only next to a metrics store in Jaeger's pod. Load the rules in deploy/alerts there, into Prometheus or a vmalert, or remove the endpoint." .) -}}
{{- end -}}
{{- else if or $notifier.url .Values.alerts.rules -}}
{{- fail (printf "\n\njaeger.alerts.notifier.url is %q and jaeger.alerts.rules has %d files, but jaeger.alerts.enabled is false, so nobody would be notified. Set jaeger.alerts.enabled to true, or remove both." $notifier.url (len .Values.alerts.rules)) -}}
{{- end -}}
{{- range $name, $rules := .Values.alerts.rules -}}
{{- /* Helm names another value if the schema rejects the name of a key. */ -}}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*[.]yaml$" $name) -}}
{{- fail (printf "\n\njaeger.alerts.rules has the key %q, which is not the name of a file that vmalert reads. Use a name such as %s.yaml." $name (regexReplaceAll "[.].*|[^A-Za-z0-9_-]" $name "" | default "rules")) -}}
{{- end -}}
{{- end -}}
{{- with $notifier.url -}}
{{- include "jaeger.rejectPassword" (dict "url" . "valuesPath" "jaeger.alerts.notifier.url" "secret" "jaeger.alerts.notifier.existingSecret") -}}
{{- if not (regexMatch "^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~-]+)*/?$" .) -}}
{{- fail (printf "\n\njaeger.alerts.notifier.url is %q, but has to be the base URL of an Alertmanager, for example https://alertmanager.monitoring.svc:9093." .) -}}
{{- end -}}
{{- if and (ne $.Values.global.tls.mode "disabled") (hasPrefix "http://" .) (not (include "jaeger.isLocalURL" .)) -}}
{{- fail (printf "\n\njaeger.alerts.notifier.url is %q, so alerts would cross the network unencrypted. Use an https URL: Alertmanager serves TLS with --web.config.file." .) -}}
{{- end -}}
{{- include "jaeger.rejectWithoutPolicy" (dict "context" $ "url" . "valuesPath" "jaeger.alerts.notifier.url" "port" "9093") -}}
{{- end -}}
{{- if and (or $notifier.existingSecret $notifier.caSecret) (not (hasPrefix "https://" $notifier.url)) -}}
{{- fail (printf "\n\njaeger.alerts.notifier.url is %q, which is not an https URL, so jaeger.alerts.notifier.existingSecret %q and jaeger.alerts.notifier.caSecret %q cannot be used. Set an https URL, or remove them." $notifier.url $notifier.existingSecret $notifier.caSecret) -}}
{{- end -}}
{{- end -}}
