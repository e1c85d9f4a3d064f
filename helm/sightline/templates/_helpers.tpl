{{/* Templates for the umbrella chart. */}}

{{/* The labels of an object that belongs to no subchart. Takes context, component. */}}
{{- define "umbrella.labels" -}}
{{ include "sightline.labels" (dict "context" .context "name" .context.Chart.Name "component" .component) }}
{{- end -}}

{{/*
The names of all certificate holders, as a JSON list: the full names of all enabled components and the names of the
clients in other releases. Takes the context.
*/}}
{{- define "umbrella.certificateHolders" -}}
{{- $names := list -}}
{{- with .Subcharts.collector -}}
{{- $collector := . -}}
{{- range list "agent" "gateway" -}}
{{- $names = append $names (include "collector.fullname" (dict "context" $collector "component" .)) -}}
{{- end -}}
{{- end -}}
{{- with .Subcharts.jaeger -}}
{{- $names = append $names (include "jaeger.fullname" .) -}}
{{- end -}}
{{- $services := dict -}}
{{- include "umbrella.services" (dict "context" . "result" $services) -}}
{{- range $services -}}
{{- $names = append $names (include "sightline.fullname" .) -}}
{{- end -}}
{{- concat $names .Values.global.tls.generated.clients | uniq | toJson -}}
{{- end -}}

{{/* The name of the CA's objects. */}}
{{- define "umbrella.caName" -}}
{{ .Release.Name }}-ca
{{- end -}}
