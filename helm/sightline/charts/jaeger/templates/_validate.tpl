{{/*
These checks cannot be expressed in the schema.
*/}}
{{- define "jaeger.validate" -}}
{{- $storage := .Values.storage -}}
{{- $type := $storage.type -}}
{{- if not (include "jaeger.sharedStorage" .) -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "\n\njaeger.replicaCount is %d, but storage.type %s is local to one pod, so each pod would store only some of the traces. Use 1, or set storage.type to opensearch, cassandra or clickhouse." (int .Values.replicaCount) $type) -}}
{{- end -}}
{{- if $storage.addresses -}}
{{- fail (printf "\n\njaeger.storage.addresses is %q, but storage.type is %s, which has no server. Set storage.type to opensearch, cassandra or clickhouse, or remove the addresses." (join "," $storage.addresses) $type) -}}
{{- end -}}
{{- else -}}
{{- $example := dict "opensearch" "https://opensearch:9200" "cassandra" "cassandra" "clickhouse" "clickhouse:9000" -}}
{{- if not $storage.addresses -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but storage.addresses is empty. Set the addresses of the database, for example [%s]." $type (get $example $type)) -}}
{{- end -}}
{{- if not $storage.existingSecret -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but storage.existingSecret is empty. Set it to the name of a secret with the keys %s and %s." $type $storage.usernameKey $storage.passwordKey) -}}
{{- end -}}
{{- range $storage.addresses -}}
{{- $patterns := dict "opensearch" "^https?://[^/@]+/?$" "cassandra" "^[^/@:]+$" "clickhouse" "^[^/@]+:[0-9]+$" -}}
{{- if contains "@" . -}}
{{- fail "\n\njaeger.storage.addresses contains a user name or a password, which anyone who can read the release would see. Put the user name and the password into a secret, and set storage.existingSecret to the secret's name." -}}
{{- end -}}
{{- if not (regexMatch (get $patterns $type) .) -}}
{{- fail (printf "\n\njaeger.storage.addresses: %q is not an address of %s. Use the form %s." . $type (get $example $type)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.global.networkPolicy.enabled (not .Values.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\njaeger.storage.type is %s, but no NetworkPolicy allows Jaeger to reach the database. Allow the connection in jaeger.networkPolicy.extraEgress, for example [{to: [{podSelector: {matchLabels: {app: %s}}}], ports: [{port: %s}]}]." $type $type (get (dict "opensearch" "9200" "cassandra" "9042" "clickhouse" "9000") $type)) -}}
{{- end -}}
{{- end -}}
{{- include "jaeger.validateStores" . -}}
{{- include "jaeger.validateAlerts" . -}}
{{- if and .Values.persistence.existingClaim (or (ne $type "badger") (not .Values.persistence.enabled)) -}}
{{- fail (printf "\n\njaeger.persistence.existingClaim is %q, but nothing would be stored there, because storage.type is %s and persistence.enabled is %v. Use storage.type badger with persistence.enabled true, or remove the claim." .Values.persistence.existingClaim $type .Values.persistence.enabled) -}}
{{- end -}}
{{- end -}}

{{- define "jaeger.validateStores" -}}
{{- include "jaeger.validateRemoteStores" . -}}
{{- $own := include "jaeger.ownStores" . | fromJsonArray -}}
{{- if and $own (gt (int .Values.replicaCount) 1) -}}
{{- $names := dict "metrics" "the metrics store" "logs" "the log store" -}}
{{- $found := list -}}
{{- range $own -}}{{- $found = append $found (get $names .) -}}{{- end -}}
{{- fail (printf "\n\njaeger.replicaCount is %d, but the pod contains %s, so each pod would store only some of the data. Use 1, or set jaeger.stores.metrics.endpoint and jaeger.stores.logs.endpoint to stores elsewhere, or set global.stores.enabled to false: gateways then send only traces." (int .Values.replicaCount) (join " and " $found)) -}}
{{- end -}}
{{- if and .Values.pages.hosts (not (include "jaeger.hasStores" .)) -}}
{{- fail (printf "\n\njaeger.pages.hosts is %q, but global.stores.enabled is false, so Jaeger itself serves its UI, and does not check host names. Remove the hosts, or set global.stores.enabled to true." (join "," .Values.pages.hosts)) -}}
{{- end -}}
{{- range $name, $store := pick .Values.stores "metrics" "logs" -}}
{{- if and $store.existingClaim (not (include "jaeger.storeClaimName" (dict "context" $ "store" $name))) -}}
{{- fail (printf "\n\njaeger.stores.%s.existingClaim is %q, but nothing would be stored there, because global.stores.enabled is %v, jaeger.persistence.enabled is %v and the endpoint of the store is %q. Set both to true and the endpoint to an empty string, or remove the claim." $name $store.existingClaim $.Values.global.stores.enabled $.Values.persistence.enabled $store.endpoint) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a URL is one of this pod: `true` or empty. Takes the URL. */}}
{{- define "jaeger.isLocalURL" -}}
{{- if regexMatch "^https?://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]+)?(/|$)" . }}true{{ end -}}
{{- end -}}

{{/* Rejects a URL with a login. Takes url, valuesPath, secret (the value that names the secret to use instead). */}}
{{- define "jaeger.rejectPassword" -}}
{{- if contains "@" .url -}}
{{- fail (printf "\n\n%s contains a user name or a password, which anyone who can read the release would see. Put the header Authorization into a secret, and set %s to the secret's name." .valuesPath .secret) -}}
{{- end -}}
{{- end -}}

{{/* Rejects a URL outside the pod that no NetworkPolicy allows. Takes context, url, valuesPath, port (for the example). */}}
{{- define "jaeger.rejectWithoutPolicy" -}}
{{- $values := .context.Values -}}
{{- if and $values.global.networkPolicy.enabled (not (include "jaeger.isLocalURL" .url)) (not $values.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\n%s is %q, but no NetworkPolicy allows Jaeger's pod to reach it. Allow the connection in jaeger.networkPolicy.extraEgress, for example [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}], ports: [{port: %s}]}]." .valuesPath .url .port) -}}
{{- end -}}
{{- end -}}
