{{/*
Parts of a NetworkPolicy. An arrow that is not written in one does not exist, in either direction.
*/}}

{{/* Egress to the cluster's DNS. */}}
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

{{/* Egress to the API server, which no label selects: by port, and by address where the values give some. */}}
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

{{/* Ingress from Prometheus, where the values say where it is. Takes context, ports. */}}
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
A ServiceMonitor of the Prometheus operator. Takes context, name, labels, selector, ports.
*/}}
{{- define "sightline.serviceMonitor" -}}
{{- $monitor := .context.Values.global.serviceMonitor -}}
{{- if $monitor.enabled -}}
{{- if not (.context.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- fail "\n\nglobal.serviceMonitor.enabled is true, but the cluster does not know monitoring.coreos.com/v1. Install the Prometheus operator first, or set it to false. `helm template` knows no cluster: give it --api-versions monitoring.coreos.com/v1." -}}
{{- end -}}
{{- if and .context.Values.global.networkPolicy.enabled (not .context.Values.global.networkPolicy.prometheus) -}}
{{- fail "\n\nglobal.serviceMonitor.enabled is true, but no NetworkPolicy lets Prometheus in. Say where it is in global.networkPolicy.prometheus, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ .name }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- .labels | nindent 4 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- .selector | nindent 6 }}
  endpoints:
    {{- range .ports }}
    - port: {{ . }}
      interval: {{ $monitor.interval }}
    {{- end }}
{{- end -}}
{{- end -}}
