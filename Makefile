# Every command of this repository. `make` lists them.
#
# Variables:
#   OTELCOL, JAEGER, VICTORIA_METRICS, VICTORIA_LOGS, VMAUTH, VMALERT, VMALERT_TOOL, KIND, HELM, HELM_DOCS, VALE, ACTIONLINT
#                     programs to use instead of building them
#   JAEGER_UI         the directory of a Jaeger UI to use instead of bin/jaeger-ui, or `embedded` for the UI that is
#                     compiled into the program in JAEGER
#   KUBECTL           the kubectl to use
#   SIGHTLINE_CACHE   the directory with the built Go programs, which all checkouts share
#   SIGHTLINE_ALERTS  `true` makes `make up` evaluate the alerts, as ARGS=--alerts does
#   ARGS              additional arguments for `sightline up`, `certs` and `new-service`, helm or a test
#   CARGO_TARGET_DIR  Cargo's own variable
# The section Cluster below describes the variables for the cluster.

.DEFAULT_GOAL := help
# Cargo and Go each use all cores. If two builds ran at the same time, they would only slow each other down.
.NOTPARALLEL:

# A sub-make inherits OTELCOL and the other programs as absolute paths. in_tree makes a path in this checkout relative
# again, so that the path matches the build rules below.
in_tree = $(patsubst $(CURDIR)/%,%,$1)
collector := $(call in_tree,$(or $(OTELCOL),bin/otelcol))
jaeger := $(call in_tree,$(or $(JAEGER),bin/jaeger))
jaeger_ui := $(call in_tree,$(or $(JAEGER_UI),bin/jaeger-ui))
victoria_metrics := $(call in_tree,$(or $(VICTORIA_METRICS),bin/victoria-metrics))
victoria_logs := $(call in_tree,$(or $(VICTORIA_LOGS),bin/victoria-logs))
vmauth := $(call in_tree,$(or $(VMAUTH),bin/vmauth))
vmalert := $(call in_tree,$(or $(VMALERT),bin/vmalert))
vmalert_tool := $(call in_tree,$(or $(VMALERT_TOOL),bin/vmalert-tool))
kind := $(call in_tree,$(or $(KIND),bin/kind))
helm := $(call in_tree,$(or $(HELM),bin/helm))
helm_docs := $(call in_tree,$(or $(HELM_DOCS),bin/helm-docs))
vale := $(call in_tree,$(or $(VALE),bin/vale))
actionlint := $(call in_tree,$(or $(ACTIONLINT),bin/actionlint))
# Only programs in bin/ are built. If a variable names a program elsewhere, that program must already exist.
pipeline := $(filter bin/otelcol,$(collector)) $(filter bin/jaeger,$(jaeger)) $(filter bin/jaeger-ui,$(jaeger_ui)) \
	$(filter bin/victoria-metrics,$(victoria_metrics)) $(filter bin/victoria-logs,$(victoria_logs)) \
	$(filter bin/vmauth,$(vmauth))
# Paths are absolute because tests run in another directory. A name without a slash stays as it is, because the shell
# finds it on the PATH.
program = $(if $(findstring /,$1),$(abspath $1),$1)
override OTELCOL := $(abspath $(collector))
override JAEGER := $(abspath $(jaeger))
override JAEGER_UI := $(if $(filter embedded,$(jaeger_ui)),embedded,$(abspath $(jaeger_ui)))
override VICTORIA_METRICS := $(abspath $(victoria_metrics))
override VICTORIA_LOGS := $(abspath $(victoria_logs))
override VMAUTH := $(abspath $(vmauth))
override VMALERT := $(call program,$(vmalert))
override VMALERT_TOOL := $(call program,$(vmalert_tool))
override KIND := $(call program,$(kind))
override HELM := $(call program,$(helm))
override HELM_DOCS := $(call program,$(helm_docs))
override VALE := $(call program,$(vale))
override ACTIONLINT := $(call program,$(actionlint))
KUBECTL ?= kubectl
export OTELCOL JAEGER JAEGER_UI VICTORIA_METRICS VICTORIA_LOGS VMAUTH VMALERT VMALERT_TOOL KIND HELM HELM_DOCS VALE ACTIONLINT KUBECTL

.PHONY: help
help:
	@awk -f tools/help.awk $(MAKEFILE_LIST)

##@ Run

# vmalert is built only if `up` starts it.
up_alerts = $(if $(filter --alerts,$(ARGS))$(filter true,$(SIGHTLINE_ALERTS)),$(filter bin/vmalert,$(vmalert)))

.PHONY: up
up: build $(pipeline) $(up_alerts) ## run everything on this machine and show three traces; Ctrl-C stops it
	@exec bin/sightline up $(ARGS)

.PHONY: demo
demo: build $(pipeline) $(up_alerts) ## like up, but exit after the traces; exit code 0 if all three were complete
	@exec bin/sightline up --demo $(ARGS)

