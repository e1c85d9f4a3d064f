{{/*
Settings that every pod needs: the security context for the Pod Security Standard `restricted`, the image, the
constraints that spread pods over nodes, and the PodDisruptionBudget.
*/}}

{{/*
The security context of a pod. fsGroup lets the user read mounted secrets and write to volumes. Takes the user ID. If it
is null, the cluster chooses the IDs, as OpenShift does.
*/}}
{{- define "sightline.podSecurityContext" -}}
runAsNonRoot: true
{{- if . }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- end }}
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

{{/* The full name of an image: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST. Takes context, image. */}}
{{- define "sightline.image" -}}
{{- $image := .image -}}
{{- if not $image.repository -}}
{{- fail (printf "\n\n%s: image.repository is empty. Set it to the repository of the image, for example ghcr.io/me/shop." .context.Chart.Name) -}}
{{- end -}}
{{- if and $image.tag $image.digest -}}
{{- fail (printf "\n\n%s: image.tag %q and image.digest %q are both set, but only the digest would be used. Set only one of them." .context.Chart.Name $image.tag $image.digest) -}}
{{- end -}}
{{- if eq $image.tag "latest" -}}
{{- fail (printf "\n\n%s: image.tag is \"latest\", which can refer to a different image on each node and on each day. Use the tag of a version, or set image.digest." .context.Chart.Name) -}}
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

{{/*
The constraints from the values, with a selector for the pods of this workload. Takes constraints, labels (of the pods,
as YAML), revision (the label that differs between two revisions of the workload).
*/}}
{{- define "sightline.topologySpreadConstraints" -}}
{{- $defaults := dict "labelSelector" (dict "matchLabels" (fromYaml .labels)) "matchLabelKeys" (list .revision) -}}
{{- $constraints := list -}}
{{- range .constraints -}}
{{- $constraints = append $constraints (merge (dict) . $defaults) -}}
{{- end -}}
{{- toYaml $constraints -}}
{{- end -}}

{{/*
A PodDisruptionBudget, if there are at least two pods. For a single pod, a budget would only block the drain of the
pod's node. Takes context, name, labels, selector, replicas (the minimum number of pods), budget (from the values),
valuesPath (for messages).
*/}}
{{- define "sightline.podDisruptionBudget" -}}
{{- $budget := .budget -}}
{{- $min := toString (default "" $budget.minAvailable) -}}
{{- $max := ternary "" (toString $budget.maxUnavailable) (kindIs "invalid" $budget.maxUnavailable) -}}
{{- if and $budget.enabled (ge (int .replicas) 2) -}}
{{- if and $min $max -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: minAvailable (%s) and maxUnavailable (%s) are both set, but Kubernetes accepts only one of them. Set one of them to null." .valuesPath $min $max) -}}
{{- end -}}
{{- if has $max (list "0" "0%") -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: maxUnavailable %s forbids every eviction, so a node with such a pod cannot be drained. Use 1." .valuesPath $max) -}}
{{- end -}}
{{- if and $min (or (eq $min "100%") (and (not (hasSuffix "%" $min)) (ge (int $min) (int .replicas)))) -}}
{{- fail (printf "\n\n%s.podDisruptionBudget: minAvailable %s of %d pods forbids every eviction, so a node with such a pod cannot be drained. Use at most %d, or maxUnavailable: 1." .valuesPath $min (int .replicas) (sub (int .replicas) 1)) -}}
{{- end -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ include "sightline.namespace" .context }}
  labels:
    {{- .labels | nindent 4 }}
  {{- with include "sightline.annotations" (dict "context" .context) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  {{- if $min }}
  minAvailable: {{ $budget.minAvailable }}
  {{- else }}
  maxUnavailable: {{ ternary 1 $budget.maxUnavailable (eq $max "") }}
  {{- end }}
  # A pod that is not ready must not block the drain of its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- .selector | nindent 6 }}
{{- end -}}
{{- end -}}
