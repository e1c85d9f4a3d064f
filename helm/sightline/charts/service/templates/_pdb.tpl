{{/* The PodDisruptionBudget. */}}
{{- define "service.pdb" -}}
{{- include "sightline.podDisruptionBudget" (dict
  "context" . "valuesPath" (include "service.valuesPath" .) "name" (include "sightline.fullname" .)
  "labels" (include "service.labels" .) "selector" (include "service.selectorLabels" .)
  "replicas" (include "service.minReplicas" .) "budget" .Values.podDisruptionBudget) }}
{{- end -}}
