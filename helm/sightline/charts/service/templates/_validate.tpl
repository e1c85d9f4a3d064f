{{/*
These checks cannot be expressed in the schema. They reject values that are valid alone but cannot work together.
*/}}
{{- define "service.validate" -}}
{{- $valuesPath := include "service.valuesPath" . -}}
{{- $scaling := .Values.autoscaling -}}
{{- $database := .Values.database -}}
{{- $url := $database.url | default "" -}}
{{- include "sightline.checkMemory" (dict "resources" .Values.resources "valuesPath" $valuesPath) -}}
{{- if $scaling.enabled -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "\n\n%s.autoscaling: minReplicas (%d) is greater than maxReplicas (%d). Raise maxReplicas, or lower minReplicas." $valuesPath (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" .Values.resources) -}}
{{- fail (printf "\n\n%s.autoscaling uses a percentage of the CPU request, but resources.requests.cpu is not set. Set it, for example to 50m." $valuesPath) -}}
{{- end -}}
{{- end -}}
{{- if and $url $database.existingSecret -}}
{{- fail (printf "\n\n%s.database: url and existingSecret (%q) are both set, but a service can have only one database. Remove one of them." $valuesPath $database.existingSecret) -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" $url -}}
{{- fail (printf "\n\n%s.database.url contains a password, which anyone who can read the release would see. Put the URL into a secret, and set database.existingSecret to the secret's name." $valuesPath) -}}
{{- end -}}
{{- if include "service.sqlite" . -}}
{{- if not (regexMatch "^sqlite:///data/[^/?]+[?]mode=rwc$" $url) -}}
{{- fail (printf "\n\n%s.database.url is %q, but a pod can write only to /data. Use sqlite:///data/NAME.db?mode=rwc." $valuesPath $url) -}}
{{- end -}}
{{- if or (gt (int .Values.replicaCount) 1) (and $scaling.enabled (gt (int $scaling.maxReplicas) 1)) -}}
{{- fail (printf "\n\n%s can have %d pods, but database.url is a SQLite file, so each pod would have its own database. Use one replica. Or use PostgreSQL: put the URL of the PostgreSQL database into a secret, and set database.existingSecret to the secret's name." $valuesPath (ternary (int $scaling.maxReplicas) (int .Values.replicaCount) $scaling.enabled)) -}}
{{- end -}}
{{- end -}}
{{- if and (include "service.remoteDatabase" .) .Values.global.networkPolicy.enabled (not .Values.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\n%s.database is outside the pod, but no NetworkPolicy allows this service to reach the database. Allow the connection in %s.networkPolicy.extraEgress, for example [{to: [{podSelector: {matchLabels: {app: postgres}}}], ports: [{port: 5432}]}]." $valuesPath $valuesPath) -}}
{{- end -}}
{{- if and (eq .Values.protocol "worker") (or .Values.networkPolicy.anyCaller .Values.networkPolicy.from) -}}
{{- fail (printf "\n\n%s.networkPolicy allows callers, but the protocol is worker, so the service has no server. Remove anyCaller and from, or set protocol." $valuesPath) -}}
{{- end -}}
{{- $minimum := add .Values.preStopSeconds 15 | int -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) $minimum -}}
{{- fail (printf "\n\n%s.terminationGracePeriodSeconds is %d, but a stopping service needs preStopSeconds (%d), 10 seconds for requests in flight and 5 seconds to flush telemetry. Use at least %d." $valuesPath (int .Values.terminationGracePeriodSeconds) (int .Values.preStopSeconds) $minimum) -}}
{{- end -}}
{{- if and .Values.admin.enabled (ne .Values.protocol "worker") (eq (int .Values.service.port) (int .Values.admin.port)) -}}
{{- fail (printf "\n\n%s: service.port and admin.port are both %d. Use two different ports, because a pod listens on both." $valuesPath (int .Values.admin.port)) -}}
{{- end -}}
{{- end -}}

{{/* Whether the database is outside the pod: `true` or empty. */}}
{{- define "service.remoteDatabase" -}}
{{- if or .Values.database.existingSecret (and .Values.database.url (not (include "service.sqlite" .))) }}true{{ end -}}
{{- end -}}

{{/* These checks apply only if the chart is installed alone. */}}
{{- define "service.validateAlone" -}}
{{- if eq .Values.global.tls.mode "generated" -}}
{{- fail "\n\nglobal.tls.mode is generated, but only the sightline chart generates certificates. For a service in a separate release, add the service's name to global.tls.generated.clients in the sightline release, and set global.tls.mode to existingSecret here. Or set global.tls.mode to certManager, and set an issuerRef." -}}
{{- end -}}
{{- if and (eq .Values.global.tls.mode "certManager") (not .Values.global.tls.certManager.issuerRef.name) -}}
{{- fail "\n\nglobal.tls.mode is certManager, but global.tls.certManager.issuerRef.name is empty. Set it to the name of the issuer of the agent's certificate. If the sightline chart created the issuer, the issuer's name is <release>-ca, and this service has to be in the same namespace as the issuer." -}}
{{- end -}}
{{- if not .Values.global.agent.name -}}
{{- fail "\n\nglobal.agent.name is empty, and this release has no agent. Set it to the name of the agent's Service, for example sightline-agent, and set global.agent.namespace to the Service's namespace." -}}
{{- end -}}
{{- with .Values.calls -}}
{{- fail (printf "\n\ncalls names %s, but calls can name only services of the same sightline release. Set the URL in env, and allow the connection in networkPolicy.extraEgress." (join ", " .)) -}}
{{- end -}}
{{- end -}}
