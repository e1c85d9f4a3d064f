//! Tests of the chart on a real cluster with two nodes: `make kind-e2e`.
//!
//! The cases share one installation, and each case restores what it changes. `schedule` in this file puts the cases
//! into groups: the groups run one after another, and the lanes of a group run side by side, because most cases mostly
//! wait. Cases that measure memory run alone. After a failure the other cases still run, unless the installation failed.
//! Names on the command line select cases. `cargo test` skips all of these cases unless it gets `-- --ignored`, because
//! the cases take minutes and need Docker.
//!
//! Environment variables:
//!
//! - `KIND_E2E_CLUSTER`: the name of the cluster. If a cluster with this name exists, the tests use it.
//! - `KEEP=1`: do not delete the cluster.
//! - `KUBECTL`, `HELM`, `MAKE`: the programs to run.
//! - The variables of the Makefile, because the tests run make.

mod attributes;
mod cluster;
mod docs;
mod extra_release;
mod forward;
mod go_service;
mod install;
mod memory;
mod metadata;
mod outage;
mod renderings;
mod rollouts;
mod routes;
mod snapshot;
mod standards;
mod stores;
mod tls;
mod uninstall;
mod upgrade;
mod volume;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Arguments;
use sightline_tests::examples;
pub(crate) use sightline_tests::schedule::progress;
use sightline_tests::schedule::{Lane, Outcome, Schedule};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use self::cluster::Cluster;
use self::extra_release::Plaintext;
use self::install::Install;

/// What the cases share. The chart is installed only once. If the installation fails, every case reports the same
/// error.
#[derive(Default)]
struct Shared {
    install: OnceCell<Result<Install, String>>,
    plaintext: Plaintext,
}

impl Shared {
    async fn install(&self) -> Result<&Install> {
        let start = async || Install::start().await.map_err(|error| format!("{error:#}"));
        let install = self.install.get_or_init(start).await;
        install.as_ref().map_err(|error| anyhow::anyhow!("the installation failed: {error}"))
    }
}

#[derive(Clone)]
struct Suite {
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
}

