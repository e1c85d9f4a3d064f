//! Tests of the Helm chart without a cluster. They cover the chart's renderings, the values that the chart rejects, and
//! the chart's network policies.
//!
//! Each file `helm/sightline/ci/*-values.yaml` is a value set. Every check in `RENDERING_CHECKS` and `VALUE_SET_CHECKS`
//! runs once for each value set. The value sets use the services in `helm/sightline/ci/services.yaml`. The value set
//! `as-delivered` uses the services of the chart, and its rendering is not committed. This command runs a single test:
//! `make chart ARGS=tls::mode_applies_to_every_hop::tls-disabled`.
//!
//! If `CHART_CONTEXT` is a kubectl context, the API server of the cluster in this context also checks the renderings.
//! `CHART` can be set to the path of another chart to test.

mod alerts;
mod certificates;
mod docs;
mod files;
mod gateway;
mod helm;
mod kubernetes;
mod names;
mod notes;
mod pipeline;
mod pods;
mod policy;
mod references;
mod rejections;
mod rejections_alerts;
mod rejections_gateway;
mod rejections_remote_stores;
mod rejections_stores;
mod remote_stores;
mod rendering;
mod server;
mod services_file;
mod snapshots;
mod stores;
mod tls;
mod upgrade;
mod value_set;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};

use rendering::Rendering;
use value_set::ValueSet;

/// A check of a rendering or a value set. The error lists all problems.
type Check<T> = fn(&T) -> Result<()>;

/// The checks that run on each rendering.
const RENDERING_CHECKS: &[(&str, Check<Rendering>)] = &[
    ("kubernetes::every_field_is_known", kubernetes::every_field_is_known),
    ("names::are_unique_dns_labels", names::are_unique_dns_labels),
    ("names::recommended_labels_are_set", names::recommended_labels_are_set),
    ("names::selectors_match_their_own_pods", names::selectors_match_their_own_pods),
    ("names::configuration_changes_restart_pods", names::configuration_changes_restart_pods),
    ("pods::meet_the_restricted_standard", |rendering| pods::check_each(rendering, pods::restricted)),
    ("pods::set_resources", |rendering| pods::check_each(rendering, pods::resources)),
    ("pods::have_valid_mounts", |rendering| pods::check_each(rendering, pods::mounts)),
    ("pods::have_unique_ports", |rendering| pods::check_each(rendering, pods::ports)),
    ("pods::have_probes_and_time_to_stop", |rendering| pods::check_each(rendering, pods::lifecycle)),
    ("pods::set_variables_before_use", |rendering| pods::check_each(rendering, pods::environment)),
    ("pods::mount_tokens_only_if_needed", pods::mount_tokens_only_if_needed),
    ("references::pods_use_existing_objects", references::pods_use_existing_objects),
    ("references::services_select_one_workload", references::services_select_one_workload),
    ("references::scaling_and_monitoring_have_targets", references::scaling_and_monitoring_have_targets),
    ("references::bindings_have_roles_and_accounts", references::bindings_have_roles_and_accounts),
    ("pipeline::uses_files_of_collector_config", pipeline::uses_files_of_collector_config),
    ("pipeline::environment_matches_the_files", pipeline::environment_matches_the_files),
    ("pipeline::memory_limiter_is_first_and_low_enough", pipeline::memory_limiter_is_first_and_low_enough),
    ("pipeline::configuration_is_valid", pipeline::configuration_is_valid),
    ("stores::listen_on_loopback", stores::listen_on_loopback),
    ("stores::scrape_each_other", stores::scrape_each_other),
    ("stores::are_probed", stores::are_probed),
    ("remote_stores::need_tls_and_a_secret", remote_stores::need_tls_and_a_secret),
    ("stores::get_what_gateways_send", stores::get_what_gateways_send),
    ("stores::queues_leave_memory_for_traces", stores::queues_leave_memory_for_traces),
    ("stores::nothing_is_scraped_twice", stores::nothing_is_scraped_twice),
    ("policy::every_pod_is_isolated", policy::every_pod_is_isolated),
    ("policy::egress_and_ingress_agree", policy::egress_and_ingress_agree),
    ("policy::configured_addresses_are_allowed", policy::configured_addresses_are_allowed),
];

/// The checks that need the values or the chart in addition to the rendering.
const VALUE_SET_CHECKS: &[(&str, Check<ValueSet>)] = &[
    ("lint", |set| helm::lint(&set.chart(), set.install())),
    ("snapshots::package_renders_the_same", snapshots::package_renders_the_same),
    ("tls::mode_applies_to_every_hop", tls::mode_applies_to_every_hop),
    ("names::cluster_scoped_names_differ_by_namespace", names::cluster_scoped_names_differ_by_namespace),
];

