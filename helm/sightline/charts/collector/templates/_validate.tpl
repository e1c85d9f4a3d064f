{{/*
These checks cannot be expressed in the schema.
*/}}
{{- define "collector.validate" -}}
{{- $gateway := .Values.gateway -}}
{{- $wait := toString $gateway.sampling.decisionWait -}}
{{- if not (regexMatch "^[1-9][0-9]*s$" $wait) -}}
{{- fail (printf "\n\ncollector.gateway.sampling.decisionWait is %q, but has to be a whole number of seconds, for example 10s, because gateways decide once a second." $wait) -}}
{{- end -}}
{{- $drain := include "collector.drainSeconds" $gateway | int -}}
{{- if lt $drain (add (trimSuffix "s" $wait | int) 10 | int) -}}
{{- fail (printf "\n\ncollector.gateway.terminationGracePeriodSeconds is %d, but a stopping gateway needs preStopSeconds (%d), decisionWait (%s), 10 seconds to send its spans and 20 seconds to exit. Use at least %d, or a shorter decisionWait." (int $gateway.terminationGracePeriodSeconds) (int $gateway.preStopSeconds) $wait (add $gateway.preStopSeconds (trimSuffix "s" $wait | int) 30)) -}}
{{- end -}}
{{- if lt (include "collector.drainSeconds" .Values.agent | int) 10 -}}
{{- fail (printf "\n\ncollector.agent.terminationGracePeriodSeconds is %d, but a stopping agent needs preStopSeconds (%d), 10 seconds to send its queue and 20 seconds to exit. Use at least %d." (int .Values.agent.terminationGracePeriodSeconds) (int .Values.agent.preStopSeconds) (add .Values.agent.preStopSeconds 30)) -}}
{{- end -}}
{{- if lt (int $gateway.replicaCount) 1 -}}
{{- fail (printf "\n\ncollector.gateway.replicaCount is %d, so agents would have no gateway to send to. Use 2 or more. To install no pipeline, set collector.enabled to false." (int $gateway.replicaCount)) -}}
{{- end -}}
{{- $sampling := $gateway.sampling.percentage | float64 -}}
{{- if or (lt $sampling 0.0) (gt $sampling 100.0) -}}
{{- fail (printf "\n\ncollector.gateway.sampling.percentage is %v, but has to be between 0 and 100. Failed and slow traces are always kept." $gateway.sampling.percentage) -}}
{{- end -}}
{{- include "collector.validateTraces" . -}}
{{- include "collector.validateAdditions" . -}}
{{- end -}}