impl Suite {
    /// Returns the code of a case that uses the shared installation.
    fn case(
        &self,
        case: impl AsyncFnOnce(&Install) -> Result<()> + Send + 'static,
    ) -> impl FnOnce() -> Outcome + Send + 'static {
        self.case_with_plaintext(async move |install, _| case(install).await)
    }

    /// Returns the code of a case that uses the shared installation and the release without TLS.
    fn case_with_plaintext(
        &self,
        case: impl AsyncFnOnce(&Install, &Plaintext) -> Result<()> + Send + 'static,
    ) -> impl FnOnce() -> Outcome + Send + 'static {
        let Self { runtime, shared } = self.clone();
        move || {
            let outcome = runtime.block_on(async { case(shared.install().await?, &shared.plaintext).await });
            outcome.map_err(|error| format!("{error:#}"))
        }
    }

    /// The cases in their order.
    fn schedule(&self) -> Schedule {
        let Self { runtime, shared } = self.clone();
        // Each case reports the error of a failed installation.
        let install = move || runtime.block_on(shared.install()).map(drop).unwrap_or_default();
        let mut schedule = Schedule::new("make kind-up and the installation of the chart", install);

        // These cases only read the shared installation, or add pods and telemetry of their own. No pod is replaced,
        // so the pods that a case compares with the telemetry stay the same.
        schedule.group(
            "reading",
            [
                Lane::default()
                    .case(
                        "standards::the_namespace_rejects_unrestricted_pods",
                        self.case(standards::restricted_pods),
                    )
                    .case("standards::every_node_has_an_agent", self.case(standards::agent_nodes))
                    .case("standards::gateways_run_on_several_nodes", self.case(standards::gateway_nodes))
                    .case("standards::jaeger_serves_its_own_ui", self.case(standards::jaeger_ui))
                    .case("attributes::services_report_their_pod_and_node", self.case(attributes::services))
                    .case("docs::the_commands_in_the_readme_show_an_order", self.case(docs::readme)),
                // The CronJob can take a minute to create its Job.
                Lane::default()
                    .case("attributes::a_cronjob_is_accepted", self.case(attributes::create_cronjob))
                    .case("attributes::a_job_reports_its_cronjob", self.case(attributes::cronjob)),
                Lane::default()
                    .case(
                        "attributes::the_agent_adds_only_missing_attributes",
                        self.case(attributes::added_by_agent),
                    )
                    .case("tls::endpoints_require_a_trusted_certificate", self.case(tls::endpoints))
                    .case("go_service::a_go_program_joins_with_one_entry", self.case(go_service::joins)),
                // Services send metrics once a minute.
                Lane::default()
                    .case("stores::find_the_log_records_of_an_order", self.case(stores::log_records))
                    .case("stores::two_gateways_count_each_request_once", self.case(stores::counters))
                    .case("stores::alerts_are_evaluated", self.case(stores::alerts)),
                // Both cases run `helm test`, whose pod has a fixed name.
                Lane::default()
                    .case(
                        "install::helm_test_sends_an_order_and_reads_all_signals",
                        self.case(standards::helm_test),
                    )
                    .case("docs::the_commands_in_troubleshoot_succeed", self.case(docs::troubleshoot)),
            ],
        );

        // The first lane replaces certificates and pods of the shared installation under load, and checks that nothing
        // is lost. Two such changes at the same time could lose spans that each of them alone does not lose, so they
        // run one after another. The second lane uses other namespaces. Its releases exist one after another, because
        // the check that a release leaves no object behind also covers objects outside namespaces. No case of this
        // group sends more than 20 orders per second.
        schedule.group(
            "replacing",
            [
                Lane::default()
                    .case("tls::pods_reload_certificates_under_load", self.case(tls::rotation))
                    .case(
                        "rollouts::a_user_service_rollout_loses_no_request_or_span",
                        self.case(rollouts::user_service),
                    )
                    .case(
                        "rollouts::an_inventory_service_rollout_loses_no_request_or_span",
                        self.case(rollouts::inventory_service),
                    )
                    .case("rollouts::a_deleted_gateway_loses_no_span", self.case(rollouts::gateway))
                    .case("rollouts::a_deleted_agent_loses_no_span", self.case(rollouts::agent))
                    .case(
                        "metadata::an_agent_starts_without_the_api_server",
                        self.case(metadata::agent_starts_without_the_api_server),
                    )
                    .case("stores::keep_their_data_when_their_pod_is_replaced", self.case(stores::kept)),
                Lane::default()
                    .case(
                        "renderings::the_api_server_accepts_every_rendering",
                        self.case(renderings::accepted),
                    )
                    .case(
                        "upgrade::upgrades_from_the_chart_of_the_previous_commit",
                        self.case(upgrade::upgrade),
                    )
                    .case(
                        "extra_release::without_tls_it_serves_an_order",
                        self.case_with_plaintext(extra_release::serves_an_order),
                    ),
            ],
        );

        // These cases measure memory or fill it, with as many orders as the machine can serve.
        schedule.group(
            "alone",
            [Lane::default()
                .case("volume::memory_stays_within_its_limit", self.case(volume::memory_limit))
                .case(
                    "extra_release::without_tls_it_survives_a_jaeger_outage",
                    self.case_with_plaintext(extra_release::survives_jaeger_outage),
                )],
        );

        schedule.group(
            "removing",
            [
                Lane::default().case("uninstall::removes_every_object", self.case(uninstall::uninstall)),
                Lane::default().case(
                    "uninstall::removes_every_object_without_tls",
                    self.case_with_plaintext(extra_release::uninstall),
                ),
            ],
        );
        schedule
    }
}

#[expect(clippy::print_stdout, reason = "the measurements and a skip are results of the tests")]
#[expect(clippy::print_stderr, reason = "the test harness prints its results to stderr too")]
fn main() -> Result<ExitCode> {
    // An error means that a cryptography provider is already installed. The error is ignored, because all code in this
    // process installs the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(reason) = examples::skip_reason()? {
        println!("skipped, because the tests send orders to the examples: {reason}");
        return Ok(ExitCode::SUCCESS);
    }
    let suite = Suite { runtime: Arc::new(Runtime::new()?), shared: Arc::default() };
    let mut arguments = Arguments::from_args();
    // The schedule decides which cases run at the same time.
    arguments.test_threads = Some(1);
    let (trials, reports) = suite.schedule().into_trials(&arguments);
    let conclusion = libtest_mimic::run(&arguments, trials);
    let Some(outcome) = suite.shared.install.get() else {
        return Ok(conclusion.exit_code());
    };
    for measurement in outcome.iter().flat_map(Install::measurements).chain(reports.table()) {
        println!("{measurement}\n");
    }
    let mut code = conclusion.exit_code();
    if let Err(error) = suite.runtime.block_on(Cluster::from_environment().down()) {
        eprintln!("deleting the cluster failed: {error:#}");
        code = ExitCode::FAILURE;
    }
    if let Some(failures) = reports.failures() {
        println!("\n{failures}");
    }
    Ok(code)
}
