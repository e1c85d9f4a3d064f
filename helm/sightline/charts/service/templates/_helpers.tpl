{{/* Templates for this subchart. */}}

{{/* The place of the service's values in error messages. */}}
{{- define "service.valuesPath" -}}
{{- ternary .Release.Name (print "services." .Chart.Name) .Chart.IsRoot -}}
{{- end -}}

{{- define "service.selectorLabels" -}}
{{ include "sightline.selectorLabels" (dict "context" . "name" (include "sightline.name" .) "component" "") }}
{{- end -}}

{{- define "service.labelArguments" -}}
{{- $version := .Values.image.tag | default .Chart.AppVersion -}}
{{- dict "name" (include "sightline.name" .) "component" "service" "partOf" .Values.partOf "version" $version | toJson -}}
{{- end -}}

{{- define "service.labels" -}}
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.labels" (include "service.labelArguments" . | fromJson | merge (dict "context" .)))
  "own" (list (dict "labels" .Values.labels "valuesPath" (print (include "service.valuesPath" .) ".labels")))) -}}
{{- end -}}

{{- define "service.podLabels" -}}
{{- include "sightline.withOwnLabels" (dict
  "chart" (include "sightline.podLabels" (include "service.labelArguments" . | fromJson | merge (dict "context" .)))
  "own" (list (dict "labels" .Values.labels "valuesPath" (print (include "service.valuesPath" .) ".labels")) (dict "labels" .Values.podLabels "valuesPath" (print (include "service.valuesPath" .) ".podLabels")))) -}}
{{- end -}}

{{- define "service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "sightline.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "service.clusterRoleName" -}}
{{- include "sightline.clusterName" (dict "context" . "fullname" (include "sightline.fullname" .)) -}}
{{- end -}}

{{- define "service.tlsSecret" -}}
{{- include "sightline.tlsSecret" (dict "context" . "fullname" (include "sightline.fullname" .) "existingSecret" .Values.tls.existingSecret "valuesPath" (include "service.valuesPath" .)) -}}
{{- end -}}

{{/* Whether the database is a SQLite file in the pod: `true` or empty. */}}
{{- define "service.sqlite" -}}
{{- if hasPrefix "sqlite:" (.Values.database.url | default "") }}true{{ end -}}
{{- end -}}

{{/* The minimum number of pods. */}}
{{- define "service.minReplicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end -}}

{{/* host:port of the service. */}}
{{- define "service.address" -}}
{{ include "sightline.fullname" . }}:{{ .Values.service.port }}
{{- end -}}

{{/*
The URL of a service that this service calls, for a value in `env`. Takes a list: the context, and the name of the
service.
*/}}
{{- define "service.url" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $callee := get (get $context "Callees" | default dict) $name -}}
{{- if not $callee -}}
{{- fail (printf "\n\n%s.env has the URL of %q, but this service does not call %q. Add %q to %s.calls." (include "service.valuesPath" $context) $name $name $name (include "service.valuesPath" $context)) -}}
{{- end -}}
{{- $callee.url -}}
{{- end -}}