#[expect(clippy::print_stderr, reason = "an error that `main` returns would be printed with a backtrace")]
fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    sightline_tests::otlp::install_cryptography_provider();
    // All tests need Helm, so a missing `helm` program is reported only once, before the tests start. If another
    // program is missing, only the tests that need it fail.
    helm::program("HELM", "helm")?;
    let test_chart = tempfile::tempdir()?;
    helm::write_test_chart(test_chart.path())?;
    let sets = value_set::all()?;
    let mut trials = Vec::new();
    for set in sets.iter().chain([&value_set::as_delivered()?]) {
        add_value_set(&mut trials, set);
    }
    for rejection in rejections::TABLE
        .iter()
        .chain(rejections_alerts::TABLE)
        .chain(rejections_gateway::TABLE)
        .chain(rejections_stores::TABLE)
        .chain(rejections_remote_stores::TABLE)
    {
        add(&mut trials, format!("rejects::{}", rejection.name), || rejection.check());
    }
    for (name, test) in [
        ("lists_are_as_in_a_local_stack", gateway::lists_are_as_in_a_local_stack as fn() -> Result<()>),
        ("additions_and_headers_take_effect", gateway::additions_and_headers_take_effect),
        ("missing_header_is_counted", gateway::missing_header_is_counted),
    ] {
        add(&mut trials, format!("gateway::{name}"), test);
    }
    for (name, test) in [
        ("flags_are_as_in_a_local_stack", stores::flags_are_as_in_a_local_stack as fn() -> Result<()>),
        ("images_have_the_pinned_versions", stores::images_have_the_pinned_versions),
        ("pages_accept_only_known_hosts", stores::pages_accept_only_known_hosts),
    ] {
        add(&mut trials, format!("stores::{name}"), test);
    }
    for (name, test) in [
        ("files_of_the_values_are_added", alerts::files_of_the_values_are_added as fn() -> Result<()>),
        ("rules_are_evaluated_and_alerts_are_sent", alerts::rules_are_evaluated_and_alerts_are_sent),
        ("documented_values_are_valid", alerts::documented_values_are_valid),
    ] {
        add(&mut trials, format!("alerts::{name}"), test);
    }
    for (name, test) in [
        ("flags_are_as_in_the_pod", remote_stores::flags_are_as_in_the_pod as fn() -> Result<()>),
        ("documented_values_are_valid", remote_stores::documented_values_are_valid),
        ("data_and_queries_arrive", remote_stores::data_and_queries_arrive),
        ("wrong_login_is_refused", remote_stores::wrong_login_is_refused),
    ] {
        add(&mut trials, format!("remote_stores::{name}"), test);
    }
    add(
        &mut trials,
        "tls::nothing_is_generated_without_a_cluster".to_owned(),
        tls::nothing_is_generated_without_a_cluster,
    );
    add(&mut trials, "pods::agents_tolerate_every_taint".to_owned(), pods::agents_tolerate_every_taint);
    for (name, test) in policy::tests() {
        add(&mut trials, format!("policy::allows_only_expected_flows::{name}"), test);
    }
    for (name, test) in policy::semantics::tests() {
        add(&mut trials, format!("policy::semantics::{}", name.replace(' ', "_")), test);
    }
    let names: Vec<String> = sets.iter().map(|set| set.name.clone()).collect();
    add(&mut trials, "snapshots::each_has_a_value_set".to_owned(), move || {
        snapshots::each_has_a_value_set(&names)
    });
    add(&mut trials, "docs::readmes_are_as_generated".to_owned(), docs::readmes_are_as_generated);
    add(&mut trials, "docs::schemas_match_values".to_owned(), docs::schemas_match_values);
    add(&mut trials, "files::are_not_symbolic_links".to_owned(), files::are_not_symbolic_links);
    add(&mut trials, "files::config_is_a_copy".to_owned(), files::config_is_a_copy);
    add(&mut trials, "files::schema_of_services_is_a_copy".to_owned(), files::schema_of_services_is_a_copy);
    add(&mut trials, "upgrade::keeps_names_and_selectors".to_owned(), upgrade::keeps_names_and_selectors);
    add(
        &mut trials,
        "services_file::describes_the_same_services".to_owned(),
        services_file::describes_the_same_services,
    );
    for chart in docs::installable_charts() {
        let name = chart.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(&mut trials, format!("lint::chart::{name}"), move || helm::lint_with_defaults(&chart));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn add(trials: &mut Vec<Trial>, name: String, test: impl FnOnce() -> Result<()> + Send + 'static) {
    let run = move || test().map_err(|error| Failed::from(format!("{error:#}")));
    trials.push(Trial::test(name, run));
}

fn add_value_set(trials: &mut Vec<Trial>, set: &Arc<ValueSet>) {
    let name = &set.name;
    for (check, test) in RENDERING_CHECKS {
        let set = Arc::clone(set);
        add(trials, format!("{check}::{name}"), move || test(&*set.rendering()?));
    }
    for (check, test) in VALUE_SET_CHECKS {
        let set = Arc::clone(set);
        add(trials, format!("{check}::{name}"), move || test(&set));
    }
    if !set.is_delivered() {
        let set = Arc::clone(set);
        add(trials, format!("snapshots::rendering_is_as_committed::{name}"), move || {
            snapshots::rendering_is_as_committed(&set)
        });
    }
    if set.is_whole_chart() {
        let set = Arc::clone(set);
        add(trials, format!("notes::name_existing_services::{name}"), move || {
            notes::name_existing_services(&set)
        });
    }
    if name == "default" {
        let set = Arc::clone(set);
        add(trials, "notes::lead_to_the_trace_of_an_order".to_owned(), move || {
            notes::lead_to_the_trace_of_an_order(&set)
        });
    }
    let set = Arc::clone(set);
    let trial = Trial::ignorable_test(format!("server::accepts::{name}"), move || server::accepts(&set));
    trials.push(trial);
}

/// Fails if there are problems, and reports each problem on its own line.
pub(crate) fn ensure_none(problems: &[String]) -> Result<()> {
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}
