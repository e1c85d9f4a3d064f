{{/*
The environment variables of a container: first the chart's own variables, then the variables from the values. Takes
context, chartEnv (as YAML), env (from the values), valuesPath and advice (both for messages).
*/}}
{{- define "sightline.env" -}}
{{- $names := list -}}
{{- range fromYamlArray .chartEnv }}{{ $names = append $names .name }}{{ end -}}
{{- .chartEnv }}
{{- range $name, $value := .env }}
{{- if has $name $names }}
{{- fail (printf "\n\n%s.env.%s: the chart already sets this variable. %s" $.valuesPath $name $.advice) }}
{{- end }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ tpl $value $.context | quote }}
  {{- end }}
{{- end }}
{{- end -}}
