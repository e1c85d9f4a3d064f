#!/bin/sh
# Removes the examples in a copy of this checkout, and checks that the rest compiles without a warning and that the tests
# of the chart pass there. The copy contains all files that Git does not ignore.
#
# Environment: SIGHTLINE (the program), CARGO_TARGET_DIR, MAKE, and the programs that `make chart` needs.
set -eu
cd "$(dirname "$0")/.."

# The copy is always in the same place and keeps the times of the files, so Cargo compiles only what has changed. It has a
# target directory of its own, because Cargo would take the test programs of this checkout for those of the copy.
target=${CARGO_TARGET_DIR:-$PWD/target}
removed=$target/removed
export CARGO_TARGET_DIR="$removed/target"
copy=$removed/sightline
locked=$(mktemp)
trap 'rm -f "$locked"' EXIT
trap 'exit 130' INT TERM

# share DIRECTORY [OPTION]: copies the build results of all crates from a registry into the target directory of the copy,
# so that Cargo does not compile them again. Cargo compiles a crate whose results are not there.
share() {
    from=$target/debug/$1 to=$CARGO_TARGET_DIR/debug/$1
    shift
    [ -d "$from" ] || return 0
    mkdir -p "$to"
    # The names in these directories are NAME-HASH, libNAME-HASH.rlib and similar.
    (cd "$from" && ls -A) | awk '
        NR == FNR { registry[$0]; next }
        {
            name = $0; sub(/-[0-9a-f]+(\..*)?$/, "", name); gsub(/-/, "_", name)
            library = name; sub(/^lib/, "", library)
            if (name in registry || library in registry) print
        }' "$locked" - |
        (cd "$from" && xargs cp -a "$@" --update --target-directory "$to")
}
# In Cargo.lock, only packages from a registry have a source.
awk '$1 == "name" { name = $3; gsub(/"/, "", name); gsub(/-/, "_", name) } $1 == "source" { print name }' Cargo.lock >"$locked"
# These options of cp exist only in GNU's version. Cargo writes into the small files of .fingerprint, so they are not
# linked.
{ share deps --link && share build --link && share .fingerprint; } || echo "cp cannot link files, so Cargo compiles all crates again"

rm -rf "$copy"
mkdir -p "$copy"
git ls-files --cached --others --exclude-standard | while read -r file; do
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
