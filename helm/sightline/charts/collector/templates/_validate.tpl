{{/*
What a schema cannot see.
*/}}
{{- define "collector.validate" -}}
{{- $gateway := .Values.gateway -}}
{{- $wait := toString $gateway.sampling.decisionWait -}}
{{- if not (regexMatch "^[1-9][0-9]*s$" $wait) -}}
{{- fail (printf "\n\ncollector.gateway.sampling.decisionWait is %q, and has to be whole seconds, for example 10s: what waits for a trace to be complete looks at it once a second." $wait) -}}
{{- end -}}
{{- $drain := include "collector.drainSeconds" $gateway | int -}}
{{- if lt $drain (add (trimSuffix "s" $wait | int) 10 | int) -}}
{{- fail (printf "\n\ncollector.gateway.terminationGracePeriodSeconds is %d: a gateway that stops needs preStopSeconds (%d), decisionWait (%s), 10 seconds to send and 20 to spare. Use at least %d, or a shorter decisionWait." (int $gateway.terminationGracePeriodSeconds) (int $gateway.preStopSeconds) $wait (add $gateway.preStopSeconds (trimSuffix "s" $wait | int) 30)) -}}
{{- end -}}
{{- if lt (include "collector.drainSeconds" .Values.agent | int) 10 -}}
{{- fail (printf "\n\ncollector.agent.terminationGracePeriodSeconds is %d: an agent that stops needs preStopSeconds (%d), 10 seconds to send its queue and 20 to spare. Use at least %d." (int .Values.agent.terminationGracePeriodSeconds) (int .Values.agent.preStopSeconds) (add .Values.agent.preStopSeconds 30)) -}}
{{- end -}}
{{- if lt (int $gateway.replicaCount) 1 -}}
{{- fail (printf "\n\ncollector.gateway.replicaCount is %d, so agents would have nowhere to send to. Use 2 or more; to leave the pipeline out, set collector.enabled to false." (int $gateway.replicaCount)) -}}
{{- end -}}
{{- $sampling := $gateway.sampling.percentage | float64 -}}
{{- if or (lt $sampling 0.0) (gt $sampling 100.0) -}}
{{- fail (printf "\n\ncollector.gateway.sampling.percentage is %v, and a share is between 0 and 100. Failed and slow traces are kept whatever it is." $gateway.sampling.percentage) -}}
{{- end -}}
{{- if not (regexMatch ":[0-9]+$" (include "collector.jaegerEndpoint" .)) -}}
{{- fail (printf "\n\ncollector.gateway.jaeger.endpoint is %q, and has to be host:port of OTLP over gRPC, for example jaeger.tracing.svc:4317." $gateway.jaeger.endpoint) -}}
{{- end -}}
{{- if contains "://" (include "collector.jaegerEndpoint" .) -}}
{{- fail (printf "\n\ncollector.gateway.jaeger.endpoint is %q, and takes no scheme: whether there is TLS is for global.tls.mode to say. Write host:port." $gateway.jaeger.endpoint) -}}
{{- end -}}
{{- if and $gateway.jaeger.endpoint .Values.global.networkPolicy.enabled (not $gateway.networkPolicy.extraEgress) -}}
{{- fail (printf "\n\ncollector.gateway.jaeger.endpoint is %q, but no NetworkPolicy lets gateways reach it. Allow it in collector.gateway.networkPolicy.extraEgress, for example [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tracing}}}], ports: [{port: 4317}]}]." $gateway.jaeger.endpoint) -}}
{{- end -}}
{{- end -}}
