{{/*
Certificates, as a part sees them: which secret it mounts, and, with cert-manager, the Certificate that makes it.
*/}}

{{/* The secret of a component; empty without TLS. Takes context, fullname, own (its tls.existingSecret), where. */}}
{{- define "sightline.tlsSecret" -}}
{{- $tls := .context.Values.global.tls -}}
{{- if and .own (ne $tls.mode "existingSecret") -}}
{{- fail (printf "\n\n%s.tls.existingSecret is %q, but global.tls.mode is %q, so nobody would read it. Set global.tls.mode to existingSecret, or leave the name out." .where .own $tls.mode) -}}
{{- end -}}
{{- if eq $tls.mode "existingSecret" -}}
{{- $secret := .own | default $tls.existingSecret -}}
{{- if not $secret -}}
{{- fail (printf "\n\nglobal.tls.mode is existingSecret, but no secret is named for %s. Set global.tls.existingSecret, or %s.tls.existingSecret, to a secret with tls.crt, tls.key and ca.crt." .fullname .where) -}}
{{- end -}}
{{- $secret -}}
{{- else if ne $tls.mode "disabled" -}}
{{- .fullname }}-tls
{{- end -}}
{{- end -}}

{{/* Every name a server's certificate holds. Takes context, fullname. */}}
{{- define "sightline.dnsNames" -}}
{{- $namespace := .context.Release.Namespace -}}
{{- list .fullname (printf "%s.%s" .fullname $namespace) (printf "%s.%s.svc" .fullname $namespace) (printf "%s.%s.svc.cluster.local" .fullname $namespace) | toJson -}}
{{- end -}}

{{/* The whole secret as a directory, never a file by subPath: those do not follow when the secret changes. */}}
{{- define "sightline.tlsVolume" -}}
- name: tls
  secret:
    secretName: {{ . }}
    # 0440: read through fsGroup.
    defaultMode: 288
{{- end -}}

{{- define "sightline.tlsDirectory" -}}/etc/sightline/tls{{- end -}}

{{/* cert-manager's Certificate of a component. Takes context, fullname, labels. */}}
{{- define "sightline.certificate" -}}
{{- $manager := .context.Values.global.tls.certManager -}}
{{- if eq .context.Values.global.tls.mode "certManager" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .fullname }}-tls
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  secretName: {{ .fullname }}-tls
  commonName: {{ .fullname }}
  dnsNames:
    {{- range include "sightline.dnsNames" . | fromJsonArray }}
    - {{ . }}
    {{- end }}
  # Each is a client on one hop and a server on the next.
  usages: [digital signature, server auth, client auth]
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: Always
  duration: {{ $manager.duration }}
  renewBefore: {{ $manager.renewBefore }}
  issuerRef:
    name: {{ $manager.issuerRef.name | default (printf "%s-ca" .context.Release.Name) }}
    kind: {{ $manager.issuerRef.kind }}
    group: {{ $manager.issuerRef.group }}
{{- end -}}
{{- end -}}
