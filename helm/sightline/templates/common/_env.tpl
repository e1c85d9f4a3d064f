{{/*
Environment variables: those of the chart, then those of the values. Takes context, own (as YAML), env, where, advice.
*/}}
{{- define "sightline.env" -}}
{{- $names := list -}}
{{- range fromYamlArray .own }}{{ $names = append $names .name }}{{ end -}}
{{- .own }}
{{- range $name, $value := .env }}
{{- if has $name $names }}
{{- fail (printf "\n\n%s.env.%s: the chart sets this variable already. %s" $.where $name $.advice) }}
{{- end }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ tpl $value $.context | quote }}
  {{- end }}
{{- end }}
{{- end -}}
