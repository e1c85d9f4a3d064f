//! vmalert in Jaeger's pod. The real program runs with the rules, arguments and environment that the chart renders.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Container};
use serde_json::Value;
use sightline::stack::free_port;
use sightline_tests::alertmanager::Alertmanager;
use sightline_tests::dashboards::{self, RuleFile};
use sightline_tests::memory::resident_mib;
use sightline_tests::mtls::certificate_of_a_new_ca;
use sightline_tests::poll::eventually;

use crate::remote_stores::{self, Running};
use crate::rendering::Rendering;
use crate::stores::{self, ALERTS, ALERTS_SET};
use crate::{helm, pipeline, pods, value_set};

/// The value of the header Authorization in the secret.
const AUTHORIZATION: &str = "Basic c2lnaHRsaW5lOnA0c3N3b3Jk";

/// An alert that fires at once.
const RULE: &str = "groups: [{name: test, interval: 1s, rules: [{alert: Fires, expr: vector(1)}]}]";

/// Each group is evaluated for the first time within its interval of 30 s after the start.
const TIMEOUT: Duration = Duration::from_secs(75);

/// The `ConfigMap` has the files of `deploy/alerts` and those of the values. A file of the values replaces a file with the
/// same name.
pub(crate) fn files_of_the_values_are_added() -> Result<()> {
    let rendering = value_set::render_named(ALERTS_SET)?;
    let files = rule_files(&rendering)?;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    ensure!(names == ["backend.yaml", "pipeline.yaml", "services.yaml", "shop.yaml"], "{names:?}");
    let alerts = |name: &str| -> Result<Vec<String>> {
        let file: RuleFile = serde_yaml::from_str(&files[name]).with_context(|| name.to_owned())?;
        Ok(file.groups.into_iter().flat_map(|group| group.rules).map(|alert| alert.alert).collect())
    };
    ensure!(alerts("services.yaml")? == ["ErrorLogs"], "services.yaml has {:?}", alerts("services.yaml")?);
    ensure!(alerts("shop.yaml")? == ["NoOrders"], "shop.yaml has {:?}", alerts("shop.yaml")?);
    ensure!(files["shop.yaml"].contains("{{ $value | humanize }}"), "{}", files["shop.yaml"]);
    Ok(())
}

/// The values in `docs/alerts.md` are accepted, and their rules are in the `ConfigMap`.
pub(crate) fn documented_values_are_valid() -> Result<()> {
    let page = fs::read_to_string(helm::repository().join("docs/alerts.md"))?;
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<&str> = blocks.filter(|block| block.starts_with("jaeger:")).collect();
    let [values] = blocks.as_slice() else {
        bail!("docs/alerts.md has {} blocks with values, not 1", blocks.len())
    };
    let directory = tempfile::tempdir()?;
    let rendering = remote_stores::render(directory.path(), values)?;
    let files = rule_files(&rendering)?;
    ensure!(files.contains_key("shop.yaml"), "{:?}", files.keys());
    stores::listen_on_loopback(&rendering)?;
    stores::are_probed(&rendering)
}

fn rule_files(rendering: &Rendering) -> Result<BTreeMap<String, String>> {
    let maps = rendering.all::<ConfigMap>()?;
    let map =
        maps.into_iter().find(|map| map.metadata.name.as_ref().is_some_and(|name| name.ends_with("-alerts")));
    map.and_then(|map| map.data).context("there is no ConfigMap with rules")
}

