{{/*
Names and labels.

The templates in this directory are for all parts of the umbrella chart. Helm puts the templates of a chart and its
subcharts into one namespace. The directory belongs to the chart `service`, because that chart can also be installed
alone, and the umbrella chart always loads it.
*/}}

{{/*
The name of a subchart. By default, this is its alias, or the name of the release if the subchart is installed alone.
*/}}
{{- define "sightline.name" -}}
{{- .Values.nameOverride | default (ternary .Release.Name .Chart.Name .Chart.IsRoot) -}}
{{- end -}}

{{/*
The name of a subchart's objects. By default, this is RELEASE-NAME, or RELEASE if the subchart is installed alone.
*/}}
{{- define "sightline.fullname" -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name (include "sightline.name" .)) .Chart.IsRoot -}}
{{- include "sightline.checkedName" (.Values.fullnameOverride | default $default) -}}
{{- end -}}

{{/*
Rejects a name unless it is valid for every kind of object. The limit is 52 characters, because a StatefulSet adds a
hyphen and a hash of ten characters to its name in a pod label, and a label value can have at most 63 characters. Takes
the name.
*/}}
{{- define "sightline.checkedName" -}}
{{- if gt (len .) 52 -}}
{{- fail (printf "\n\nThe name %q has %d characters, but the limit is 52, because Kubernetes adds a suffix. Use a shorter release name (34 characters are short enough for every subchart), or set fullnameOverride." . (len .)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" .) -}}
{{- fail (printf "\n\nThe name %q is not a valid name for a Service. Use lower-case letters, digits and hyphens, and begin with a letter: choose another release name, or set fullnameOverride." .) -}}
{{- end -}}
{{- . -}}
{{- end -}}

{{/*
The name of a cluster-scoped object. It contains the namespace, because a cluster can have two releases with the same
name in different namespaces. Takes context, fullname.
*/}}
{{- define "sightline.clusterName" -}}
{{- $name := printf "%s-%s" .fullname (include "sightline.namespace" .context) -}}
{{- if gt (len $name) 63 -}}
{{- $name = printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/*
The labels that select pods. They must never change, because Kubernetes does not allow a workload's selector to change.
Takes context, name, component ("" if the subchart has only one component).
*/}}
{{- define "sightline.selectorLabels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/*
The labels of a pod. They do not include the chart's version, because otherwise every new version would restart every
pod. Takes context, name, component, partOf, version.
*/}}
{{- define "sightline.podLabels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: {{ .partOf | default "sightline" }}
app.kubernetes.io/version: {{ .version | default .context.Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
{{- include "sightline.userLabels" (dict "labels" .context.Values.global.labels "valuesPath" "global.labels") }}
{{- end -}}

{{/* The labels of every other object. Takes the same arguments as sightline.podLabels. */}}
{{- define "sightline.labels" -}}
{{ include "sightline.podLabels" . }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/*
The labels from the values. Labels that the chart sets are rejected, because Services and policies use these labels to
select pods. Takes labels and valuesPath (for messages).
*/}}
{{- define "sightline.userLabels" -}}
{{- range $key, $value := .labels -}}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|part-of|version|managed-by)|helm[.]sh/chart)$" $key -}}
{{- fail (printf "\n\n%s: the label %s is set by the chart, and Services, policies and upgrades use this label to find pods. Remove the label from the values. To change app.kubernetes.io/name, set nameOverride; to change app.kubernetes.io/part-of, set the service's partOf." $.valuesPath $key) -}}
{{- end -}}
{{- end -}}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The chart's labels and the component's labels from the values, each name only once. The chart's labels contain
global.labels, so the component's labels override them. Takes chart (labels as YAML) and own, a list of arguments for
sightline.userLabels.
*/}}
{{- define "sightline.withOwnLabels" -}}
{{- $labels := .chart -}}
{{- range .own -}}{{- $labels = print $labels (include "sightline.userLabels" .) -}}{{- end -}}
{{- fromYaml $labels | toYaml -}}
{{- end -}}

{{/* The namespace of the release's objects. */}}
{{- define "sightline.namespace" -}}
{{- .Values.global.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/*
The field `annotations` of an object: global.annotations and the object's own annotations. Empty if there are none. Takes
context, annotations.
*/}}
{{- define "sightline.annotations" -}}
{{- with merge (dict) (.annotations | default dict) .context.Values.global.annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The name of the agent's Service, and its namespace. */}}
{{- define "sightline.agentName" -}}
{{- .Values.global.agent.name | default (printf "%s-agent" .Release.Name) -}}
{{- end -}}
{{- define "sightline.agentNamespace" -}}
{{- .Values.global.agent.namespace | default (include "sightline.namespace" .) -}}
{{- end -}}

{{/* The listen address, as host:port. An IPv6 address is enclosed in brackets. Takes bind, port. */}}
{{- define "sightline.listenAddress" -}}
{{- ternary (printf "[%s]" .bind) .bind (contains ":" .bind) -}}:{{ .port }}
{{- end -}}
