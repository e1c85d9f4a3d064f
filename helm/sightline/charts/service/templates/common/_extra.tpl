{{/*
Additional volumes, volume mounts and containers from the values.
*/}}

{{/*
A list from the values, in which strings can contain templates, or nothing. Entries with a name that the chart uses are
rejected. Takes context, list, reserved (the names that the chart uses) and valuesPath (for messages).
*/}}
{{- define "sightline.extraList" -}}
{{- range .list -}}
{{- if has .name $.reserved -}}
{{- fail (printf "\n\n%s has an entry with the name %q, which the chart uses itself. Choose another name." $.valuesPath .name) -}}
{{- end -}}
{{- end -}}
{{- with .list }}{{ tpl (toYaml .) $.context }}{{ end -}}
{{- end -}}