.PHONY: pictures
pictures: ## make the pictures in docs/images from the running `make up`; needs Chromium
	@tools/pictures.sh

.PHONY: certs
certs: build ## create or renew the certificates in .sightline/certs
	@exec bin/sightline certs $(ARGS)

.PHONY: new-service
new-service: build ## create the service NAME from a template; ARGS=--grpc or ARGS=--worker selects the template
	@exec bin/sightline new-service $(ARGS) -- "$(NAME)"

##@ Build

.PHONY: build
build: need-cargo ## build the Rust programs into bin/: the services of sightline.toml and sightline
	@tools/build-rust.sh host

# The tests' own programs. `make test` builds them before the tests, so that the time of each test target is its own.
#
# Cargo chooses the features of the dependencies by the selected packages. All commands that test select the whole
# workspace, so that Cargo compiles each dependency only once.
.PHONY: build-tests
build-tests: need-cargo
	cargo test --workspace --all-targets --no-run

.PHONY: tools
tools: $(pipeline) $(filter bin/%,$(vmalert) $(kind) $(helm) $(helm_docs)) ## build the pipeline's programs, kind, helm and helm-docs into bin/, and copy Jaeger's UI there

# module_version DIRECTORY,MODULE: shell code that prints the version of MODULE in DIRECTORY/go.mod, without
# the leading v.
module_version = $$(awk '$$1 == "$2" { print substr($$2, 2) }' $1/go.mod)

bin/otelcol: $(wildcard tools/collector/*.go tools/collector/*/*.go) tools/collector/go.mod tools/collector/go.sum
	@tools/build-go.sh otelcol tools/collector . 4

bin/jaeger: tools/jaeger/go.mod tools/jaeger/go.sum
	@tools/build-go.sh jaeger tools/jaeger github.com/jaegertracing/jaeger/cmd/jaeger 4 \
		"-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v$$(tools/version.sh jaeger)"

bin/jaeger-ui: tools/jaeger-ui/copy.sh tools/jaeger-ui/Cargo.toml tools/jaeger-ui/Cargo.lock
	@tools/jaeger-ui/copy.sh

# The programs of VictoriaMetrics print this version, and send it nowhere.
buildinfo = github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version

bin/victoria-metrics bin/vmauth bin/vmalert bin/vmalert-tool: tools/victoria-metrics/go.mod tools/victoria-metrics/go.sum
	@tools/build-go.sh $(@F) tools/victoria-metrics github.com/VictoriaMetrics/VictoriaMetrics/app/$(@F) 1 \
		"-X $(buildinfo)=$(@F)-v$(call module_version,tools/victoria-metrics,github.com/VictoriaMetrics/VictoriaMetrics)"

bin/victoria-logs: tools/victoria-logs/go.mod tools/victoria-logs/go.sum
	@tools/build-go.sh victoria-logs tools/victoria-logs github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs 1 \
		"-X $(buildinfo)=victoria-logs-v$(call module_version,tools/victoria-logs,github.com/VictoriaMetrics/VictoriaLogs)"

