# The contents page of everything a person can do here: `make` prints it.
#
# Variables: OTELCOL and JAEGER name programs to use instead of building them; SIGHTLINE_CACHE is where built Go
# programs are kept for the next checkout; ARGS goes to `sightline up`; CARGO_TARGET_DIR is Cargo's own.

.DEFAULT_GOAL := help
# Cargo and Go use every core by themselves; two of them at once only get in each other's way.
.NOTPARALLEL:

programs := $(or $(CARGO_TARGET_DIR),target)/release
# A make started by this one is given them as absolute paths and still has to see that they are ours to build.
collector := $(patsubst $(CURDIR)/%,%,$(or $(OTELCOL),bin/otelcol))
jaeger := $(patsubst $(CURDIR)/%,%,$(or $(JAEGER),bin/jaeger))
# Absolute, as tests run in another directory.
override OTELCOL := $(abspath $(collector))
override JAEGER := $(abspath $(jaeger))
export OTELCOL JAEGER

.PHONY: help
help:
	@awk -f tools/help.awk $(MAKEFILE_LIST)

##@ Run

.PHONY: up
up: build tools ## run everything here and show three traces; Ctrl-C stops it
	@exec $(programs)/sightline up $(ARGS)

.PHONY: demo
demo: build tools ## the same, and exit by itself: 0 when all three traces were complete
	@exec $(programs)/sightline up --demo $(ARGS)

.PHONY: certs
certs: need-cargo ## make or renew the certificates in .sightline/certs
	@cargo build --release --package sightline
	@exec $(programs)/sightline certs $(ARGS)

##@ Build

.PHONY: build
build: need-cargo ## the three services and sightline
	cargo build --release --package user-service --package order-service --package inventory-service --package sightline

# One that a variable names is not ours to build; whoever runs it says if it is not there.
.PHONY: tools
tools: $(filter bin/otelcol,$(collector)) $(filter bin/jaeger,$(jaeger)) ## bin/otelcol and bin/jaeger, once

bin/otelcol: $(wildcard tools/collector/*.go tools/collector/*/*.go) tools/collector/go.mod tools/collector/go.sum
	@tools/build-go.sh otelcol tools/collector . 2

bin/jaeger: tools/jaeger/go.mod tools/jaeger/go.sum
	@tools/build-go.sh jaeger tools/jaeger github.com/jaegertracing/jaeger/cmd/jaeger 6 \
		"-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0"

.PHONY: clean
clean: ## remove what was built and kept here, stored traces too; not the cache of Go programs
	rm -rf bin .sightline
	cargo clean

##@ Check

.PHONY: test
test: ## everything below, with the time of each: the test command
	@MAKE="$(MAKE)" tools/test.sh fmt-check lint unit unit-go validate e2e

.PHONY: fmt
fmt: need-cargo ## format the code
	cargo fmt --all

.PHONY: fmt-check
fmt-check: need-cargo ## say what is not formatted
	cargo fmt --all --check

.PHONY: lint
lint: need-cargo ## clippy; a warning fails
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: unit
unit: need-cargo ## unit tests
	cargo test --workspace --exclude sightline-tests

.PHONY: unit-go
unit-go: export CGO_ENABLED = 0
unit-go: need-go ## unit tests of what is ours in the Collector
	@cd tools/collector && test -z "$$(gofmt -l gateprocessor)" || { gofmt -d gateprocessor; exit 1; }
	@# With the flags of the build, whose compiled packages are used again.
	cd tools/collector && go vet -trimpath ./gateprocessor && go test -trimpath -timeout 3m ./gateprocessor

.PHONY: validate
validate: tools ## each combination of pipeline files; a warning fails
	@tools/validate-pipeline.sh

.PHONY: e2e
e2e: build tools ## end-to-end tests: real services, Collector and Jaeger, on free ports
	cargo test --release --package sightline-tests

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "cc is missing: install a C compiler (Debian: apt install build-essential)" >&2; exit 1; }

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "go is missing: install it from https://go.dev/dl" >&2; exit 1; }
