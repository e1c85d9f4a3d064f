{{/*
Templates for the rules of NetworkPolicies and for ServiceMonitors. In both directions, the policies deny every
connection that no rule allows.
*/}}

{{/* The egress rule for the cluster's DNS. Takes the context. */}}
{{- define "sightline.egressDNS" -}}
{{- $dns := .Values.global.networkPolicy.dns -}}
- to:
    {{- toYaml $dns.to | nindent 4 }}
  ports:
    {{- range $dns.ports }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}

{{/*
The egress rule for the API server. No label selects the API server, so the rule lists the ports of the API server, and
also its addresses if the values contain them. Takes the context.
*/}}
{{- define "sightline.egressAPIServer" -}}
{{- $server := .Values.global.networkPolicy.apiServer -}}
- ports:
    {{- range $server.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $server.cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* The ingress rule for Prometheus, if global.networkPolicy.prometheus is set. Takes context, ports. */}}
{{- define "sightline.ingressPrometheus" -}}
{{- with .context.Values.global.networkPolicy.prometheus -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    {{- range $.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}
{{- end -}}

{{/*
A ServiceMonitor for the Prometheus operator. Takes context, name, labels, selector, ports, and relabelings: a dict from a
port to the relabelings of its metrics (optional).
*/}}
{{- define "sightline.serviceMonitor" -}}
{{- $monitor := .context.Values.global.serviceMonitor -}}
{{- if $monitor.enabled -}}
{{- if not (.context.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- fail "\n\nglobal.serviceMonitor.enabled is true, but the cluster does not have the API monitoring.coreos.com/v1. Install the Prometheus operator first, or set the value to false. For `helm template`, which does not connect to a cluster, add --api-versions monitoring.coreos.com/v1." -}}
{{- end -}}
{{- if and .context.Values.global.networkPolicy.enabled (not .context.Values.global.networkPolicy.prometheus) -}}
{{- fail "\n\nglobal.serviceMonitor.enabled is true, but no NetworkPolicy allows connections from Prometheus. Select the Prometheus pods in global.networkPolicy.prometheus, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ .name }}
  namespace: {{ include "sightline.namespace" .context }}
  labels:
    {{- .labels | nindent 4 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "sightline.annotations" (dict "context" .context) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  selector:
    matchLabels:
      {{- .selector | nindent 6 }}
  endpoints:
    {{- range .ports }}
    - port: {{ . }}
      interval: {{ $monitor.interval }}
      {{- with get (default dict $.relabelings) . }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end -}}
{{- end -}}
