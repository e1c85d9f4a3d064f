{{/*
Memory, in Kubernetes' notation.
*/}}

{{/* Bytes of a quantity. Takes value, where. */}}
{{- define "sightline.bytes" -}}
{{- $text := toString .value -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$" $text) -}}
{{- fail (printf "\n\n%s is %q, which is no amount of memory this chart can take a share of. Write a number and one of Ki, Mi, Gi, Ti, k, M, G, T, for example 256Mi." .where $text) -}}
{{- end -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- $unit := regexFind "[a-zA-Z]*$" $text -}}
{{- mulf $number (get $units $unit) | int64 -}}
{{- end -}}

{{/* Refuses a limit under its request. Takes resources, where. */}}
{{- define "sightline.checkMemory" -}}
{{- $limit := dig "limits" "memory" "" (default dict .resources) -}}
{{- $request := dig "requests" "memory" "" (default dict .resources) -}}
{{- $bytes := 0 -}}
{{- if $limit -}}
{{- $bytes = include "sightline.bytes" (dict "value" $limit "where" (printf "%s.resources.limits.memory" .where)) | int64 -}}
{{- end -}}
{{- if and $limit (lt $bytes 16777216) -}}
{{- fail (printf "\n\n%s.resources.limits.memory is %v, under the 16Mi that a process needs to start. Was a unit forgotten? For example 256Mi." .where $limit) -}}
{{- end -}}
{{- if and $limit $request -}}
{{- if lt $bytes (include "sightline.bytes" (dict "value" $request "where" (printf "%s.resources.requests.memory" .where)) | int64) -}}
{{- fail (printf "\n\n%s.resources: the memory limit %v is below the request %v. Raise limits.memory, or lower requests.memory." .where $limit $request) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
How a Go program uses memory. GOMEMLIMIT is 80 % of what it may have: the rest is for what Go does not count, and it makes
the garbage collector work before the kernel does. GOGC lets half as much garbage lie about as Go by itself. Takes
resources, where.
*/}}
{{- define "sightline.goMemory" -}}
{{- include "sightline.checkMemory" . -}}
{{- $limit := dig "limits" "memory" "" (default dict .resources) -}}
{{- if not $limit -}}
{{- fail (printf "\n\n%s.resources.limits.memory is not set, and the memory limiter and GOMEMLIMIT are shares of it. Set it, for example to 256Mi." .where) -}}
{{- end -}}
{{- $bytes := include "sightline.bytes" (dict "value" $limit "where" (printf "%s.resources.limits.memory" .where)) | float64 -}}
- name: GOGC
  value: "50"
- name: GOMEMLIMIT
  value: {{ printf "%dMiB" (divf (mulf $bytes 0.8) 1048576 | int64) }}
{{- end -}}
