{{/*
The configuration of the agent and the gateway. It consists of the unchanged files of collector-config/ and of a last
overlay that is generated from the values. Helm reads only files inside a chart, so the directory config contains copies.
The chart chooses which of these files are loaded, and sets the environment variables that the files read.
*/}}

{{/*
The names of a component's files from collector-config/, in load order, as a JSON list. Takes context, component.
*/}}
{{- define "collector.files" -}}
{{- $files := list (printf "%s.yaml" .component) (printf "%s-kubernetes.yaml" .component) -}}
{{- if include "collector.sendsAllSignals" .context -}}
{{- $files = append $files (printf "%s-stores.yaml" .component) -}}
{{- end -}}
{{- if eq .context.Values.global.tls.mode "disabled" -}}
{{- $files = append $files (printf "%s-insecure.yaml" .component) -}}
{{- end -}}
{{- if and (eq .component "gateway") (eq (include "collector.tracesMode" .context) "server") -}}
{{- $files = append $files "gateway-backend.yaml" -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/*
The data of a component's ConfigMap: the files whose names collector.files lists, and the overlay from the values. Takes
context, component.
*/}}
{{- define "collector.configData" -}}
{{- $context := .context -}}
{{- range include "collector.files" . | fromJsonArray -}}
{{- $text := $context.Files.Get (printf "config/%s" .) -}}
{{- if not $text -}}
{{- fail (printf "\n\ncollector: the chart has no file config/%s. The files in config are copies of the files in collector-config/. Restore them with make chart UPDATE_RENDERED=1." .) -}}
{{- end }}
{{ . }}: |
  {{- $text | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- with include "collector.overlay" . }}
values.yaml: |
  # From the chart's values under {{ $.component }}.
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The last overlay as YAML, or nothing. Takes context, component. */}}
{{- define "collector.overlay" -}}
{{- if eq .component "gateway" -}}
{{- include "collector.gatewayOverlay" .context -}}
{{- else -}}
{{- with .context.Values.agent.config -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The arguments that load the files in the ConfigMap. Takes context, component. */}}
{{- define "collector.args" -}}
{{- range include "collector.files" . | fromJsonArray }}
- --config=/etc/otelcol/{{ . }}
{{- end }}
{{- if include "collector.overlay" . }}
- --config=/etc/otelcol/values.yaml
{{- end }}
{{- end -}}
