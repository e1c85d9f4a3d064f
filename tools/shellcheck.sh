#!/bin/sh
# Runs shellcheck on every shell script that Git tracks. A file is a shell script if its first line is "#!" and the
# path of a shell.
set -eu
cd "$(dirname "$0")/.."

if ! command -v shellcheck >/dev/null; then
    echo "shellcheck: skipped: shellcheck is not installed (Debian: apt install shellcheck)"
    exit 0
fi
scripts=$(git ls-files | while read -r file; do
    if [ -f "$file" ] && head -n 1 "$file" | grep -qaE '^#!.*[/ ](ba|da)?sh( |$)'; then
        echo "$file"
    fi
done)
[ -n "$scripts" ] || { echo "shellcheck: no script found" >&2; exit 1; }
# The list is split into words on purpose.
# shellcheck disable=SC2086
shellcheck --severity=style $scripts
echo "shellcheck: no findings in $(echo "$scripts" | wc -l | tr -d ' ') scripts"
