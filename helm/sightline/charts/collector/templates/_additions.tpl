{{/*
The last overlay of the gateway. It contains whole lists, because a list in an overlay of the Collector replaces the
list of the base file: first the entries of gateway.yaml, then the entries from the values. It also contains the settings
of the backend that gateway-backend.yaml cannot read from a variable, and gateway.config of the values.

The module tools/sightline/src/gateway generates the same lists in Rust, and a test compares the two.
*/}}

{{/*
Returns the list in gateway.yaml with the additional entries, as JSON. Takes context, section, component, key, added.
*/}}
{{- define "collector.wholeList" -}}
{{- $base := .context.Files.Get "config/gateway.yaml" | fromYaml -}}
{{- $ours := dig .section .component .key list $base -}}
{{- if not $ours -}}
{{- fail (printf "\n\ncollector: config/gateway.yaml has no list %s.%s.%s, so the values cannot add entries to it." .section .component .key) -}}
{{- end -}}
{{- concat $ours .added | toJson -}}
{{- end -}}

{{/* The gateway's overlay as YAML, or nothing. Takes the context. */}}
{{- define "collector.gatewayOverlay" -}}
{{- $gateway := .Values.gateway -}}
{{- $processors := dict -}}
{{- $connectors := dict -}}
{{- with $gateway.sampling.policies -}}
{{- $list := include "collector.wholeList" (dict "context" $ "section" "processors" "component" "tail_sampling" "key" "policies" "added" .) | fromJsonArray -}}
{{- $_ := set $processors "tail_sampling" (dict "policies" $list) -}}
{{- end -}}
{{- $redaction := dict -}}
{{- range $key, $added := dict "blocked_key_patterns" $gateway.redaction.keys "blocked_values" $gateway.redaction.patterns -}}
{{- if $added -}}
{{- $literals := list -}}
{{- /* In a configuration file, `$$` stands for one `$`. */ -}}
{{- range $added -}}{{- $literals = append $literals (replace "$" "$$" .) -}}{{- end -}}
{{- $list := include "collector.wholeList" (dict "context" $ "section" "processors" "component" "redaction/secrets" "key" $key "added" $literals) | fromJsonArray -}}
{{- $_ := set $redaction $key $list -}}
{{- end -}}
{{- end -}}
{{- with $redaction -}}{{- $_ := set $processors "redaction/secrets" . -}}{{- end -}}
{{- with $gateway.spanMetrics.dimensions -}}
{{- $literals := list -}}
{{- range . -}}
{{- $entry := dict -}}
{{- range $key, $value := . -}}{{- $_ := set $entry $key (replace "$" "$$" $value) -}}{{- end -}}
{{- $literals = append $literals $entry -}}
{{- end -}}
{{- $list := include "collector.wholeList" (dict "context" $ "section" "connectors" "component" "span_metrics" "key" "dimensions" "added" $literals) | fromJsonArray -}}
{{- $_ := set $connectors "span_metrics" (dict "dimensions" $list) -}}
{{- end -}}
{{- $overlay := dict -}}
{{- with $connectors -}}{{- $_ := set $overlay "connectors" . -}}{{- end -}}
{{- with include "collector.tracesExporter" . | fromYaml -}}
{{- $exporters := dict "otlp_grpc/backend" . -}}
{{- if include "collector.sendsAllSignals" $ -}}{{- $_ := set $exporters "otlp_grpc/stores" . -}}{{- end -}}
{{- $_ := set $overlay "exporters" $exporters -}}
{{- end -}}
{{- with $processors -}}{{- $_ := set $overlay "processors" . -}}{{- end -}}
{{- if and (eq (include "collector.tracesMode" .) "disabled") (ne .Values.global.tls.mode "disabled") -}}
{{- /* The backend has no certificate to report. */ -}}
{{- $_ := set $overlay "extensions" (dict "sightline_certificates" (dict "backend" "")) -}}
{{- end -}}
{{- with mergeOverwrite $overlay (deepCopy $gateway.config) -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
