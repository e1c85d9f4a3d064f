{{/*
The services of the release. `result` gets one context for each enabled entry of `services`. Templates of the chart
`service` take such a context, as they take Helm's own context if that chart is installed alone. The context also
contains

- Callers: the names of the services that call this service, as values of the label `app.kubernetes.io/name`
- Callees: a dict from the name of each service in `calls` to its label, port and url.

Takes context, result.
*/}}
{{- define "umbrella.services" -}}
{{- $result := .result -}}
{{- $root := .context -}}
{{- $chart := $root.Subcharts.service.Chart -}}
{{- $examples := $root.Values.examples -}}
{{- range $name, $entry := $root.Values.services -}}
{{- $values := deepCopy $root.Subcharts.service.Values -}}
{{- include "umbrella.override" (dict "into" $values "with" $entry) -}}
{{- if and $values.enabled (or $examples.enabled (not (has $name $examples.services))) -}}
{{- $_ := set $result $name (dict
  "Values" $values
  "Chart" (dict "Name" $name "Version" $chart.Version "AppVersion" $chart.AppVersion "IsRoot" false)
  "Release" $root.Release "Capabilities" $root.Capabilities "Template" $root.Template "Files" $root.Files
  "Callers" list "Callees" dict) -}}
{{- end -}}
{{- end -}}
{{- range $name := keys $result | sortAlpha -}}
{{- $caller := get $result $name -}}
{{- range $caller.Values.calls -}}
{{- include "umbrella.validateCall" (dict "services" $result "caller" $name "callee" .) -}}
{{- $callee := get $result . -}}
{{- $_ := set $caller.Callees . (dict "label" (include "sightline.name" $callee) "port" $callee.Values.service.port "url" (print "http://" (include "service.address" $callee))) -}}
{{- $_ := set $callee "Callers" (append $callee.Callers (include "sightline.name" $caller)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Sets the values in `with` in the dict `into`. Dicts are merged, other values are replaced, and null removes a value. The
functions of Sprig would not replace a value with `false` or 0.
*/}}
{{- define "umbrella.override" -}}
{{- range $key, $value := .with -}}
{{- $current := get $.into $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $current) -}}
{{- include "umbrella.override" (dict "into" $current "with" $value) -}}
{{- else if kindIs "invalid" $value -}}
{{- $_ := unset $.into $key -}}
{{- else -}}
{{- $_ := set $.into $key (deepCopy $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
