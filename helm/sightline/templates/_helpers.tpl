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

{{/*
A secret of the mode generated, as a hook of installations and upgrades. Takes context, name, annotations, data. No pod
mounts the secret of the CA.
*/}}
{{- define "umbrella.tlsSecret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ include "sightline.namespace" .context }}
  labels:
    {{- include "umbrella.labels" (dict "context" .context "component" "tls") | nindent 4 }}
  annotations:
    {{- with .context.Values.global.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
    {{- toYaml .annotations | nindent 4 }}
type: kubernetes.io/tls
data:
  {{- toYaml .data | nindent 2 }}
{{- end -}}

{{/*
`true` if Helm renders for a cluster, otherwise empty. Without a cluster, as for `helm template`, `lookup` finds nothing.
Every namespace contains the ConfigMap, and a user who can install this chart can read it. A namespace that Helm is about to
create does not contain it yet. Takes the context.
*/}}
{{- define "umbrella.hasCluster" -}}
{{- if or (lookup "v1" "ConfigMap" (include "sightline.namespace" .) "kube-root-ca.crt") (lookup "v1" "Namespace" "" "kube-system") -}}
true
{{- end -}}
{{- end -}}
