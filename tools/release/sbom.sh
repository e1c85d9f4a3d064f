#!/bin/sh
# Writes an SBOM (software bill of materials) for each program to dist/sbom, in the CycloneDX format. The source is
# Cargo.lock for the Rust programs and go.mod for the Collector.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo-cyclonedx >/dev/null || {
    echo "cargo-cyclonedx is missing: cargo install --locked cargo-cyclonedx" >&2
    exit 1
}
mkdir -p dist/sbom
cargo cyclonedx --format json --quiet
# cargo-cyclonedx writes each file next to the Cargo.toml of the package. The test packages are not released.
find services tools -name '*.cdx.json' -exec mv {} dist/sbom/ \;
find tests -name '*.cdx.json' -exec rm {} \;
if command -v cyclonedx-gomod >/dev/null; then
    cyclonedx-gomod app -json -output dist/sbom/otelcol.cdx.json tools/collector
else
    echo "sbom: skipped the Collector: cyclonedx-gomod is missing" \
        "(go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@latest)"
fi
ls -l dist/sbom
