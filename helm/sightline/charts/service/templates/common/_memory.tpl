{{/*
Templates for memory quantities in Kubernetes notation.
*/}}

{{/* Converts a quantity to bytes. Takes value and valuesPath (for messages). */}}
{{- define "sightline.bytes" -}}
{{- $text := toString .value -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$" $text) -}}
{{- fail (printf "\n\n%s is %q, which is not a memory quantity that this chart supports. Use a number with one of the units Ki, Mi, Gi, Ti, k, M, G, T, for example 256Mi." .valuesPath $text) -}}
{{- end -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- $unit := regexFind "[a-zA-Z]*$" $text -}}
{{- mulf $number (get $units $unit) | int64 -}}
{{- end -}}

{{/* Rejects a memory limit that is too small or below the request. Takes resources and valuesPath (for messages). */}}
{{- define "sightline.checkMemory" -}}
{{- $limit := dig "limits" "memory" "" (default dict .resources) -}}
{{- $request := dig "requests" "memory" "" (default dict .resources) -}}
{{- $bytes := 0 -}}
{{- if $limit -}}
{{- $bytes = include "sightline.bytes" (dict "value" $limit "valuesPath" (printf "%s.resources.limits.memory" .valuesPath)) | int64 -}}
{{- end -}}
{{- if and $limit (lt $bytes 16777216) -}}
{{- fail (printf "\n\n%s.resources.limits.memory is %v, but a process needs at least 16Mi to start. Add a unit if it is missing, for example 256Mi." .valuesPath $limit) -}}
{{- end -}}
{{- if and $limit $request -}}
{{- if lt $bytes (include "sightline.bytes" (dict "value" $request "valuesPath" (printf "%s.resources.requests.memory" .valuesPath)) | int64) -}}
{{- fail (printf "\n\n%s.resources: the memory limit %v is below the request %v. Raise limits.memory, or lower requests.memory." .valuesPath $limit $request) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The environment variables for the memory of a Go program. Takes resources and valuesPath (for messages).

GOMEMLIMIT is 80 % of the memory limit, so the garbage collector runs before the kernel would kill the process. The
other 20 % is for memory that Go does not count. GOGC=50 allows half as much garbage as Go's default. In five runs with
GOGC=50, the whole installation used 445 to 551 MiB after 10,000 orders at 100 orders a second. Gateways hold the spans
that Jaeger has not written yet, so a higher rate needs more memory: 640 MiB at 260 orders a second, 817 MiB at 270.
That is why the test (tests/tests/kubernetes/volume.rs) sends orders at a fixed rate.
*/}}
{{- define "sightline.goMemory" -}}
{{- include "sightline.goMemoryOf" (merge (dict "gogc" "50") .) | trim -}}
{{- end -}}

{{/* The same for a program that sets GOGC itself, unless the argument gogc sets the value. */}}
{{- define "sightline.goMemoryOf" -}}
{{- include "sightline.checkMemory" . -}}
{{- $limit := dig "limits" "memory" "" (default dict .resources) -}}
{{- if not $limit -}}
{{- fail (printf "\n\n%s.resources.limits.memory is not set, but the memory limiter and GOMEMLIMIT are percentages of it. Set it, for example to 256Mi." .valuesPath) -}}
{{- end -}}
{{- $bytes := include "sightline.bytes" (dict "value" $limit "valuesPath" (printf "%s.resources.limits.memory" .valuesPath)) | float64 -}}
{{- if .gogc }}
- name: GOGC
  value: {{ .gogc | quote }}
{{- end }}
- name: GOMEMLIMIT
  value: {{ printf "%dMiB" (divf (mulf $bytes 0.8) 1048576 | int64) }}
{{- end -}}
