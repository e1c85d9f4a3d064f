//! Tests of the chart on a real cluster with two nodes: `make kind-e2e`.
//!
//! The tests share one installation. They run one after another in the order in which `main` adds them, and each test
//! restores what it changes. The last test uninstalls the chart. After a failure the other tests still run, unless the
//! installation failed. Names on the command line select tests. `cargo test` skips all of these tests unless it gets
//! `-- --ignored`, because the tests take minutes and need Docker.
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
mod install;
mod memory;
mod outage;
mod renderings;
mod rollouts;
mod routes;
mod snapshot;
mod standards;
mod tls;
mod uninstall;
mod upgrade;
mod volume;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use sightline_tests::examples;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use self::cluster::Cluster;
use self::install::Install;

/// Prints the current step, because a test can take minutes.
#[expect(clippy::print_stderr, reason = "the test harness prints its progress to stderr too")]
pub(crate) fn progress(step: impl std::fmt::Display) {
    eprintln!("    … {step}");
}

/// The shared installation. The chart is installed only once. If the installation fails, every test reports the same
/// error.
#[derive(Default)]
struct Shared(OnceCell<Result<Install, String>>);

impl Shared {
    async fn install(&self) -> Result<&Install> {
        let install =
            self.0.get_or_init(async || Install::start().await.map_err(|error| format!("{error:#}"))).await;
        install.as_ref().map_err(|error| anyhow::anyhow!("the installation failed: {error}"))
    }
}

struct Suite {
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    tests: Vec<Trial>,
}

impl Suite {
    fn add(&mut self, name: &str, test: impl AsyncFnOnce(&Install) -> Result<()> + Send + 'static) {
        let (runtime, shared) = (Arc::clone(&self.runtime), Arc::clone(&self.shared));
        let run = move || {
            let outcome = runtime.block_on(async { test(shared.install().await?).await });
            // The harness reports failures only after the last test, so this prints each failure immediately.
            let outcome = outcome.inspect_err(|error| progress(format!("{error:#}")));
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        self.tests.push(Trial::test(name, run).with_ignored_flag(true));
    }
}

fn main() -> Result<ExitCode> {
    // An error means that a cryptography provider is already installed. The error is ignored, because all code in this
    // process installs the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut suite = Suite { runtime: Arc::new(Runtime::new()?), shared: Arc::default(), tests: Vec::new() };
    suite.add("standards::the_namespace_rejects_unrestricted_pods", standards::restricted_pods);
    suite.add("standards::every_node_has_an_agent", standards::agent_nodes);
    suite.add("standards::gateways_run_on_several_nodes", standards::gateway_nodes);
    // This test creates a CronJob early, because the CronJob can take a minute to create its Job. A later test checks
    // the attributes of the Job's spans.
    suite.add("attributes::a_cronjob_is_accepted", attributes::create_cronjob);
    suite.add("attributes::services_report_their_pod_and_node", attributes::services);
    suite.add("attributes::the_agent_adds_only_missing_attributes", attributes::added_by_agent);
    suite.add("install::helm_test_sends_an_order_and_reads_its_trace", standards::helm_test);
    suite.add("attributes::a_job_reports_its_cronjob", attributes::cronjob);
    suite.add("tls::endpoints_require_a_trusted_certificate", tls::endpoints);
    suite.add("docs::the_commands_in_the_readme_show_an_order", docs::readme);
    suite.add("docs::the_commands_in_troubleshoot_succeed", docs::troubleshoot);
    suite.add("renderings::the_api_server_accepts_every_rendering", renderings::accepted);
    suite.add("tls::pods_reload_certificates_under_load", tls::rotation);
    suite.add("rollouts::a_user_service_rollout_loses_no_request_or_span", rollouts::user_service);
    suite.add("rollouts::an_inventory_service_rollout_loses_no_request_or_span", rollouts::inventory_service);
    suite.add("rollouts::a_deleted_gateway_loses_no_span", rollouts::gateway);
    suite.add("rollouts::a_deleted_agent_loses_no_span", rollouts::agent);
    suite.add("volume::memory_stays_within_its_limit", volume::memory_limit);
    suite.add("upgrade::upgrades_from_the_chart_of_the_previous_commit", upgrade::upgrade);
    suite.add("extra_release::without_tls_it_survives_a_jaeger_outage", extra_release::plaintext_in_memory);
    suite.add("uninstall::removes_every_object", uninstall::uninstall);
    // The tests send orders to the examples.
    if let Some(reason) = examples::skip_reason()? {
        for test in suite.tests.drain(..) {
            progress(format!("skipped: {}: {reason}", test.name()));
        }
    }
    Ok(run(suite))
}

#[expect(clippy::print_stdout, reason = "the measurements are a result of the tests")]
#[expect(clippy::print_stderr, reason = "the test harness prints its results to stderr too")]
fn run(Suite { runtime, shared, tests }: Suite) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests run on one thread, because they change the installation that they share.
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, tests);
    let Some(outcome) = shared.0.get() else {
        return conclusion.exit_code();
    };
    for measurement in outcome.iter().flat_map(Install::measurements) {
        println!("{measurement}\n");
    }
    match runtime.block_on(Cluster::from_environment().down()) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("deleting the cluster failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
