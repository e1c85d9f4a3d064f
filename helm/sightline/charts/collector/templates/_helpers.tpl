{{/*
Templates for this subchart. `component` is always agent or gateway, and is also the key of the component's values.
*/}}

{{/* The name of a component's objects. Takes context, component. */}}
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
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.labels" (include "collector.labelArguments" . | fromJson | merge (dict "context" .context)))
  "own" (list (dict "labels" .context.Values.labels "valuesPath" "collector.labels"))) -}}
{{- end -}}

{{- define "collector.podLabels" -}}
{{- $values := get .context.Values .component -}}
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.podLabels" (include "collector.labelArguments" . | fromJson | merge (dict "context" .context)))
  "own" (list (dict "labels" .context.Values.labels "valuesPath" "collector.labels") (dict "labels" $values.podLabels "valuesPath" (printf "collector.%s.podLabels" .component)))) -}}
{{- end -}}

{{- define "collector.tlsSecret" -}}
{{- $values := get .context.Values .component -}}
{{- include "sightline.tlsSecret" (dict "context" .context "fullname" (include "collector.fullname" .) "existingSecret" $values.tls.existingSecret "valuesPath" (printf "collector.%s" .component)) -}}
{{- end -}}

{{- define "collector.clusterRoleName" -}}
{{- include "sightline.clusterName" (dict "context" .context "fullname" (include "collector.fullname" .)) -}}
{{- end -}}

{{- define "collector.headlessName" -}}
{{ include "collector.fullname" (dict "context" . "component" "gateway") }}-headless
{{- end -}}

{{/*
The maximum number of seconds that a shutdown waits until all data is sent: the grace period minus preStopSeconds, and
minus 20 s for the exit. Takes the component's values.
*/}}
{{- define "collector.drainSeconds" -}}
{{- sub .terminationGracePeriodSeconds (add .preStopSeconds 20) -}}
{{- end -}}
