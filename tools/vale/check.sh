#!/bin/sh
# Uses Vale and the style in tools/vale/styles to check the words of every text file that Git tracks. First it checks
# the style itself: Vale must find a problem in each line of testdata/rejected.txt and none in testdata/accepted.txt.
#
# Environment: VALE (the program, bin/vale by default).
set -eu
cd "$(dirname "$0")/../.."
vale=${VALE:-bin/vale}
testdata=tools/vale/testdata

# run FILE...: prints findings as FILE:LINE:COLUMN:RULE:MESSAGE. The exit code is 1 if there are findings.
run() { "$vale" --no-global --output=line "$@"; }

result=0
found=$(run $testdata/rejected.txt | cut -d: -f2 | sort -un || :)
missed=$(awk 'END { for (line = 1; line <= NR; line++) print line }' $testdata/rejected.txt | grep -vxF "$found" || :)
for line in $missed; do
    echo "$testdata/rejected.txt:$line: the style accepts '$(sed -n "${line}p" $testdata/rejected.txt)'" >&2
    result=1
done
run $testdata/accepted.txt || { echo "$testdata/accepted.txt: the style rejects plain English" >&2; result=1; }
[ $result = 0 ] || exit $result

# Generated files, locked versions, licenses, and the style with its examples are not checked.
files=$(git ls-files | grep -vE '^tools/vale/|^\.vale\.ini$|(^|/)(go\.sum|go\.mod|Cargo\.lock|LICENSE)$|/rendered/|/components\.go$|^docs/glossary\.md$' |
    while read -r file; do [ ! -f "$file" ] || echo "$file"; done)
# The list is split into words on purpose.
# shellcheck disable=SC2086
if run $files; then
    echo "prose: no findings in $(echo "$files" | wc -l | tr -d ' ') files"
else
    echo "prose: rewrite the sentences above; docs/glossary.md lists the terms" >&2
    exit 1
fi
