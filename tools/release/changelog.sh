#!/bin/sh
# Writes CHANGELOG.md from the Git history, or prints the entries of the newest tag.
#
#   tools/release/changelog.sh update [VERSION]   put new entries under VERSION, or under "Unreleased"
#   tools/release/changelog.sh notes
set -eu
cd "$(dirname "$0")/../.."

command -v git-cliff >/dev/null || {
    echo "git-cliff is missing: cargo install --locked git-cliff, or pip install git-cliff" >&2
    exit 1
}
case ${1-} in
    update) git-cliff --config cliff.toml ${2:+--tag "v$2"} --output CHANGELOG.md ;;
    notes) git-cliff --config cliff.toml --latest --strip all ;;
    *)
        echo "usage: tools/release/changelog.sh update [VERSION] | notes" >&2
        exit 2
        ;;
esac
