#!/bin/sh
# Prints or changes the versions of this repository. Everything else reads these versions through this script.
#
#   tools/version.sh               print the project's version, from Cargo.toml
#   tools/version.sh jaeger        print Jaeger's version, from the appVersion of its subchart
#   tools/version.sh check         fail if the project version in a Chart.yaml differs from the one in Cargo.toml
#   tools/version.sh set VERSION   write the project's version to Cargo.toml, Cargo.lock and each Chart.yaml
set -eu
cd "$(dirname "$0")/.."
jaeger_chart=helm/sightline/charts/jaeger/Chart.yaml

project() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# with_version FILE VERSION: prints the Chart.yaml FILE with VERSION in the fields that hold the project's version. It
# keeps the appVersion of the jaeger subchart, which is Jaeger's own version.
with_version() {
    sed -e "s/^\( *version:\) .*/\1 $2/" "$1" |
        if [ "$1" = "$jaeger_chart" ]; then cat; else sed -e "s/^appVersion: .*/appVersion: \"$2\"/"; fi
}

charts() { find helm -name Chart.yaml | LC_ALL=C sort; }

case ${1-} in
    '') project ;;
    jaeger) sed -n 's/^appVersion: "\(.*\)"$/\1/p' "$jaeger_chart" ;;
    check)
        result=0
        for chart in $(charts); do
            with_version "$chart" "$(project)" | diff -u "$chart" - || {
                echo "$chart: the project version differs from the one in Cargo.toml ($(project)):" \
                    "run make set-version VERSION=$(project)" >&2
                result=1
            }
        done
        exit $result
        ;;
    set)
        version=${2-}
        echo "$version" | grep -qE '^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$' || {
            echo "VERSION is '$version': it must be a semantic version such as 1.2.3" >&2
            exit 2
        }
        work=$(mktemp)
        trap 'rm -f "$work"' EXIT
        sed "s/^version = \"$(project)\"$/version = \"$version\"/" Cargo.toml >"$work" && cat "$work" >Cargo.toml
        for chart in $(charts); do
            with_version "$chart" "$version" >"$work" && cat "$work" >"$chart"
        done
        cargo update --workspace --offline --quiet
        echo "version $version is set; now update the charts' renderings and READMEs: UPDATE_RENDERED=1 make chart"
        ;;
    *)
        echo "tools/version.sh: unknown command '$1'; the comment at the top of the file lists the commands" >&2
        exit 2
        ;;
esac
