{{/*
What the templates of this part share. `component` is agent or gateway everywhere, and also the key of its values.
*/}}

{{/* Takes context, component. */}}
{{- define "collector.fullname" -}}
{{- $prefix := .context.Values.fullnameOverride | default .context.Release.Name -}}
{{- include "sightline.checkedName" (printf "%s-%s" $prefix .component) -}}
{{- end -}}

{{- define "collector.labelArguments" -}}
{{- $name := .context.Values.nameOverride | default "collector" -}}
{{- $version := .context.Values.image.tag | default .context.Chart.AppVersion -}}
{{- dict "name" $name "component" .component "version" $version | toJson -}}
{{- end -}}

{{- define "collector.selectorLabels" -}}
{{ include "sightline.selectorLabels" (include "collector.labelArguments" . | fromJson | merge (dict "context" .context)) }}
{{- end -}}

{{- define "collector.labels" -}}
{{ include "sightline.labels" (include "collector.labelArguments" . | fromJson | merge (dict "context" .context)) }}
{{- include "sightline.userLabels" (dict "labels" .context.Values.labels "where" "collector.labels") }}
{{- end -}}

{{- define "collector.podLabels" -}}
{{- $values := get .context.Values .component -}}
{{ include "sightline.podLabels" (include "collector.labelArguments" . | fromJson | merge (dict "context" .context)) }}
{{- include "sightline.userLabels" (dict "labels" .context.Values.labels "where" "collector.labels") }}
{{- include "sightline.userLabels" (dict "labels" $values.podLabels "where" (printf "collector.%s.podLabels" .component)) }}
{{- end -}}

{{- define "collector.tlsSecret" -}}
{{- $values := get .context.Values .component -}}
{{- include "sightline.tlsSecret" (dict "context" .context "fullname" (include "collector.fullname" .) "own" $values.tls.existingSecret "where" (printf "collector.%s" .component)) -}}
{{- end -}}

{{- define "collector.clusterRoleName" -}}
{{- include "sightline.clusterName" (dict "context" .context "fullname" (include "collector.fullname" .)) -}}
{{- end -}}

{{- define "collector.headlessName" -}}
{{ include "collector.fullname" (dict "context" . "component" "gateway") }}-headless
{{- end -}}

{{/* host:port of Jaeger, and the name in its certificate. */}}
{{- define "collector.jaegerEndpoint" -}}
{{- $name := .Values.gateway.jaeger.name | default (printf "%s-jaeger" .Release.Name) -}}
{{- .Values.gateway.jaeger.endpoint | default (printf "%s:4317" $name) -}}
{{- end -}}
{{- define "collector.jaegerName" -}}
{{- .Values.gateway.jaeger.serverName | default (regexReplaceAll ":[0-9]+$" (include "collector.jaegerEndpoint" .) "") -}}
{{- end -}}

{{/* How long a stop may wait for what is not sent yet: the grace period without preStop and 20 s to end in. Takes the
component's values. */}}
{{- define "collector.drainSeconds" -}}
{{- sub .terminationGracePeriodSeconds (add .preStopSeconds 20) -}}
{{- end -}}
