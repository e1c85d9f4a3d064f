{{/*
Templates for a component's certificate: the secret that the component's pods mount, and the Certificate for
cert-manager.
*/}}

{{/*
The name of the secret with a component's certificate; empty if TLS is disabled. Takes context, fullname, existingSecret
(the component's tls.existingSecret), valuesPath (for messages).
*/}}
{{- define "sightline.tlsSecret" -}}
{{- $tls := .context.Values.global.tls -}}
{{- if and .existingSecret (ne $tls.mode "existingSecret") -}}
{{- fail (printf "\n\n%s.tls.existingSecret is %q, but global.tls.mode is %q, so the secret would not be used. Set global.tls.mode to existingSecret, or remove the name of the secret." .valuesPath .existingSecret $tls.mode) -}}
{{- end -}}
{{- if eq $tls.mode "existingSecret" -}}
{{- $secret := .existingSecret | default $tls.existingSecret -}}
{{- if not $secret -}}
{{- fail (printf "\n\nglobal.tls.mode is existingSecret, but there is no secret for %s. Set global.tls.existingSecret or %s.tls.existingSecret to the name of a secret with tls.crt, tls.key and ca.crt." .fullname .valuesPath) -}}
{{- end -}}
{{- $secret -}}
{{- else if ne $tls.mode "disabled" -}}
{{- .fullname }}-tls
{{- end -}}
{{- end -}}

{{/* The DNS names in a component's certificate, as a JSON list. Takes context, fullname. */}}
{{- define "sightline.dnsNames" -}}
{{- $namespace := include "sightline.namespace" .context -}}
{{- list .fullname (printf "%s.%s" .fullname $namespace) (printf "%s.%s.svc" .fullname $namespace) (printf "%s.%s.svc.cluster.local" .fullname $namespace) | toJson -}}
{{- end -}}

{{/*
The volume with a certificate. Pods mount the whole secret as a directory, because Kubernetes does not update files that
are mounted with subPath. Takes the name of the secret.
*/}}
{{- define "sightline.tlsVolume" -}}
- name: tls
  secret:
    secretName: {{ . }}
    # 288 is 0440 in octal. The process can read the files because of fsGroup.
    defaultMode: 288
{{- end -}}

{{/* The directory of the mounted certificate. */}}
{{- define "sightline.tlsDirectory" -}}/etc/sightline/tls{{- end -}}

{{/* A component's Certificate, if the mode is certManager. Takes context, fullname, labels. */}}
{{- define "sightline.certificate" -}}
{{- $manager := .context.Values.global.tls.certManager -}}
{{- if eq .context.Values.global.tls.mode "certManager" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .fullname }}-tls
  namespace: {{ include "sightline.namespace" .context }}
  labels:
    {{- .labels | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .context) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  secretName: {{ .fullname }}-tls
  commonName: {{ .fullname }}
  dnsNames:
    {{- range include "sightline.dnsNames" . | fromJsonArray }}
    - {{ . }}
    {{- end }}
  # A component can be a server on one hop and a client on the next.
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
