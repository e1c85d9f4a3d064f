{{/*
Names and labels. The parts reach this folder by a symbolic link, so that each can also be installed alone.
*/}}

{{/* What a part is called: its alias, or the release's name when it is installed alone. */}}
{{- define "sightline.name" -}}
{{- .Values.nameOverride | default (ternary .Release.Name .Chart.Name .Chart.IsRoot) -}}
{{- end -}}

{{/* What its objects are called: release and name. */}}
{{- define "sightline.fullname" -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name (include "sightline.name" .)) .Chart.IsRoot -}}
{{- include "sightline.checkedName" (.Values.fullnameOverride | default $default) -}}
{{- end -}}

{{/* A name that every object can have: a StatefulSet adds a hash of ten characters, a label takes 63. */}}
{{- define "sightline.checkedName" -}}
{{- if gt (len .) 52 -}}
{{- fail (printf "\n\nThe name %q has %d characters, and 52 is the most that leaves room for what Kubernetes adds. Use a shorter release name (34 characters are enough for every part), or set fullnameOverride." . (len .)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" .) -}}
{{- fail (printf "\n\nThe name %q cannot name a Service. Use lower-case letters, digits and hyphens, with a letter first: choose another release name, or set fullnameOverride." .) -}}
{{- end -}}
{{- . -}}
{{- end -}}

{{/*
The name of what belongs to no namespace: with that of the release's, as two releases of one name may be in one cluster.
Takes context, fullname.
*/}}
{{- define "sightline.clusterName" -}}
{{- $name := printf "%s-%s" .fullname .context.Release.Namespace -}}
{{- if gt (len $name) 63 -}}
{{- $name = printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* What selects pods, and never changes. Takes context, name, component ("" where a part has only one). */}}
{{- define "sightline.selectorLabels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod. The chart's version is not among them, or a new chart would restart every pod. */}}
{{- define "sightline.podLabels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: {{ .partOf | default "sightline" }}
app.kubernetes.io/version: {{ .version | default .context.Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
{{- end -}}

{{/* Labels of every other object. */}}
{{- define "sightline.labels" -}}
{{ include "sightline.podLabels" . }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Labels from the values. Takes labels, where. Those of the chart select pods, and a second one would be refused. */}}
{{- define "sightline.userLabels" -}}
{{- range $key, $value := .labels -}}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|part-of|version|managed-by)|helm[.]sh/chart)$" $key -}}
{{- fail (printf "\n\n%s: the label %s is the chart's own, and Services, policies and upgrades find pods by it. Take it out; nameOverride sets app.kubernetes.io/name, and a service's partOf sets app.kubernetes.io/part-of." $.where $key) -}}
{{- end -}}
{{- end -}}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where the agent is: the name of its Service, and its namespace. */}}
{{- define "sightline.agentName" -}}
{{- .Values.global.agent.name | default (printf "%s-agent" .Release.Name) -}}
{{- end -}}
{{- define "sightline.agentNamespace" -}}
{{- .Values.global.agent.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* host:port for listening; an address of IPv6 is written in brackets. Takes bind, port. */}}
{{- define "sightline.listen" -}}
{{- ternary (printf "[%s]" .bind) .bind (contains ":" .bind) -}}:{{ .port }}
{{- end -}}
