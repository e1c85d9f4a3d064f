{{/*
Checks of the entries that the values add to the lists of gateway.yaml. The Collector detects some of these mistakes only
when it starts, and others never.
*/}}
{{- define "collector.validateAdditions" -}}
{{- $gateway := .Values.gateway -}}
{{- $base := .Files.Get "config/gateway.yaml" | fromYaml -}}
{{- $lists := dict
  "sampling.policies" (list "processors" "tail_sampling" "policies")
  "redaction.keys" (list "processors" "redaction/secrets" "blocked_key_patterns")
  "redaction.patterns" (list "processors" "redaction/secrets" "blocked_values")
  "spanMetrics.dimensions" (list "connectors" "span_metrics" "dimensions") -}}
{{- range $path, $keys := $lists -}}
{{- $names := splitList "." $path -}}
{{- $added := dig (index $names 0) (index $names 1) list $gateway -}}
{{- $config := dig (index $keys 0) (index $keys 1) (index $keys 2) "" $gateway.config -}}
{{- if and $added $config -}}
{{- fail (printf "\n\ncollector.gateway.%s adds entries to the list %s, but collector.gateway.config replaces the whole list. Move the entries of gateway.config to gateway.%s, or remove the additions." $path (join "." $keys) $path) -}}
{{- end -}}
{{- $named := has $path (list "sampling.policies" "spanMetrics.dimensions") -}}
{{- $isLabel := eq $path "spanMetrics.dimensions" -}}
{{- $known := list -}}
{{- if $isLabel -}}{{- range list "service.name" "span.name" "span.kind" "status.code" "otel.status_code" "collector.instance.id" -}}
{{- $known = append $known (regexReplaceAll "[^A-Za-z0-9]" . "_") -}}
{{- end -}}{{- end -}}
{{- range dig (index $keys 0) (index $keys 1) (index $keys 2) list $base -}}
{{- $text := ternary (get (ternary . dict $named) "name") . $named -}}
{{- $known = append $known (ternary (regexReplaceAll "[^A-Za-z0-9]" $text "_") $text $isLabel) -}}
{{- end -}}
{{- $new := list -}}
{{- range $index, $entry := $added -}}
{{- $text := ternary (get (ternary $entry dict $named) "name") $entry $named -}}
{{- $identity := ternary (regexReplaceAll "[^A-Za-z0-9]" $text "_") $text $isLabel -}}
{{- if has $identity $known -}}
{{- fail (printf "\n\ncollector.gateway.%s[%d]: %q is already in collector-config/gateway.yaml, or the Collector sets it. Remove the entry, or choose another name." $path $index $text) -}}
{{- end -}}
{{- if has $identity $new -}}
{{- fail (printf "\n\ncollector.gateway.%s[%d]: %q is in the list twice. Remove the entry, or choose another name." $path $index $text) -}}
{{- end -}}
{{- $new = append $new $identity -}}
{{- if hasPrefix "redaction." $path -}}
{{- /* With an alternative that is empty, every valid expression matches the empty text. */ -}}
{{- if not (regexMatch (print "|" $text) "") -}}
{{- fail (printf "\n\ncollector.gateway.%s[%d]: %q is not a regular expression in Go's syntax, which has no look-around and no back-references. Correct the expression." $path $index $text) -}}
{{- end -}}
{{- if regexMatch $text "" -}}
{{- fail (printf "\n\ncollector.gateway.%s[%d]: %q matches an empty text, so it would mask everything. Require at least one character." $path $index $text) -}}
{{- end -}}
{{- end -}}
{{- if eq $path "sampling.policies" -}}
{{- range $key := keys (omit $entry "name" "type") | sortAlpha -}}
{{- if ne $key $entry.type -}}
{{- fail (printf "\n\ncollector.gateway.%s[%d]: a policy of the type %s has no key %s. Put its settings under %s." $path $index $entry.type $key $entry.type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
