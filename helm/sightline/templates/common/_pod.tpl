{{/*
What every pod has: the security settings that the Pod Security Standard `restricted` asks for, its image, how it
spreads over nodes, and how much may be evicted at once.
*/}}

{{/* Takes the user id. fsGroup lets that user read mounted secrets and write volumes. */}}
{{- define "sightline.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sightline.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* registry/repository:tag or @digest. Takes context, image. */}}
{{- define "sightline.image" -}}
{{- $image := .image -}}
{{- if not $image.repository -}}
{{- fail (printf "\n\n%s: image.repository is empty. Set it to the image to run, for example ghcr.io/me/shop." .context.Chart.Name) -}}
{{- end -}}
{{- if and $image.tag $image.digest -}}
{{- fail (printf "\n\n%s: image.tag %q and image.digest %q are both set, and only the digest would count. Set one of them." .context.Chart.Name $image.tag $image.digest) -}}
{{- end -}}
{{- if eq $image.tag "latest" -}}
{{- fail (printf "\n\n%s: image.tag is \"latest\", which is another image on each node and each day. Name a version, or set image.digest." .context.Chart.Name) -}}
{{- end -}}
{{- $registry := .context.Values.global.image.registry | default $image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ $image.tag | default .context.Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "sightline.imagePullPolicy" -}}
{{- .image.pullPolicy | default .context.Values.global.image.pullPolicy -}}
{{- end -}}

{{- define "sightline.imagePullSecrets" -}}
{{- with .Values.global.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Each constraint of the values, with the labels of this workload. Takes constraints, labels, revision. */}}
{{- define "sightline.topologySpreadConstraints" -}}
{{- $defaults := dict "labelSelector" (dict "matchLabels" (fromYaml .labels)) "matchLabelKeys" (list .revision) -}}
{{- $constraints := list -}}
{{- range .constraints -}}
{{- $constraints = append $constraints (merge (dict) . $defaults) -}}
{{- end -}}
{{- toYaml $constraints -}}
{{- end -}}

{{/*
A PodDisruptionBudget, where there are two pods or more: with one, it could only forbid what a node's upgrade has to do.
Takes context, name, labels, selector, replicas (the least there are), budget, where (for messages).
*/}}
{{- define "sightline.podDisruptionBudget" -}}
{{- $budget := .budget -}}
{{- $min := toString (default "" $budget.minAvailable) -}}
{{- $max := ternary "" (toString $budget.maxUnavailable) (kindIs "invalid" $budget.maxUnavailable) -}}
{{- if and $budget.enabled (ge (int .replicas) 2) -}}
{{- if and $min $max -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: minAvailable (%s) and maxUnavailable (%s) are both set, and Kubernetes takes one. Set the other to null." .where $min $max) -}}
{{- end -}}
{{- if has $max (list "0" "0%") -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: maxUnavailable %s forbids every eviction, so no node could be drained. Use 1." .where $max) -}}
{{- end -}}
{{- if and $min (or (eq $min "100%") (and (not (hasSuffix "%" $min)) (ge (int $min) (int .replicas)))) -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: minAvailable %s of %d forbids every eviction, so no node could be drained. Use at most %d, or maxUnavailable: 1." .where $min (int .replicas) (sub (int .replicas) 1)) -}}
{{- end -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  {{- if $min }}
  minAvailable: {{ $budget.minAvailable }}
  {{- else }}
  maxUnavailable: {{ ternary 1 $budget.maxUnavailable (eq $max "") }}
  {{- end }}
  # A pod that does not work anyway must not hold up the drain of its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- .selector | nindent 6 }}
{{- end -}}
{{- end -}}
