//! The chart, without a cluster: what it renders to, what it refuses, and what its network policies let through.
//!
//! Every set of values in `helm/sightline/ci/` is a case, and every check below is made of each. A single one:
//! `make chart ARGS=tls::mode::tls-disabled`. With `CHART_CONTEXT` naming one of kubectl's contexts, that cluster's API server
//! is asked too; `CHART` names another chart than that of this repository.

mod case;
mod certificates;
mod docs;
mod helm;
mod kubernetes;
mod names;
mod notes;
mod pipeline;
mod pods;
mod policy;
mod references;
mod refusals;
mod rendered;
mod server;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use case::{Case, Rendering};

/// A check of something; it fails with what is wrong.
type Check<T> = fn(&T) -> Result<()>;

/// What has to be true of each rendering.
const CHECKS: &[(&str, Check<Rendering>)] = &[
    ("kubernetes::every_field_is_known", kubernetes::every_field_is_known),
    ("names::unique", names::unique),
    ("names::labels", names::labels),
    ("names::selectors", names::selectors),
    ("names::checksums", names::checksums),
    ("pods::restricted", |rendering| pods::each(rendering, pods::restricted)),
    ("pods::resources", |rendering| pods::each(rendering, pods::resources)),
    ("pods::mounts", |rendering| pods::each(rendering, pods::mounts)),
    ("pods::ports", |rendering| pods::each(rendering, pods::ports)),
    ("pods::lifecycle", |rendering| pods::each(rendering, pods::lifecycle)),
    ("pods::environment", |rendering| pods::each(rendering, pods::environment)),
    ("pods::tokens", pods::tokens),
    ("references::of_pods", references::of_pods),
    ("references::of_services", references::of_services),
    ("references::of_workloads", references::of_workloads),
    ("references::of_bindings", references::of_bindings),
    ("pipeline::layers", pipeline::layers),
    ("pipeline::environment", pipeline::environment),
    ("pipeline::memory", pipeline::memory),
    ("pipeline::validates", pipeline::validates),
    ("policy::every_pod_is_closed", policy::every_pod_is_closed),
    ("policy::both_ends_agree", policy::both_ends_agree),
    ("policy::what_is_configured_is_allowed", policy::what_is_configured_is_allowed),
];

/// And of each with its values, or its chart.
const CASES: &[(&str, Check<Case>)] = &[
    ("lint", |case| helm::lint(&case.chart(), case.install())),
    ("rendered::committed", rendered::committed),
    ("rendered::packaged", rendered::packaged),
    ("tls::mode", tls::mode),
    ("names::of_the_cluster", names::of_the_cluster),
];

#[expect(
    clippy::print_stderr,
    reason = "without the backtrace, which says nothing to whoever lacks a program"
)]
fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    // Once, and not at each test: all of them render. The few that run other programs say so themselves.
    helm::program("HELM", "helm")?;
    let cases = case::all()?;
    let mut trials = Vec::new();
    for case in &cases {
        of_case(case, &mut trials);
    }
    for refusal in refusals::TABLE {
        add(&mut trials, format!("refusals::{}", refusal.name), || refusal.check());
    }
    for (name, test) in policy::tests() {
        add(&mut trials, format!("policy::only_the_arrows::{name}"), test);
    }
    for (name, test) in policy::semantics::tests() {
        add(&mut trials, format!("policy::semantics::{}", name.replace(' ', "_")), test);
    }
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    add(&mut trials, "rendered::no_leftovers".to_owned(), move || rendered::no_leftovers(&names));
    add(&mut trials, "docs::readmes".to_owned(), docs::readmes);
    add(&mut trials, "docs::schemas".to_owned(), docs::schemas);
    for part in docs::charts()? {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(&mut trials, format!("lint::part::{name}"), move || helm::lint_part(&part));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn add(trials: &mut Vec<Trial>, name: String, test: impl FnOnce() -> Result<()> + Send + 'static) {
    let run = move || test().map_err(|error| Failed::from(format!("{error:#}")));
    trials.push(Trial::test(name, run));
}

fn of_case(case: &Arc<Case>, trials: &mut Vec<Trial>) {
    let name = &case.name;
    for (check, test) in CHECKS {
        let case = Arc::clone(case);
        add(trials, format!("{check}::{name}"), move || test(&*case.rendering()?));
    }
    for (check, test) in CASES {
        let case = Arc::clone(case);
        add(trials, format!("{check}::{name}"), move || test(&case));
    }
    if case.is_whole() {
        let case = Arc::clone(case);
        add(trials, format!("notes::name_what_is_there::{name}"), move || notes::name_what_is_there(&case));
    }
    if name == "default" {
        let case = Arc::clone(case);
        add(trials, "notes::three_commands".to_owned(), move || notes::three_commands(&case));
    }
    let asked = Arc::clone(case);
    trials.push(Trial::ignorable_test(format!("server::accepts::{name}"), move || server::accepts(&asked)));
}
