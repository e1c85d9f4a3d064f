#!/bin/sh
# Runs the Makefile's targets given, each whatever became of the one before, and ends with what passed and its time.
set -u
cd "$(dirname "$0")/.."

summary=
result=0
for part in "$@"; do
    echo "=== $part"
    began=$(date +%s)
    state=passed
    "${MAKE:-make}" --no-print-directory "$part" || { state=FAILED result=1; }
    summary="$summary$(printf '  %-10s %s in %d s' "$part" "$state" $(($(date +%s) - began)))
"
done

echo "=== summary"
printf '%s' "$summary"
if [ "$result" = 0 ]; then echo "All passed."; else echo "Not all passed."; fi
exit "$result"
