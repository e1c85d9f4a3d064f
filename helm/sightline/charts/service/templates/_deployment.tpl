{{/* The Deployment. */}}
{{- define "service.deployment" -}}
{{- $name := include "sightline.name" . -}}
{{- $secret := include "service.tlsSecret" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "sightline.fullname" . }}
  namespace: {{ include "sightline.namespace" . }}
  labels:
    {{- include "service.labels" . | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" . "annotations" .Values.annotations) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicaCount }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "service.selectorLabels" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # A new pod is ready before an old pod stops, so a rollout loses no request, even with a single replica.
      maxUnavailable: 0
      maxSurge: 1
  template:
    metadata:
      labels:
        {{- include "service.podLabels" . | nindent 8 }}
      {{- if or .Values.configFiles .Values.podAnnotations }}
      annotations:
        {{- with .Values.configFiles }}
        checksum/config: {{ toJson . | sha256sum }}
        {{- end }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
    spec:
      {{- with include "sightline.imagePullSecrets" . }}
      {{- . | nindent 6 }}
      {{- end }}
      serviceAccountName: {{ include "service.serviceAccountName" . }}
      # With this token, the resource detector queries the API server for attributes that are not available inside the
      # pod.
      automountServiceAccountToken: {{ .Values.rbac.create }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        {{- include "sightline.podSecurityContext" .Values.runAsUser | nindent 8 }}
      {{- with .Values.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ $name }}
          image: {{ include "sightline.image" (dict "context" . "image" .Values.image) }}
          imagePullPolicy: {{ include "sightline.imagePullPolicy" (dict "context" . "image" .Values.image) }}
          {{- with .Values.command }}
          command:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          env:
            {{- include "service.env" . | nindent 12 }}
          {{- with .Values.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with trim (include "service.containerPorts" .) }}
          ports:
            {{- . | nindent 12 }}
          {{- end }}
          {{- range list "startupProbe" "readinessProbe" "livenessProbe" }}
          {{- $probe := . }}
          {{- with trim (include "service.probe" (dict "context" $ "probe" (get $.Values .))) }}
          {{ $probe }}:
            {{- . | nindent 12 }}
          {{- end }}
          {{- end }}
          {{- if gt (int .Values.preStopSeconds) 0 }}
          lifecycle:
            preStop:
              # Wait until no node sends new connections to this pod any more.
              sleep:
                seconds: {{ .Values.preStopSeconds }}
          {{- end }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- include "sightline.containerSecurityContext" . | nindent 12 }}
          {{- $mounts := include "service.volumeMounts" . }}
          {{- with trim $mounts }}
          volumeMounts:
            {{- . | nindent 12 }}
          {{- end }}
        {{- with .Values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with trim (include "service.volumes" .) }}
      volumes:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with .Values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- include "sightline.topologySpreadConstraints" (dict "constraints" . "labels" (include "service.selectorLabels" $) "revision" "pod-template-hash") | nindent 8 }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{/* The ports of the container. A worker has no server. */}}
{{- define "service.containerPorts" -}}
{{- if ne .Values.protocol "worker" }}
- name: {{ .Values.protocol }}
  containerPort: {{ .Values.service.port }}
{{- end }}
{{- if .Values.admin.enabled }}
- name: admin
  containerPort: {{ .Values.admin.port }}
{{- end }}
{{- end -}}

{{/*
A probe from the values. If there is no admin port, a probe of the admin port becomes a TCP connection to the service's
port. A worker without an admin port then has no such probe. Takes context, probe.
*/}}
{{- define "service.probe" -}}
{{- with .probe -}}
{{- if or $.context.Values.admin.enabled (ne (toString (dig "httpGet" "port" "" .)) "admin") -}}
{{ toYaml . }}
{{- else if ne $.context.Values.protocol "worker" -}}
{{ toYaml (merge (dict "tcpSocket" (dict "port" $.context.Values.protocol)) (omit . "httpGet")) }}
{{- end -}}
{{- end -}}
{{- end -}}
