#!/bin/sh
# Removes the examples in a copy of this checkout, and checks that the rest compiles without a warning and that the tests
# of the chart pass there. The copy contains the files that Git tracks.
#
# Environment: SIGHTLINE (the program), CARGO_TARGET_DIR, MAKE, and the programs that `make chart` needs.
set -eu
cd "$(dirname "$0")/.."

# The copy is always in the same place and keeps the times of the files, so Cargo compiles only what has changed. It has a
# target directory of its own, because Cargo would take the test programs of this checkout for those of the copy.
removed=${CARGO_TARGET_DIR:-$PWD/target}/removed
export CARGO_TARGET_DIR="$removed/target"
copy=$removed/sightline
rm -rf "$copy"
mkdir -p "$copy"
git ls-files | while read -r file; do
    if [ -f "$file" ]; then echo "$file"; fi
done | tar -cf - -T - | tar -xf - -C "$copy"
cd "$copy"
# The program asks Git whether the files of the examples are committed.
git init --quiet
git add --all
git -c user.name=tests -c user.email=tests@example.org commit --quiet --message "Copy the checkout"

"$SIGHTLINE" remove-examples --root "$copy"
"$SIGHTLINE" remove-examples --root "$copy" | grep "nothing to remove"
cargo clippy --workspace --all-targets --locked -- --deny warnings
"${MAKE:-make}" --no-print-directory chart
