{{/*
These checks involve the values of several subcharts. Each subchart checks its own values.
*/}}
{{- define "umbrella.validate" -}}
{{- $collector := .Subcharts.collector -}}
{{- $jaeger := .Subcharts.jaeger -}}
{{- $services := dict -}}
{{- include "umbrella.services" (dict "context" . "result" $services) -}}
{{- if and $services (not $collector) (not .Values.global.agent.name) -}}
{{- fail (printf "\n\ncollector.enabled is false, so %s would have no agent to send telemetry to. Set global.agent.name to the Service of an agent in another release (and global.agent.namespace to its namespace), or set collector.enabled to true." (keys $services | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if and $collector .Values.global.agent.name -}}
{{- $agent := include "collector.fullname" (dict "context" $collector "component" "agent") -}}
{{- if or (ne $agent .Values.global.agent.name) (not (has .Values.global.agent.namespace (list "" (include "sightline.namespace" .)))) -}}
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
{{- if and $collector .Values.global.serviceMonitor.enabled $collector.Values.gateway.serviceMonitor.serviceMetrics -}}
{{- range $name, $service := $services -}}
{{- if $service.Values.admin.enabled -}}
{{- fail (printf "\n\ncollector.gateway.serviceMonitor.serviceMetrics is true, but %s has a ServiceMonitor too, so Prometheus would store its metrics twice, and sums would count everything twice. Set serviceMetrics to false, or admin.enabled of all services to false." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "umbrella.validateTLS" . -}}
{{- include "umbrella.validateNames" (dict "context" . "services" $services) -}}
{{- include "umbrella.validateAddresses" (dict "context" . "services" $services) -}}
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
{{- if and (eq $tls.mode "generated") (not .Values.renderOnly) (not (include "umbrella.hasCluster" .)) -}}
{{- fail "\n\nglobal.tls.mode is generated, but Helm renders without a cluster, as `helm template` and Argo CD do. Helm then cannot read the CA that the cluster has, so each rendering would contain a new CA, which running pods do not trust. To apply the manifests, set global.tls.mode to certManager, or to existingSecret with secrets of your own, or install with `helm install` or Flux's HelmRelease. To only read the manifests, set renderOnly to true, or use --dry-run=server." -}}
{{- end -}}
{{- end -}}

{{/*
Rejects a call that cannot work. Without this check, the mistake would show only as a timeout. Takes services, caller
and callee (both names).
*/}}
{{- define "umbrella.validateCall" -}}
{{- $callee := get .services .callee -}}
{{- if eq .caller .callee -}}
{{- fail (printf "\n\nservices.%s.calls names the service itself. Remove %q from the list." .caller .callee) -}}
{{- end -}}
{{- if not $callee -}}
{{- fail (printf "\n\nservices.%s.calls names %q, which is not an enabled service of this release (%s). Correct the name, enable that service, or remove the entry." .caller .callee (keys .services | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if eq $callee.Values.protocol "worker" -}}
{{- fail (printf "\n\nservices.%s.calls names %q, but the protocol of that service is worker, so it has no server. Remove the entry, or set services.%s.protocol." .caller .callee .callee) -}}
{{- end -}}
{{- end -}}

{{/*
Rejects a name that two components would have, and the name of an object that two components would create. Takes
context, services.
*/}}
{{- define "umbrella.validateNames" -}}
{{- $reserved := list "agent" "gateway" "jaeger" "test" "ca" -}}
{{- $known := dict -}}
{{- $objects := include "umbrella.pipelineObjects" .context | fromJson -}}
{{- range $key, $service := .services -}}
{{- $name := include "sightline.name" $service -}}
{{- $fullname := include "sightline.fullname" $service -}}
{{- if has $name $reserved -}}
{{- fail (printf "\n\nservices.%s: the name %q is reserved for a component of the pipeline. Use another name." $key $name) -}}
{{- end -}}
{{- range list $name $fullname -}}
{{- if hasKey $known . -}}
{{- fail (printf "\n\nservices.%s and services.%s have the same name, %q. Change nameOverride or fullnameOverride of one of them." (get $known .) $key .) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $known $name $key -}}
{{- $_ := set $known $fullname $key -}}
{{- $names := list $fullname -}}
{{- if include "service.separateAdmin" $service -}}
{{- $names = append $names (printf "%s-admin" $fullname) -}}
{{- end -}}
{{- range $names -}}
{{- if hasKey $objects . -}}
{{- fail (printf "\n\nservices.%s would create an object with the name %q, but this is the name of an object of %s. Use another name, or change fullnameOverride." $key . (get $objects .)) -}}
{{- end -}}
{{- $_ := set $objects . (printf "services.%s" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The names of the pipeline's objects that an object of a service could also have, as a JSON map from the name to the
component. Takes the context.
*/}}
{{- define "umbrella.pipelineObjects" -}}
{{- $objects := dict -}}
{{- with .Subcharts.collector -}}
{{- $_ := set $objects (include "collector.fullname" (dict "context" . "component" "agent")) "the agent" -}}
{{- $_ := set $objects (include "collector.fullname" (dict "context" . "component" "gateway")) "the gateway" -}}
{{- $_ := set $objects (include "collector.headlessName" .) "the gateway" -}}
{{- end -}}
{{- with .Subcharts.jaeger -}}
{{- $_ := set $objects (include "jaeger.fullname" .) "Jaeger" -}}
{{- end -}}
{{- toJson $objects -}}
{{- end -}}

{{/*
Rejects an address in a service's environment if its host is the default name of another service, but the host or the
port differs from the other service's actual address. Takes context, services.
*/}}
{{- define "umbrella.validateAddresses" -}}
{{- range $key, $caller := .services -}}
{{- range $variable, $value := $caller.Values.env -}}
{{- if kindIs "string" $value -}}
{{- $text := tpl $value $caller -}}
{{- range $name, $callee := $.services -}}
{{- $actual := include "service.address" $callee -}}
{{- $address := $text | regexFind (printf "//%s-%s:[0-9]+" $.context.Release.Name $name) | trimPrefix "//" -}}
{{- if and $address (ne $address $actual) -}}
{{- fail (printf "\n\nservices.%s.env.%s has the address %s, but the address of %s is %s. Change the address, or use {{ include \"service.url\" (list . \"%s\") }}." $key $variable $address $name $actual $name) -}}
{{- end -}}
{{- if and $address (not (has $name $caller.Values.calls)) -}}
{{- fail (printf "\n\nservices.%s.env.%s has the address of %s, but services.%s.calls does not name %s, so no NetworkPolicy allows the connection. Add %s to calls." $key $variable $name $key $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