# The example of a service that is not written in Rust, for the tests.
bin/go-service: $(wildcard tests/go-service/*.go) tests/go-service/go.mod tests/go-service/go.sum
	@tools/build-go.sh go-service tests/go-service . 1

bin/kind: tools/kind/go.mod tools/kind/go.sum
	@tools/build-go.sh kind tools/kind sigs.k8s.io/kind 1

bin/helm: tools/helm/go.mod tools/helm/go.sum
	@tools/build-go.sh helm tools/helm helm.sh/helm/v4/cmd/helm 3 "-X helm.sh/helm/v4/internal/version.version=v$(call module_version,tools/helm,helm.sh/helm/v4)"

bin/helm-docs: tools/helm-docs/go.mod tools/helm-docs/go.sum
	@tools/build-go.sh helm-docs tools/helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs 1 "-X main.version=$(call module_version,tools/helm-docs,github.com/norwoodj/helm-docs)"

bin/vale: tools/vale/go.mod tools/vale/go.sum
	@# Vale contains parsers in C.
	@CGO_ENABLED=1 tools/build-go.sh vale tools/vale github.com/vale-cli/vale/v3/cmd/vale 3

bin/actionlint: tools/actionlint/go.mod tools/actionlint/go.sum
	@tools/build-go.sh actionlint tools/actionlint github.com/rhysd/actionlint/cmd/actionlint 1

.PHONY: clean
clean: ## remove build results and the state of make up; keep the cache of Go programs
	rm -rf bin .sightline
	cargo clean

##@ Cluster

# The kind cluster: its name, the image of its nodes (which sets the Kubernetes version) and the number of nodes.
KIND_CLUSTER ?= sightline
KIND_IMAGE ?= kindest/node:v1.34.4
KIND_NODES ?= 2
# The release, and where to install it. kubectl's current context is not used, because it may point to a production
# cluster.
KUBE_CONTEXT ?= kind-$(KIND_CLUSTER)
NAMESPACE ?=
RELEASE ?= sightline
# The ports on this machine that `make port-forward` uses.
ORDER_PORT ?= 8081
JAEGER_PORT ?= 16686
export KIND_CLUSTER KIND_IMAGE KIND_NODES KUBE_CONTEXT NAMESPACE RELEASE ORDER_PORT JAEGER_PORT

.PHONY: images
images: need-cargo need-docker $(filter bin/otelcol,$(collector)) ## build the container images and get those of Jaeger and the stores
	@deploy/images/build.sh

.PHONY: kind-up
kind-up: need-docker need-kubectl need-kind ## build the images, create a kind cluster and load the images
	@MAKE="$(MAKE)" deploy/kind/up.sh

.PHONY: helm-install
helm-install: need-helm need-kubectl need-cluster ## install or upgrade Sightline in the cluster; ARGS go to helm
	$(helm) upgrade --install $(RELEASE) helm/sightline --kube-context $(KUBE_CONTEXT) \
		$(if $(NAMESPACE),--namespace $(NAMESPACE) --create-namespace) --wait --timeout 5m $(ARGS)

.PHONY: port-forward
port-forward: need-kubectl need-cluster ## forward order-service and the pages to loopback; Ctrl-C stops it
	@exec deploy/kind/port-forward.sh

.PHONY: kind-e2e
kind-e2e: need-cargo need-docker need-kubectl need-kind need-helm bin/go-service ## test the chart on a new kind cluster; KEEP=1 keeps the cluster
	cargo test --workspace --test kubernetes -- --ignored $(ARGS)

.PHONY: kind-down
kind-down: need-docker need-kind ## remove the kind cluster
	@"$(KIND)" delete cluster --name "$(KIND_CLUSTER)"

need-kind: $(filter bin/kind,$(kind))
need-helm: $(filter bin/helm,$(helm))
.PHONY: need-docker need-kubectl need-kind need-helm need-cluster
need-docker need-kubectl need-kind need-helm need-cluster:
	@tools/need.sh $(@:need-%=%)

##@ Check

# The builds are steps of their own, so that the table of times shows them. SKIP names targets to leave out.
.PHONY: test
test: ## run the checks and tests below except actionlint, with the time of each
	@MAKE="$(MAKE)" tools/test.sh fmt-check clippy package shellcheck prose version-check doc build build-tests unit scaffold $(pipeline) unit-go validate alerts $(filter bin/%,$(helm) $(helm_docs)) chart e2e faults

.PHONY: fmt
fmt: need-cargo ## format the code
	cargo fmt --all

.PHONY: fmt-check
fmt-check: need-cargo ## fail if code is not formatted
	cargo fmt --all --check

.PHONY: lint
lint: clippy package shellcheck prose version-check ## clippy, packaging, shellcheck, prose and versions; a warning fails

.PHONY: clippy
clippy: need-cargo
	cargo clippy --workspace --all-targets -- --deny warnings
	@# --all-targets leaves out the tests that need programs or a cluster (`test = false`).
	cargo clippy --workspace --test '*' -- --deny warnings

.PHONY: shellcheck
shellcheck:
	@tools/shellcheck.sh

.PHONY: prose
prose: $(filter bin/vale,$(vale)) ## check the words of documents, comments and messages
	@tools/vale/check.sh

.PHONY: version-check
version-check:
	@tools/version.sh check
	@tools/go-versions.sh check

.PHONY: actionlint
actionlint: $(filter bin/actionlint,$(actionlint)) ## check the workflows in .github
	"$(ACTIONLINT)"

.PHONY: doc
doc: need-cargo ## build the library's documentation; a warning fails
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps --package sightline-telemetry

.PHONY: package
package: need-cargo ## check that the library can be packaged for crates.io
	cargo package --quiet --no-verify --allow-dirty --package sightline-telemetry

# `cargo test --workspace` tests the library with all features. This target also tests what an adopter with fewer
# features compiles. It is not part of `make test`, because it compiles the library more than ten times.
.PHONY: features
features: need-cargo package ## check each cargo feature of the library alone, and test none, the default and all of them
	@cargo hack --version >/dev/null 2>&1 || { \
		echo "make features needs cargo-hack: run cargo install --locked cargo-hack" >&2; exit 1; }
	cargo hack check --each-feature --package sightline-telemetry
	cargo test --package sightline-telemetry --no-default-features
	cargo test --package sightline-telemetry
	cargo test --package sightline-telemetry --all-features

.PHONY: unit
unit: need-cargo ## unit tests
	cargo test --workspace
	@# The output lists the documents' commands that no test runs.
	cargo test --workspace --test docs -- --show-output

.PHONY: scaffold
scaffold: need-cargo ## create a service from each template in a copy of this checkout, and run clippy and its tests
	cargo test --workspace --lib -- --ignored scaffold

.PHONY: unit-go
unit-go: export CGO_ENABLED = 0
unit-go: need-go ## unit tests of our packages in the Collector, and checks of all our Go code
	@cd tools/collector && test -z "$$(gofmt -l certificates gateprocessor k8sattributes logcount ownmetrics publiccas retryexhausted)" || { gofmt -d certificates gateprocessor k8sattributes logcount ownmetrics publiccas retryexhausted; exit 1; }
	@# The flags are the same as in the build, so that Go reuses the packages that the build has compiled.
	cd tests/go-service && test -z "$$(gofmt -l .)" && go vet -trimpath .
	cd tools/collector && go vet -trimpath ./certificates ./gateprocessor ./k8sattributes ./logcount ./ownmetrics ./publiccas ./retryexhausted && go test -trimpath -timeout 3m ./certificates ./gateprocessor ./k8sattributes ./logcount ./ownmetrics ./publiccas ./retryexhausted

.PHONY: validate
validate: $(pipeline) ## validate each combination of pipeline files; a warning fails
	@tools/validate-pipeline.sh

.PHONY: alerts
alerts: $(filter bin/vmalert bin/vmalert-tool,$(vmalert) $(vmalert_tool)) ## check the alerts in deploy/alerts, and run their tests
	@"$(VMALERT)" -dryRun -rule='deploy/alerts/*.yaml' -loggerLevel=ERROR
	@"$(VMALERT_TOOL)" unittest -disableAlertgroupLabel $(foreach file,$(wildcard deploy/alerts/tests/*.yaml),--files=$(file))

.PHONY: dashboards
dashboards: need-cargo ## write the dashboards for vmui and Grafana from deploy/dashboards/*.yaml
	UPDATE_RENDERED=1 cargo test --workspace --lib -- dashboards

# ARGS selects tests by name. UPDATE_RENDERED=1 replaces the stored renderings and the READMEs of the charts. If
# CHART_CONTEXT names a kubectl context, the API server of that context also checks the renderings.
.PHONY: chart
chart: need-cargo need-helm $(pipeline) $(filter bin/vmalert bin/helm-docs,$(vmalert) $(helm_docs)) ## test the Helm chart without a cluster
	cargo test --workspace --test chart -- $(ARGS)

.PHONY: e2e
e2e: need-cargo $(pipeline) $(filter bin/vmalert,$(vmalert)) bin/go-service ## end-to-end tests with real services, Collector, Jaeger and stores
	@tools/build-rust.sh host fixture
	SIGHTLINE_SERVICES="$(abspath bin)" cargo test --workspace --test e2e --test volume

# ARGS selects rows by name.
.PHONY: faults
faults: need-cargo $(pipeline) ## the rows of the table of faults that take seconds
	@tools/build-rust.sh host fixture
	SIGHTLINE_SERVICES="$(abspath bin)" cargo test --workspace --test faults -- $(ARGS)

.PHONY: test-faults
test-faults: ## all rows of the table of faults; UPDATE_FAULTS=1 writes docs/faults.md
	@$(MAKE) --no-print-directory faults ARGS="--include-ignored $(ARGS)" UPDATE_FAULTS="$(UPDATE_FAULTS)"

.PHONY: test-removed
test-removed: build need-helm $(pipeline) $(filter bin/helm-docs,$(helm_docs)) ## remove the examples in a copy of this checkout, and test the copy
	@MAKE="$(MAKE)" SIGHTLINE="$(abspath bin)/sightline" tools/test-removed.sh

##@ Release

.PHONY: set-version
set-version: need-cargo ## write VERSION=1.2.3 to Cargo.toml and each Chart.yaml
	@tools/version.sh set "$(VERSION)"

.PHONY: changelog
changelog: ## write CHANGELOG.md from the commits; VERSION=1.2.3 names the new version
	@tools/release/changelog.sh update $(VERSION)

.PHONY: release-notes
release-notes:
	@tools/release/changelog.sh notes

.PHONY: dist
dist: need-cargo need-helm ## put the archive of the programs and the packaged chart into dist/
	@tools/release/archives.sh

.PHONY: sbom
sbom: need-cargo ## put an SBOM of each program into dist/sbom/
	@tools/release/sbom.sh

.PHONY: push
push: need-docker need-helm ## push the images and the chart to REGISTRY, and sign them
	@tools/release/push.sh "$(REGISTRY)"

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "cc is missing: install a C compiler (Debian: apt install build-essential)" >&2; exit 1; }

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "go is missing: install it from https://go.dev/dl" >&2; exit 1; }
