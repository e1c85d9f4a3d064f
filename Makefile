# The contents page of everything a person can do here: `make` prints it.
#
# Variables: OTELCOL, JAEGER, KIND, HELM and HELM_DOCS name programs to use instead of building them, KUBECTL the one to
# use; SIGHTLINE_CACHE is where built Go programs are kept for the next checkout; ARGS goes to `sightline up`, and to
# helm, and to the tests of the chart; CARGO_TARGET_DIR is Cargo's own. Those of the cluster stand at its group.

.DEFAULT_GOAL := help
# Cargo and Go use every core by themselves; two of them at once only get in each other's way.
.NOTPARALLEL:

programs := $(or $(CARGO_TARGET_DIR),target)/release
# A make started by this one is given them as absolute paths and still has to see that they are ours to build.
ours = $(patsubst $(CURDIR)/%,%,$1)
collector := $(call ours,$(or $(OTELCOL),bin/otelcol))
jaeger := $(call ours,$(or $(JAEGER),bin/jaeger))
kind := $(call ours,$(or $(KIND),bin/kind))
helm := $(call ours,$(or $(HELM),bin/helm))
helm_docs := $(call ours,$(or $(HELM_DOCS),bin/helm-docs))
# One that a variable names is not ours to build; whoever runs it says if it is not there.
pipeline := $(filter bin/otelcol,$(collector)) $(filter bin/jaeger,$(jaeger))
# Absolute, as tests run in another directory; a name alone is looked for on the PATH.
program = $(if $(findstring /,$1),$(abspath $1),$1)
override OTELCOL := $(abspath $(collector))
override JAEGER := $(abspath $(jaeger))
override KIND := $(call program,$(kind))
override HELM := $(call program,$(helm))
override HELM_DOCS := $(call program,$(helm_docs))
KUBECTL ?= kubectl
export OTELCOL JAEGER KIND HELM HELM_DOCS KUBECTL

.PHONY: help
help:
	@awk -f tools/help.awk $(MAKEFILE_LIST)

##@ Run

.PHONY: up
up: build $(pipeline) ## run everything here and show three traces; Ctrl-C stops it
	@exec $(programs)/sightline up $(ARGS)

.PHONY: demo
demo: build $(pipeline) ## the same, and exit by itself: 0 when all three traces were complete
	@exec $(programs)/sightline up --demo $(ARGS)

.PHONY: certs
certs: need-cargo ## make or renew the certificates in .sightline/certs
	@cargo build --release --package sightline
	@exec $(programs)/sightline certs $(ARGS)

##@ Build

.PHONY: build
build: need-cargo ## the three services and sightline
	cargo build --release --package user-service --package order-service --package inventory-service --package sightline

.PHONY: tools
tools: $(pipeline) $(filter bin/%,$(kind) $(helm) $(helm_docs)) ## otelcol, jaeger, kind, helm and helm-docs in bin/, once

bin/otelcol: $(wildcard tools/collector/*.go tools/collector/*/*.go) tools/collector/go.mod tools/collector/go.sum
	@tools/build-go.sh otelcol tools/collector . 4

bin/jaeger: tools/jaeger/go.mod tools/jaeger/go.sum
	@tools/build-go.sh jaeger tools/jaeger github.com/jaegertracing/jaeger/cmd/jaeger 4 \
		"-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0"

bin/kind: tools/kind/go.mod tools/kind/go.sum
	@tools/build-go.sh kind tools/kind sigs.k8s.io/kind 1

bin/helm: tools/helm/go.mod tools/helm/go.sum
	@tools/build-go.sh helm tools/helm helm.sh/helm/v4/cmd/helm 3 "-X helm.sh/helm/v4/internal/version.version=v4.3.1"

bin/helm-docs: tools/helm-docs/go.mod tools/helm-docs/go.sum
	@tools/build-go.sh helm-docs tools/helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs 1 "-X main.version=1.14.2"

.PHONY: clean
clean: ## remove what was built and kept here, stored traces too; not the cache of Go programs
	rm -rf bin .sightline
	cargo clean

##@ Cluster

# The kind cluster: its name, its nodes' image (that is the version of Kubernetes) and how many.
KIND_CLUSTER ?= sightline
KIND_IMAGE ?= kindest/node:v1.34.4
KIND_NODES ?= 2
# What is installed, and where. Not kubectl's current context: that may be a cluster that matters.
KUBE_CONTEXT ?= kind-$(KIND_CLUSTER)
NAMESPACE ?=
RELEASE ?= sightline
# On this machine.
ORDER_PORT ?= 8081
JAEGER_PORT ?= 16686
export KIND_CLUSTER KIND_IMAGE KIND_NODES KUBE_CONTEXT NAMESPACE RELEASE ORDER_PORT JAEGER_PORT

.PHONY: images
images: need-cargo need-docker $(filter bin/otelcol,$(collector)) ## build the container images, and see that Jaeger's is there
	@deploy/images/build.sh

.PHONY: kind-up
kind-up: need-docker need-kubectl need-kind images ## make a kind cluster that has the images
	@deploy/kind/up.sh

.PHONY: helm-install
helm-install: need-helm need-kubectl need-cluster ## install Sightline there, or upgrade it; ARGS go to helm
	$(helm) upgrade --install $(RELEASE) helm/sightline --kube-context $(KUBE_CONTEXT) \
		$(if $(NAMESPACE),--namespace $(NAMESPACE) --create-namespace) --wait --timeout 5m $(ARGS)

.PHONY: port-forward
port-forward: need-kubectl need-cluster ## order-service and Jaeger on this machine's loopback; Ctrl-C ends it
	@exec deploy/kind/port-forward.sh

.PHONY: kind-e2e
kind-e2e: need-cargo need-docker need-kubectl need-kind need-helm ## the chart on a kind cluster of its own, which goes again unless KEEP=1
	cargo test --package sightline-tests --test kubernetes -- --ignored $(ARGS)

.PHONY: kind-down
kind-down: need-docker need-kind ## remove the kind cluster
	@"$(KIND)" delete cluster --name "$(KIND_CLUSTER)"

need-kind: $(filter bin/kind,$(kind))
need-helm: $(filter bin/helm,$(helm))
.PHONY: need-docker need-kubectl need-kind need-helm need-cluster
need-docker need-kubectl need-kind need-helm need-cluster:
	@tools/need.sh $(@:need-%=%)

##@ Check

.PHONY: test
test: ## everything below, with the time of each: the test command
	@MAKE="$(MAKE)" tools/test.sh fmt-check lint unit unit-go validate chart e2e

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
validate: $(pipeline) ## each combination of pipeline files; a warning fails
	@tools/validate-pipeline.sh

# ARGS names a check or a set of values. UPDATE_RENDERED=1 writes what the chart renders to now; CHART_CONTEXT
# names one of kubectl's contexts, whose API server is then asked too.
.PHONY: chart
chart: need-cargo need-helm $(pipeline) $(filter bin/helm-docs,$(helm_docs)) ## the Helm chart: renderings, refusals, network policies, values; no cluster
	cargo test --package sightline-tests --test chart -- $(ARGS)

.PHONY: e2e
e2e: build $(pipeline) ## end-to-end tests: real services, Collector and Jaeger, on free ports
	SIGHTLINE_SERVICES="$(abspath $(programs))" cargo test --package sightline-tests --test e2e --test volume

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "cc is missing: install a C compiler (Debian: apt install build-essential)" >&2; exit 1; }

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "go is missing: install it from https://go.dev/dl" >&2; exit 1; }
