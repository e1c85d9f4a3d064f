{{/* Templates for the umbrella chart. */}}

{{/* The labels of an object that belongs to no subchart. Takes context, component. */}}
{{- define "umbrella.labels" -}}
{{ include "sightline.labels" (dict "context" .context "name" .context.Chart.Name "component" .component) }}
{{- end -}}

{{/*
The names of all certificate holders, as a JSON list: the full names of all enabled components and the names of the
clients in other releases. Every subchart except collector and jaeger is a service, whatever its alias is. Takes the
context.
*/}}
{{- define "umbrella.certificateHolders" -}}
{{- $names := list -}}
{{- range $alias, $subchart := .Subcharts -}}
{{- if eq $alias "collector" -}}
{{- range list "agent" "gateway" -}}
{{- $names = append $names (include "collector.fullname" (dict "context" $subchart "component" .)) -}}
{{- end -}}
{{- else if eq $alias "jaeger" -}}
{{- $names = append $names (include "jaeger.fullname" $subchart) -}}
{{- else -}}
{{- $names = append $names (include "sightline.fullname" $subchart) -}}
{{- end -}}
{{- end -}}
{{- concat $names .Values.global.tls.generated.clients | uniq | toJson -}}
{{- end -}}

{{/* The name of the CA's objects. */}}
{{- define "umbrella.caName" -}}
{{ .Release.Name }}-ca
{{- end -}}
