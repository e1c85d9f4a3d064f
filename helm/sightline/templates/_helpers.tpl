{{/* What the templates of the umbrella share. */}}

{{/* Labels of what belongs to no part. Takes context, component. */}}
{{- define "umbrella.labels" -}}
{{ include "sightline.labels" (dict "context" .context "name" .context.Chart.Name "component" .component) }}
{{- end -}}

{{/*
Who holds a certificate: the full name of each part that is on, and clients of other releases. A part that is neither
the collector nor Jaeger is a service, under whatever alias.
*/}}
{{- define "umbrella.identities" -}}
{{- $names := list -}}
{{- range $alias, $part := .Subcharts -}}
{{- if eq $alias "collector" -}}
{{- range list "agent" "gateway" -}}
{{- $names = append $names (include "collector.fullname" (dict "context" $part "component" .)) -}}
{{- end -}}
{{- else if eq $alias "jaeger" -}}
{{- $names = append $names (include "jaeger.fullname" $part) -}}
{{- else -}}
{{- $names = append $names (include "sightline.fullname" $part) -}}
{{- end -}}
{{- end -}}
{{- concat $names .Values.global.tls.generated.clients | uniq | toJson -}}
{{- end -}}

{{- define "umbrella.authority" -}}
{{ .Release.Name }}-ca
{{- end -}}
