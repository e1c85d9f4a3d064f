#!/bin/sh
# Runs the given Makefile targets. If a target fails, the next targets still run. The summary shows the result and
# duration of each target.
set -u
cd "$(dirname "$0")/.." || exit

summary=
result=0
for target in "$@"; do
    echo "=== $target"
    began=$(date +%s)
    state=passed
    "${MAKE:-make}" --no-print-directory "$target" || { state=FAILED result=1; }
    summary="$summary$(printf '  %-10s %s in %d s' "$target" "$state" $(($(date +%s) - began)))
"
done

echo "=== summary"
printf '%s' "$summary"
if [ "$result" = 0 ]; then echo "All passed."; else echo "Not all passed."; fi
exit "$result"
