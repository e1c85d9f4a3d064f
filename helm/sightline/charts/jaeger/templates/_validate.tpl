{{/*
What a schema cannot see.
*/}}
{{- define "jaeger.validate" -}}
{{- $storage := .Values.storage -}}
{{- $type := $storage.type -}}
{{- if not (include "jaeger.sharedStorage" .) -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "\n\njaeger.replicaCount is %d, but storage.type %s belongs to one process: each Jaeger would have a part of the traces. Use 1, or opensearch, cassandra or clickhouse." (int .Values.replicaCount) $type) -}}
{{- end -}}
{{- if $storage.addresses -}}
{{- fail (printf "\n\njaeger.storage.addresses is %q, but storage.type is %s, which has no server. Set storage.type to opensearch, cassandra or clickhouse, or leave the addresses out." (join "," $storage.addresses) $type) -}}
{{- end -}}
{{- else -}}
{{- $example := dict "opensearch" "https://opensearch:9200" "cassandra" "cassandra" "clickhouse" "clickhouse:9000" -}}
{{- if not $storage.addresses -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but storage.addresses is empty. Say where it is, for example [%s]." $type (get $example $type)) -}}
{{- end -}}
{{- if not $storage.existingSecret -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but storage.existingSecret is empty. Name a secret that holds the keys %s and %s." $type $storage.usernameKey $storage.passwordKey) -}}
{{- end -}}
{{- range $storage.addresses -}}
{{- $good := dict "opensearch" "^https?://[^/@]+/?$" "cassandra" "^[^/@:]+$" "clickhouse" "^[^/@]+:[0-9]+$" -}}
{{- if contains "@" . -}}
{{- fail "\n\njaeger.storage.addresses has a user or a password in it, which anyone who can read the release would see. They belong into the secret that storage.existingSecret names." -}}
{{- end -}}
{{- if not (regexMatch (get $good $type) .) -}}
{{- fail (printf "\n\njaeger.storage.addresses: %q is no address of %s. Write it as %s." . $type (get $example $type)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.global.networkPolicy.enabled (not .Values.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but no NetworkPolicy lets Jaeger reach it. Allow it in jaeger.networkPolicy.extraEgress, for example [{to: [{podSelector: {matchLabels: {app: %s}}}], ports: [{port: %s}]}]." $type $type (get (dict "opensearch" "9200" "cassandra" "9042" "clickhouse" "9000") $type)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (or (ne $type "badger") (not .Values.persistence.enabled)) -}}
{{- fail (printf "\n\njaeger.persistence.existingClaim is %q, but nothing would be stored there: storage.type is %s, persistence.enabled is %v. A claim is for badger with persistence." .Values.persistence.existingClaim $type .Values.persistence.enabled) -}}
{{- end -}}
{{- end -}}
