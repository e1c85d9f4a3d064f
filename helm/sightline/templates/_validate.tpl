{{/*
What no part can see alone: what one says of another.
*/}}
{{- define "umbrella.validate" -}}
{{- $collector := .Subcharts.collector -}}
{{- $jaeger := .Subcharts.jaeger -}}
{{- $services := omit .Subcharts "collector" "jaeger" -}}
{{- if and $services (not $collector) (not .Values.global.agent.name) -}}
{{- fail (printf "\n\ncollector.enabled is false, so %s would send telemetry to nobody. Name the Service of another release's agent in global.agent.name (and its namespace in global.agent.namespace), or set collector.enabled to true." (keys $services | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if and $collector .Values.global.agent.name -}}
{{- $agent := include "collector.fullname" (dict "context" $collector "component" "agent") -}}
{{- if or (ne $agent .Values.global.agent.name) (not (has .Values.global.agent.namespace (list "" .Release.Namespace))) -}}
{{- fail (printf "\n\nglobal.agent names %q, but this release has an agent of its own, %q. Leave global.agent.name and .namespace empty, or set collector.enabled to false." .Values.global.agent.name $agent) -}}
{{- end -}}
{{- end -}}
{{- if and $collector $collector.Values.fullnameOverride (not .Values.global.agent.name) $services -}}
{{- fail (printf "\n\ncollector.fullnameOverride is %q, and services do not see it. Set global.agent.name to %q too." $collector.Values.fullnameOverride (include "collector.fullname" (dict "context" $collector "component" "agent"))) -}}
{{- end -}}
{{- if and $collector (not $collector.Values.gateway.jaeger.endpoint) -}}
{{- if not $jaeger -}}
{{- fail "\n\njaeger.enabled is false, so gateways would send spans to nobody. Say where they go in collector.gateway.jaeger.endpoint (host:port of OTLP over gRPC), or set jaeger.enabled to true." -}}
{{- end -}}
{{- $name := include "jaeger.fullname" $jaeger -}}
{{- if ne $name ($collector.Values.gateway.jaeger.name | default (printf "%s-jaeger" .Release.Name)) -}}
{{- fail (printf "\n\nJaeger's Service is %q, and gateways do not see that. Set collector.gateway.jaeger.name to %q too." $name $name) -}}
{{- end -}}
{{- end -}}
{{- include "umbrella.validateTLS" . -}}
{{- include "umbrella.validateArrows" . -}}
{{- end -}}

{{- define "umbrella.validateTLS" -}}
{{- $tls := .Values.global.tls -}}
{{- if and $tls.existingSecret (ne $tls.mode "existingSecret") -}}
{{- fail (printf "\n\nglobal.tls.existingSecret is %q, but global.tls.mode is %q, so nobody would read it. Set the mode to existingSecret, or leave the name out." $tls.existingSecret $tls.mode) -}}
{{- end -}}
{{- if and $tls.certManager.issuerRef.name (ne $tls.mode "certManager") -}}
{{- fail (printf "\n\nglobal.tls.certManager.issuerRef.name is %q, but global.tls.mode is %q, so nobody would use it. Set the mode to certManager, or leave the name out." $tls.certManager.issuerRef.name $tls.mode) -}}
{{- end -}}
{{- if and $tls.generated.clients (ne $tls.mode "generated") -}}
{{- fail (printf "\n\nglobal.tls.generated.clients is %q, but global.tls.mode is %q, so nobody would make their certificates. Leave them out." (join "," $tls.generated.clients) $tls.mode) -}}
{{- end -}}
{{- if and (not .Subcharts.collector) (eq $tls.mode "generated") -}}
{{- fail "\n\ncollector.enabled is false and global.tls.mode is generated: the agent is in another release, and does not trust an authority made here. Use mode existingSecret with certificates of the agent's authority, certManager with its issuer, or disabled." -}}
{{- end -}}
{{- end -}}

{{/*
Who calls whom is written at both ends and in an address. A mistake in one of them would only show as a timeout.
*/}}
{{- define "umbrella.validateArrows" -}}
{{- $parts := dict -}}
{{- range $alias, $part := omit .Subcharts "collector" "jaeger" -}}
{{- $_ := set $parts (include "sightline.name" $part) (dict "alias" $alias "part" $part) -}}
{{- end -}}
{{- $off := list -}}
{{- range $alias := keys (omit .Values "global" "check" "collector" "jaeger") -}}
{{- if not (hasKey $.Subcharts $alias) -}}{{- $off = append $off $alias -}}{{- end -}}
{{- end -}}
{{- $known := keys $parts | sortAlpha | join ", " -}}
{{- range $name, $one := $parts -}}
{{- range $one.part.Values.networkPolicy.callers -}}
{{- if not (or (hasKey $parts .) (has . $off)) -}}
{{- fail (printf "\n\n%s.networkPolicy.callers names %q, which is no service of this release (%s). Correct the name; it is the nameOverride, where there is one." $one.alias . $known) -}}
{{- end -}}
{{- end -}}
{{- range $one.part.Values.networkPolicy.callees -}}
{{- if not (hasKey $parts .name) -}}
{{- fail (printf "\n\n%s.networkPolicy.callees names %q, which is no service of this release (%s). Correct the name, enable that service, or take it out." $one.alias .name $known) -}}
{{- end -}}
{{- $callee := get $parts .name -}}
{{- $port := $callee.part.Values.service.port -}}
{{- if ne (int .port) (int $port) -}}
{{- fail (printf "\n\n%s.networkPolicy.callees says that %s is on port %d, and it is on %d (%s.service.port). Make them the same, here and in %s.env." $one.alias .name (int .port) (int $port) $callee.alias $one.alias) -}}
{{- end -}}
{{- include "umbrella.validateAddress" (dict "root" $ "caller" $one "callee" $callee) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* An address in a caller's environment, of a callee that has another name or another port. */}}
{{- define "umbrella.validateAddress" -}}
{{- $usual := printf "%s-%s" .root.Release.Name .callee.alias -}}
{{- $now := printf "%s:%d" (include "sightline.fullname" .callee.part) (int .callee.part.Values.service.port) -}}
{{- range $variable, $value := .caller.part.Values.env -}}
{{- if kindIs "string" $value -}}
{{- $address := tpl $value $.caller.part | regexFind (printf "//%s:[0-9]+" $usual) | trimPrefix "//" -}}
{{- if and $address (ne $address $now) -}}
{{- fail (printf "\n\n%s.env.%s is for %s, and %s is at %s. Write that there." $.caller.alias $variable $address $.callee.alias $now) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
