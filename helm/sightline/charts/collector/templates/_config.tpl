{{/*
The pipeline's files. They are those of collector-config/, reached by a symbolic link, as they are: what differs
between here and a laptop is which of them are loaded, and the environment.
*/}}

{{/* The files of a component, in load order. Takes context, component. */}}
{{- define "collector.files" -}}
{{- $files := list (printf "%s.yaml" .component) (printf "%s-kubernetes.yaml" .component) -}}
{{- if eq .context.Values.global.tls.mode "disabled" -}}
{{- $files = append $files (printf "%s-insecure.yaml" .component) -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The data of its ConfigMap: those, and last the layer of the values. */}}
{{- define "collector.configData" -}}
{{- $context := .context -}}
{{- range include "collector.files" . | fromJsonArray -}}
{{- $text := $context.Files.Get (printf "config/%s" .) -}}
{{- if not $text -}}
{{- fail (printf "\n\ncollector: config/%s is not in the chart. It is a symbolic link to collector-config/: copy the chart with the files it points to (cp -L), or use helm package." .) -}}
{{- end }}
{{ . }}: |
  {{- $text | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- with (get $context.Values .component).config }}
values.yaml: |
  # From {{ $.component }}.config of the chart's values.
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "collector.args" -}}
{{- range include "collector.files" . | fromJsonArray }}
- --config=/etc/otelcol/{{ . }}
{{- end }}
{{- if (get .context.Values .component).config }}
- --config=/etc/otelcol/values.yaml
{{- end }}
{{- end -}}
