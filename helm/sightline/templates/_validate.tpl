{{/*
These checks involve the values of several subcharts. Each subchart checks its own values.
*/}}
{{- define "umbrella.validate" -}}
{{- $collector := .Subcharts.collector -}}
{{- $jaeger := .Subcharts.jaeger -}}
{{- $services := omit .Subcharts "collector" "jaeger" -}}
{{- if and $services (not $collector) (not .Values.global.agent.name) -}}
{{- fail (printf "\n\ncollector.enabled is false, so %s would have no agent to send telemetry to. Set global.agent.name to the Service of an agent in another release (and global.agent.namespace to its namespace), or set collector.enabled to true." (keys $services | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if and $collector .Values.global.agent.name -}}
{{- $agent := include "collector.fullname" (dict "context" $collector "component" "agent") -}}
{{- if or (ne $agent .Values.global.agent.name) (not (has .Values.global.agent.namespace (list "" .Release.Namespace))) -}}
{{- fail (printf "\n\nglobal.agent names %q, but this release has its own agent, %q. Leave global.agent.name and global.agent.namespace empty, or set collector.enabled to false." .Values.global.agent.name $agent) -}}
{{- end -}}
{{- end -}}
{{- if and $collector $collector.Values.fullnameOverride (not .Values.global.agent.name) $services -}}
{{- fail (printf "\n\ncollector.fullnameOverride is %q, but services do not read this value. Also set global.agent.name to %q." $collector.Values.fullnameOverride (include "collector.fullname" (dict "context" $collector "component" "agent"))) -}}
{{- end -}}
{{- if and $collector (not $collector.Values.gateway.traces.endpoint) -}}
{{- if not $jaeger -}}
{{- fail "\n\njaeger.enabled is false, so gateways would have no endpoint to send spans to. Set collector.gateway.traces.endpoint to the host:port of an OTLP/gRPC endpoint, or set jaeger.enabled to true." -}}
{{- end -}}
{{- $name := include "jaeger.fullname" $jaeger -}}
{{- if ne $name ($collector.Values.gateway.traces.service | default (printf "%s-jaeger" .Release.Name)) -}}
{{- fail (printf "\n\nJaeger's Service is %q, but gateways do not read Jaeger's values. Also set collector.gateway.traces.service to %q." $name $name) -}}
{{- end -}}
{{- end -}}
{{- include "umbrella.validateTLS" . -}}
{{- include "umbrella.validateConnections" . -}}
{{- end -}}

{{- define "umbrella.validateTLS" -}}
{{- $tls := .Values.global.tls -}}
{{- if and $tls.existingSecret (ne $tls.mode "existingSecret") -}}
{{- fail (printf "\n\nglobal.tls.existingSecret is %q, but global.tls.mode is %q, so the secret would not be used. Set the mode to existingSecret, or remove the name of the secret." $tls.existingSecret $tls.mode) -}}
{{- end -}}
{{- if and $tls.certManager.issuerRef.name (ne $tls.mode "certManager") -}}
{{- fail (printf "\n\nglobal.tls.certManager.issuerRef.name is %q, but global.tls.mode is %q, so the issuer would not be used. Set the mode to certManager, or remove the name of the issuer." $tls.certManager.issuerRef.name $tls.mode) -}}
{{- end -}}
{{- if and $tls.generated.clients (ne $tls.mode "generated") -}}
{{- fail (printf "\n\nglobal.tls.generated.clients is %q, but global.tls.mode is %q, so these clients would get no certificates. Set the mode to generated, or remove the clients." (join "," $tls.generated.clients) $tls.mode) -}}
{{- end -}}
{{- if and (not .Subcharts.collector) (eq $tls.mode "generated") -}}
{{- fail "\n\ncollector.enabled is false, but global.tls.mode is generated. The agent belongs to another release and does not trust a CA that this release generates. Use mode existingSecret with certificates from the agent's CA, mode certManager with the issuer of the agent's certificate, or mode disabled." -}}
{{- end -}}
{{- end -}}

{{/*
Checks the connections between services. Each connection is configured in three places: the caller's
networkPolicy.callees, the callee's networkPolicy.callers, and a URL in the caller's environment. Without these checks,
a mistake in one of these places would show only as a timeout.
*/}}
{{- define "umbrella.validateConnections" -}}
{{- $services := dict -}}
{{- range $alias, $subchart := omit .Subcharts "collector" "jaeger" -}}
{{- $_ := set $services (include "sightline.name" $subchart) (dict "alias" $alias "subchart" $subchart) -}}
{{- end -}}
{{- $disabled := list -}}
{{- range $alias := keys (omit .Values "global" "check" "collector" "jaeger") -}}
{{- if not (hasKey $.Subcharts $alias) -}}{{- $disabled = append $disabled $alias -}}{{- end -}}
{{- end -}}
{{- $known := keys $services | sortAlpha | join ", " -}}
{{- range $name, $service := $services -}}
{{- range $service.subchart.Values.networkPolicy.callers -}}
{{- if not (or (hasKey $services .) (has . $disabled)) -}}
{{- fail (printf "\n\n%s.networkPolicy.callers names %q, which is not a service of this release (%s). Correct the name. If the service has a nameOverride, use the overridden name." $service.alias . $known) -}}
{{- end -}}
{{- end -}}
{{- range $service.subchart.Values.networkPolicy.callees -}}
{{- if not (hasKey $services .name) -}}
{{- fail (printf "\n\n%s.networkPolicy.callees names %q, which is not a service of this release (%s). Correct the name, enable that service, or remove the entry." $service.alias .name $known) -}}
{{- end -}}
{{- $callee := get $services .name -}}
{{- $port := $callee.subchart.Values.service.port -}}
{{- if ne (int .port) (int $port) -}}
{{- fail (printf "\n\n%s.networkPolicy.callees has port %d for %s, but that service listens on port %d (%s.service.port). Set %s.networkPolicy.callees, %s.service.port and the URL in %s.env to the same port." $service.alias (int .port) .name (int $port) $callee.alias $service.alias $callee.alias $service.alias) -}}
{{- end -}}
{{- include "umbrella.validateURL" (dict "root" $ "caller" $service "callee" $callee) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Rejects a URL in the caller's environment if its host is the callee's default name, but its host or port differs from
the callee's actual name or port. Takes root, caller, callee.
*/}}
{{- define "umbrella.validateURL" -}}
{{- $defaultName := printf "%s-%s" .root.Release.Name .callee.alias -}}
{{- $actual := printf "%s:%d" (include "sightline.fullname" .callee.subchart) (int .callee.subchart.Values.service.port) -}}
{{- range $variable, $value := .caller.subchart.Values.env -}}
{{- if kindIs "string" $value -}}
{{- $address := tpl $value $.caller.subchart | regexFind (printf "//%s:[0-9]+" $defaultName) | trimPrefix "//" -}}
{{- if and $address (ne $address $actual) -}}
{{- fail (printf "\n\n%s.env.%s has the address %s, but the address of %s is %s. Change the URL." $.caller.alias $variable $address $.callee.alias $actual) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
