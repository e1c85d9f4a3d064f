#!/bin/sh
# Runs the given Makefile targets. If a target fails, the next targets still run. The summary shows the result and
# duration of each target.
#
# Environment: SKIP (targets to leave out), TIMES (a file to which the lines of the summary are added).
set -u
cd "$(dirname "$0")/.." || exit

lines=$(mktemp) || exit
trap 'rm -f "$lines"' EXIT
trap 'exit 130' INT TERM
result=0
for target in "$@"; do
    case " ${SKIP-} " in
        *" $target "*)
            printf '  %-14s skipped\n' "$target" >>"$lines"
            continue
            ;;
    esac
    echo "=== $target"
    began=$(date +%s)
    state=passed
    "${MAKE:-make}" --no-print-directory "$target" || { state=FAILED result=1; }
    printf '  %-14s %s in %4d s\n' "$target" "$state" $(($(date +%s) - began)) >>"$lines"
done

echo "=== summary"
cat "$lines"
[ -z "${TIMES-}" ] || cat "$lines" >>"$TIMES"
if [ "$result" = 0 ]; then echo "All passed."; else echo "Not all passed."; fi
exit "$result"
