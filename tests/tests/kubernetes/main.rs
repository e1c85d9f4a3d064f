//! The chart on a real cluster of two nodes: `make kind-e2e`.
//!
//! Cases run one after the other, in the order below, on one installation: each leaves it as it was, the last removes
//! it. A case that fails does not keep the next from running, unless nothing is installed. Names on the command line
//! run some of them. As all of it takes minutes and a cluster, `cargo test` ignores it unless told `-- --ignored`.
//!
//! Environment: `KIND_E2E_CLUSTER` the cluster's name, used as it is when it is there; `KEEP=1` leaves it;
//! `KUBECTL`, `HELM`, `MAKE` the programs, and those that make knows.

mod attributes;
mod beside;
mod cluster;
mod docs;
mod forward;
mod install;
mod inventory;
mod memory;
mod outage;
mod renderings;
mod rollouts;
mod routes;
mod standards;
mod tls;
mod uninstall;
mod upgrade;
mod volume;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use self::cluster::Cluster;
use self::install::Install;

/// Says on the way what is done, as a case may take a minute.
#[expect(clippy::print_stderr, reason = "progress goes where the harness' own goes")]
pub(crate) fn progress(what: impl std::fmt::Display) {
    eprintln!("    … {what}");
}

/// What the cases share. A failed installation is not tried again for each.
#[derive(Default)]
struct Shared(OnceCell<Result<Install, String>>);

impl Shared {
    async fn install(&self) -> Result<&Install> {
        let install =
            self.0.get_or_init(async || Install::start().await.map_err(|error| format!("{error:#}"))).await;
        install.as_ref().map_err(|error| anyhow::anyhow!("nothing is installed: {error}"))
    }
}

struct Suite {
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    cases: Vec<Trial>,
}

impl Suite {
    fn add(&mut self, name: &str, case: impl AsyncFnOnce(&Install) -> Result<()> + Send + 'static) {
        let (runtime, shared) = (Arc::clone(&self.runtime), Arc::clone(&self.shared));
        let run = move || {
            let outcome = runtime.block_on(async { case(shared.install().await?).await });
            // The harness tells it at the end, minutes from now.
            let outcome = outcome.inspect_err(|error| progress(format!("{error:#}")));
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        self.cases.push(Trial::test(name, run).with_ignored_flag(true));
    }
}

fn main() -> Result<ExitCode> {
    // Whoever was first has installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut suite = Suite { runtime: Arc::new(Runtime::new()?), shared: Arc::default(), cases: Vec::new() };
    suite.add("standards::pods_that_are_not_restricted_are_refused", standards::enforced);
    suite.add("standards::every_node_has_an_agent", standards::agents);
    suite.add("standards::gateways_are_on_several_nodes", standards::gateways);
    // Its first job comes within a minute, and is looked at later.
    suite.add("attributes::a_cronjob_is_accepted", attributes::begin_cronjob);
    suite.add("attributes::each_service_says_where_it_runs", attributes::services);
    suite.add("attributes::the_agent_fills_in_what_a_service_lacks_and_no_more", attributes::filled_in);
    suite.add("install::helm_test_sends_an_order_and_reads_its_trace", standards::helm_test);
    suite.add("attributes::a_job_names_its_cronjob", attributes::cronjob);
    suite.add("tls::only_holders_of_a_certificate_are_let_in", tls::doors);
    suite.add("docs::the_commands_of_the_readme_show_an_order", docs::readme);
    suite.add("docs::the_commands_of_troubleshoot_work", docs::troubleshoot);
    suite.add("renderings::the_server_accepts_each", renderings::accepted);
    suite.add("tls::certificates_are_replaced_under_load", tls::replaced);
    suite.add("rollouts::a_new_user_service_costs_no_request_and_no_span", rollouts::user_service);
    suite.add("rollouts::a_new_inventory_service_costs_no_request_and_no_span", rollouts::inventory_service);
    suite.add("rollouts::a_deleted_gateway_costs_no_span", rollouts::gateway);
    suite.add("rollouts::a_deleted_agent_costs_no_span", rollouts::agent);
    suite.add("volume::ten_thousand_orders_in_so_much_memory", volume::orders);
    suite.add("upgrade::from_the_previous_commits_chart", upgrade::upgrade);
    suite.add("install::without_tls_in_memory_and_for_a_while_without_jaeger", extra_release::plaintext_in_memory);
    suite.add("uninstall::nothing_is_left", uninstall::uninstall);
    Ok(run(suite))
}

#[expect(clippy::print_stdout, reason = "the figures are part of what is asked for")]
#[expect(clippy::print_stderr, reason = "a test's result goes where the harness' goes")]
fn run(Suite { runtime, shared, cases }: Suite) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share one installation, and change it.
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, cases);
    let Some(outcome) = shared.0.get() else {
        return conclusion.exit_code();
    };
    for figure in outcome.iter().flat_map(Install::figures) {
        println!("{figure}\n");
    }
    match runtime.block_on(Cluster::of_environment().down()) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("the cluster was not removed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
