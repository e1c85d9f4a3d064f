{{/* What the templates of this part share. */}}

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
{{ include "sightline.labels" (include "jaeger.labelArguments" . | fromJson | merge (dict "context" .)) }}
{{- include "sightline.userLabels" (dict "labels" .Values.labels "where" (print "jaeger" ".labels")) }}
{{- end -}}

{{- define "jaeger.podLabels" -}}
{{ include "sightline.podLabels" (include "jaeger.labelArguments" . | fromJson | merge (dict "context" .)) }}
{{- include "sightline.userLabels" (dict "labels" .Values.labels "where" (print "jaeger" ".labels")) }}
{{- include "sightline.userLabels" (dict "labels" .Values.podLabels "where" (print "jaeger" ".podLabels")) }}
{{- end -}}

{{- define "jaeger.tlsSecret" -}}
{{- include "sightline.tlsSecret" (dict "context" . "fullname" (include "jaeger.fullname" .) "own" .Values.tls.existingSecret "where" "jaeger") -}}
{{- end -}}

{{/* Whether traces are kept by a database elsewhere, which several Jaegers can share. */}}
{{- define "jaeger.sharedStorage" -}}
{{- if not (has .Values.storage.type (list "memory" "badger")) }}true{{ end -}}
{{- end -}}

{{/* The claim that Badger's files are on; empty without one. */}}
{{- define "jaeger.claim" -}}
{{- if and (eq .Values.storage.type "badger") .Values.persistence.enabled -}}
{{- .Values.persistence.existingClaim | default (include "jaeger.fullname" .) -}}
{{- end -}}
{{- end -}}
