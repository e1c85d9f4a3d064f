{{/*
The volumes and their mounts: the certificate, the directory for SQLite, configFiles, and additional volumes from the
values.
*/}}
{{- define "service.volumes" -}}
{{- with include "service.tlsSecret" . }}
{{ include "sightline.tlsVolume" . }}
{{- end }}
{{- if include "service.sqlite" . }}
- name: data
  # The volume is deleted with the pod, so each new pod begins with an empty database.
  emptyDir:
    sizeLimit: {{ .Values.database.sizeLimit }}
{{- end }}
{{- if .Values.configFiles }}
- name: config
  configMap:
    name: {{ include "sightline.fullname" . }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "service.volumeMounts" -}}
{{- if include "service.tlsSecret" . }}
- name: tls
  mountPath: {{ include "sightline.tlsDirectory" . }}
  readOnly: true
{{- end }}
{{- if include "service.sqlite" . }}
- name: data
  mountPath: /data
{{- end }}
{{- if .Values.configFiles }}
- name: config
  mountPath: {{ .Values.configPath }}
  readOnly: true
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