/// All rules are evaluated without an error, with less than three quarters of the memory limit. An alert goes to the notifier, which
/// has a certificate of the CA in the secret, with the header from the secret, and with a link to the published pages.
pub(crate) fn rules_are_evaluated_and_alerts_are_sent() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let root = directory.path();
        let rendering = value_set::render_named(ALERTS_SET)?;
        let certificate = certificate_of_a_new_ca(&root.join("notifier"), "alertmanager")?;
        let notifier = Alertmanager::start(Some(&certificate)).await?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (store_port, port) = (free_port()?, free_port()?);
        let mut store = Command::new(helm::program("VICTORIA_METRICS", "victoria-metrics")?);
        store.arg(format!("-httpListenAddr=127.0.0.1:{store_port}"));
        store.arg(format!("-storageDataPath={}", root.join("store").display()));
        let mut store = Running::start(&mut store, root.join("store.log"))?;
        store.wait(&client, &format!("http://127.0.0.1:{store_port}/health")).await?;

        let (workload, containers) = stores::backend(&rendering)?.context("there are no stores")?;
        let container = stores::container(&containers, ALERTS)?;
        for (path, text) in pipeline::mounted_files(&rendering, &workload, container)? {
            let file = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap_or(root))?;
            fs::write(&file, text)?;
        }
        fs::write(root.join("etc/alerts/test.yaml"), RULE)?;
        let replaced = [
            ("httpListenAddr", format!("127.0.0.1:{port}")),
            ("notifier.url", notifier.url().to_owned()),
            ("notifier.tlsCAFile", certificate.ca.display().to_string()),
        ];
        let mut command = command(container, root, store_port, &replaced)?;
        let mut alerts = Running::start(&mut command, root.join("alerts.log"))?;
        alerts.wait(&client, &format!("http://127.0.0.1:{port}/health")).await?;

        eventually("all rules are evaluated without an error", TIMEOUT, async || {
            let url = format!("http://127.0.0.1:{port}/api/v1/rules");
            let text = client.get(url).send().await?.error_for_status()?.text().await?;
            all_are_evaluated(&serde_json::from_str(&text)?)
        })
        .await?;
        let received = eventually("the notifier has the alert", TIMEOUT, async || {
            let received = notifier.received();
            let found = received.iter().find(|each| each.name() == "Fires").cloned();
            found.with_context(|| format!("the notifier has received {received:?}"))
        })
        .await?;
        ensure!(received.authorization == AUTHORIZATION, "the header is {:?}", received.authorization);
        let link = received.alert["generatorURL"].as_str().unwrap_or_default();
        let expected = "https://telemetry.example.com/prometheus/vmui/#/?g0.expr=vector%281%29";
        ensure!(link == expected, "the link is {link}, not {expected}");

        let limits = container.resources.clone().and_then(|resources| resources.limits).unwrap_or_default();
        let limit = limits.get("memory").and_then(|quantity| pods::bytes(&quantity.0));
        let limit = limit.context("no memory limit")? / 1024.0 / 1024.0;
        let used = resident_mib(alerts.pid())?;
        ensure!(used < limit * 0.75, "vmalert uses {used} MiB, and its limit is {limit} MiB");
        Ok(())
    })
}

/// Returns vmalert with the arguments and environment of its container. Only addresses and paths differ.
fn command(
    container: &Container,
    root: &Path,
    store_port: u16,
    replaced: &[(&str, String)],
) -> Result<Command> {
    let mut command = Command::new(helm::program("VMALERT", ALERTS)?);
    for (name, value) in stores::flags_of(container) {
        let value = match replaced.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => value.clone(),
            None => value
                .replace("$(SIGHTLINE_NOTIFIER_AUTHORIZATION)", AUTHORIZATION)
                .replace("http://127.0.0.1:8428/", &format!("http://127.0.0.1:{store_port}/"))
                .replace("/etc/", &format!("{}/etc/", root.display())),
        };
        // A flag without a value is a switch.
        command.arg(if value.is_empty() { format!("-{name}") } else { format!("-{name}={value}") });
    }
    command.env_clear();
    command.envs(container.env.iter().flatten().filter_map(|each| Some((&each.name, each.value.as_ref()?))));
    Ok(command)
}

/// Fails if a rule in a response of vmalert was not evaluated, or had an error.
fn all_are_evaluated(response: &Value) -> Result<()> {
    let names = dashboards::evaluated_rules(response)?;
    for name in ["BackendDown", "PipelineSilent", "ErrorLogs", "NoOrders", "Fires"] {
        ensure!(names.contains(name), "{name} is not evaluated: {names:?}");
    }
    Ok(())
}
