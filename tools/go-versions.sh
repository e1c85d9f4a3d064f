#!/bin/sh
# Checks that the Go programs use the same version of each module that several of them contain. Go's build cache then
# compiles a package once for all programs.
#
#   tools/go-versions.sh check     fails and lists the modules with different versions
#   tools/go-versions.sh share     raises each of these modules to the highest version among the programs
set -eu
cd "$(dirname "$0")"

# Vale is not in the list, because it is built with cgo and shares hardly any packages. Jaeger, VictoriaMetrics and
# VictoriaLogs are not in the list, because they store data, and keep the versions of their releases.
programs="collector helm kind helm-docs actionlint"

# Helm keeps the versions of its release, because its behaviour must be that of the Helm that users run. These modules may
# differ from Helm's. Its Kubernetes modules are newer than those that this version of the Collector compiles with.
differ_from_helm='^k8s\.io/|^sigs\.k8s\.io/|^github\.com/spf13/cast$|/go-runewidth$|/uax29/v2$'

# Prints PROGRAM MODULE VERSION for each requirement that may not differ.
requirements() {
    for program in $programs; do
        awk -v program="$program" -v differ_from_helm="$differ_from_helm" '
            $1 == "require" && $2 != "(" { sub(/^require /, "") }
            $1 !~ /\./ || $2 !~ /^v[0-9]/ { next }
            program == "helm" && $1 ~ differ_from_helm { next }
            { print program, $1, $2 }' "$program/go.mod"
    done
}

# Prints MODULE HIGHEST-VERSION PROGRAM=VERSION... for each module with different versions. A pre-release such as
# v1.2.3-rc.1 sorts before v1.2.3 because a tilde replaces its first hyphen for the comparison.
different() {
    requirements | awk '{ key = $3; sub(/-/, "~", key); print $2, key, $1, $3 }' | sort -k1,1 -k2,2V | awk '
        function flush() { if (count[module] > 1) print module, highest, list }
        $1 != module { flush(); module = $1; list = ""; last = "" }
        $2 != last { count[module]++ }
        { last = $2; highest = $4; list = list " " $3 "=" $4 }
        END { flush() }'
}

# Completes go.mod and go.sum of each program. The checksums of all systems are needed, because developers build the
# programs on their own system.
add_checksums() {
    for program in $programs; do
        tool=$(awk '$1 == "tool" { print $2 }' "$program/go.mod")
        for system in linux darwin windows; do
            (cd "$program" && GOOS=$system CGO_ENABLED=0 GOFLAGS=-mod=mod go list -deps "${tool:-./...}" >/dev/null)
        done
    done
}

case ${1-} in
    check)
        found=$(different)
        [ -z "$found" ] && exit
        echo "Go programs contain different versions of the same module, so its packages are compiled several times:" >&2
        echo "$found" | while read -r module _ versions; do echo "  $module: $versions" >&2; done
        echo "run tools/go-versions.sh share, or add the module to the exceptions in that script with the reason" >&2
        exit 1
        ;;
    share)
        add_checksums
        # A raised module can require newer versions of other modules, so this repeats until nothing changes.
        while found=$(different) && [ -n "$found" ]; do
            echo "$found" | while read -r module version versions; do
                for each in $versions; do
                    [ "${each#*=}" = "$version" ] || (cd "${each%%=*}" && go mod edit -require="$module@$version")
                done
            done
            add_checksums
        done
        ;;
    *)
        echo "usage: tools/go-versions.sh check | share" >&2
        exit 2
        ;;
esac
