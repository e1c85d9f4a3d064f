{{/* Templates for this subchart. */}}

{{- define "jaeger.fullname" -}}
{{- include "sightline.checkedName" (.Values.fullnameOverride | default (printf "%s-jaeger" .Release.Name)) -}}
{{- end -}}

{{- define "jaeger.labelArguments" -}}
{{- dict "name" (.Values.nameOverride | default "jaeger") "component" "jaeger" "version" .Values.image.tag | toJson -}}
{{- end -}}

{{- define "jaeger.selectorLabels" -}}
{{ include "sightline.selectorLabels" (dict "context" . "name" (.Values.nameOverride | default "jaeger") "component" "") }}
{{- end -}}

{{- define "jaeger.labels" -}}
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.labels" (include "jaeger.labelArguments" . | fromJson | merge (dict "context" .)))
  "own" (list (dict "labels" .Values.labels "valuesPath" "jaeger.labels"))) -}}
{{- end -}}

{{- define "jaeger.podLabels" -}}
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.podLabels" (include "jaeger.labelArguments" . | fromJson | merge (dict "context" .)))
  "own" (list (dict "labels" .Values.labels "valuesPath" "jaeger.labels") (dict "labels" .Values.podLabels "valuesPath" "jaeger.podLabels"))) -}}
{{- end -}}

{{- define "jaeger.tlsSecret" -}}
{{- include "sightline.tlsSecret" (dict "context" . "fullname" (include "jaeger.fullname" .) "existingSecret" .Values.tls.existingSecret "valuesPath" "jaeger") -}}
{{- end -}}

{{/* Whether traces are stored in a database that several Jaeger pods can share: `true` or empty. */}}
{{- define "jaeger.sharedStorage" -}}
{{- if not (has .Values.storage.type (list "memory" "badger")) }}true{{ end -}}
{{- end -}}

{{/* The name of the claim for Badger's files; empty if there is no claim. */}}
{{- define "jaeger.claimName" -}}
{{- if and (eq .Values.storage.type "badger") .Values.persistence.enabled -}}
{{- .Values.persistence.existingClaim | default (include "jaeger.fullname" .) -}}
{{- end -}}
{{- end -}}
