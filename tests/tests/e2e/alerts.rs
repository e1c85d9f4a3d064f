//! vmalert evaluates the alerts of `deploy/alerts` while a stack runs, if it is selected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN};
use serde_json::Value;
use sightline::stack::{StackConfig, VMALERT};
use sightline_tests::alertmanager::Alertmanager;
use sightline_tests::browser::Browser;
use sightline_tests::caller::Caller;
use sightline_tests::dashboards;
use sightline_tests::poll::eventually;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDERS, TestStack};
use sightline_tests::up::Up;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("alerts::fire_and_reach_the_notifier", fire);
    suite.add_standalone("alerts::up_evaluates_them_on_request", on_request);
    suite.add_shared("alerts::are_not_evaluated_by_default", off);
    let reason = Browser::find().err().map(|error| format!("{error:#}"));
    suite.add_unless(reason, |suite| {
        suite.add_standalone("alerts::a_browser_shows_them", browser);
    });
}

/// The maximum time from Ctrl-C until all processes have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Each group is evaluated for the first time within its interval of 30 s after the start.
const EVALUATED_TIMEOUT: Duration = Duration::from_secs(75);

/// Rules that are active after one failed order.
const RULES: &str = r#"
groups:
  - name: test
    interval: 1s
    eval_delay: 1s
    rules:
      - alert: OrderFailed
        expr: sum by (service_name) (http_server_request_duration_seconds_count{http_response_status_code=~"5.."}) > 0
        labels: {severity: test}
        annotations: {summary: "{{ $value }} orders of {{ $labels.service_name }} failed"}
      - alert: OrderFailedForLong
        expr: sum by (service_name) (http_server_request_duration_seconds_count{http_response_status_code=~"5.."}) > 0
        for: 1h
"#;

fn write_rules(directory: &Path) -> Result<PathBuf> {
    let file = directory.join("rules.yaml");
    std::fs::write(&file, RULES)?;
    Ok(file)
}

async fn start(directory: &Path, change: impl FnOnce(StackConfig) -> StackConfig) -> Result<TestStack> {
    let rules = write_rules(directory)?;
    TestStack::start(|config| {
        let mut config = change(config.with_alerts());
        config.rules.push(rules);
        config
    })
    .await
}

/// Returns the active alerts, as the pages show them.
async fn active(stack: &TestStack) -> Result<Vec<Value>> {
    let mut response: Value = serde_json::from_str(&stack.page("/prometheus/api/v1/alerts", &[]).await?)?;
    Ok(serde_json::from_value(response["data"]["alerts"].take())?)
}

/// Returns the active alert of this name about the orders.
async fn alert_of_orders(stack: &TestStack, name: &str) -> Result<Value> {
    let active = active(stack).await?;
    let is_it = |alert: &&Value| alert["name"] == name && alert["labels"]["service_name"] == ORDERS;
    active.iter().find(is_it).cloned().with_context(|| format!("active are {active:#?}"))
}

/// Waits until an alert about the orders is in this state, and returns it.
async fn wait_for_alert(stack: &TestStack, name: &str, state: &str) -> Result<Value> {
    let check = async || {
        let alert = alert_of_orders(stack, name).await?;
        ensure!(alert["state"] == state, "{alert:#}");
        Ok(alert)
    };
    stack.eventually(format!("the alert {name} is {state}"), check).await
}

/// A failed order fires an alert, which is on the pages, in the metrics store and with the notifier. The time of an alert
/// survives a restart of vmalert. All rules of the checkout can be evaluated.
async fn fire() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let notifier = Alertmanager::start(None).await?;
    let url = notifier.url().parse()?;
    let mut stack = start(directory.path(), |config| StackConfig { notifier: Some(url), ..config }).await?;
    ensure!(active(&stack).await?.iter().all(|alert| alert["name"] != "OrderFailed"), "an alert is active");

    let response = stack.get_order(&Caller::new(), "999").await?;
    ensure!(response.status == 502, "{response:?}");
    let alert = wait_for_alert(&stack, "OrderFailed", "firing").await?;
    ensure!(alert["annotations"]["summary"] == format!("1 orders of {ORDERS} failed"), "{alert:#}");
    let series = format!(r#"ALERTS{{alertname="OrderFailed",alertstate="firing",service_name="{ORDERS}"}}"#);
    let check = async || {
        let stored = stack.stored_metric(&series).await?;
        ensure!(stored == Some(1.0), "{series} is {stored:?}");
        let received = notifier.received();
        let found = received
            .iter()
            .find(|each| each.name() == "OrderFailed" && each.alert["labels"]["service_name"] == ORDERS);
        found.cloned().with_context(|| format!("the notifier has received {received:?}"))
    };
    let received = stack.eventually("the alert is stored and with the notifier", check).await?;
    let link = received.alert["generatorURL"].as_str().unwrap_or_default().to_owned();
    let expected =
        format!("{}/prometheus/vmui/#/?g0.expr=sum+by+%28service_name%29", stack.inner().pages_url());
    ensure!(link.starts_with(&expected), "the link is {link}, not {expected}");
    let page = stack.http().get(&link).send().await?.error_for_status()?.text().await?;
    ensure!(page.contains("vmui"), "{link}: {page}");
    ensure!(notifier.received().iter().all(|each| each.name() == "OrderFailed"), "{:?}", notifier.received());

    keeps_the_time(&mut stack).await?;
    closed(&stack).await?;
    rules_are_evaluated(&stack).await?;
    let began = Instant::now();
    stack.stop().await?;
    ensure!(began.elapsed() < STOP_TIMEOUT, "the stop took {:?}", began.elapsed());
    Ok(())
}

/// After a restart, vmalert reads from the store since when an alert is active.
async fn keeps_the_time(stack: &mut TestStack) -> Result<()> {
    let since = wait_for_alert(stack, "OrderFailedForLong", "pending").await?["activeAt"].clone();
    let series = r#"ALERTS_FOR_STATE{alertname="OrderFailedForLong",service_name="orders"}"#;
    let check =
        async || stack.stored_metric(series).await?.with_context(|| format!("{series} is not stored"));
    stack.eventually("the time of the alert is stored", check).await?;
    stack.stop_process(VMALERT).await?;
    stack.start_processes(&[VMALERT]).await?;
    let check = async || {
        let alert = alert_of_orders(stack, "OrderFailedForLong").await?;
        ensure!(alert["activeAt"] == since && alert["restored"] == true, "since {since}: {alert:#}");
        Ok(())
    };
    stack.eventually("the alert is active since the same time", check).await
}

/// The pages show rules and alerts, but give no access to the rest of vmalert, such as the page that reloads the rules.
async fn closed(stack: &TestStack) -> Result<()> {
    let pages = stack.inner().pages_url();
    for path in [
        "/-/reload",
        "/vmalert/-/reload",
        "/prometheus/-/reload",
        "/prometheus/vmalert/-/reload",
        "/prometheus/vmalert/api/v1/-/reload",
        "/prometheus/vmalert/api/v1/rules/%2e%2e/%2e%2e/%2e%2e/-/reload",
        "/prometheus/vmalert/api/v1/rules%2f..%2f..%2f..%2f-%2freload",
        "/health/alerts/%2e%2e/-/reload",
    ] {
        // Jaeger's UI may respond, because it gets all other paths.
        stack.http().post(format!("{pages}{path}")).send().await?;
    }
    for path in
        ["flags", "metrics", "vmalert/groups", "groups", "debug/pprof/", "static/css/bootstrap.min.css"]
    {
        let response = stack.http().get(format!("{pages}/prometheus/vmalert/{path}")).send().await?;
        let text = response.text().await?;
        let is_of_vmalert = ["evaluationInterval", "vmalert_", "BackendDown", "goroutine", "bootstrap"];
        let found = is_of_vmalert.iter().find(|word| text.contains(**word));
        ensure!(found.is_none(), "the pages serve {path} of vmalert with {found:?}:\n{text}");
    }
    let own = stack.metrics_page(stack.inner().ports().number(VMALERT, "http")?).await?;
    ensure!(own.contains("\nvmalert_config_last_reload_total 0\n"), "a page has reloaded the rules:\n{own}");

    for path in ["/prometheus/api/v1/alerts", "/prometheus/vmalert/api/v1/rules"] {
        let request = || stack.http().get(format!("{pages}{path}"));
        let response = request().header(ORIGIN, "http://other.example").send().await?;
        let allowed = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
        ensure!(response.status() == 200 && allowed.is_none(), "{path}: {response:?}");
        let status = request().header(HOST, "rebind.example").send().await?.status();
        ensure!(status == 400, "{path} for another host responded with {status}");
    }
    ensure!(stack.page("/health/alerts", &[]).await? == "OK", "/health/alerts");
    Ok(())
}

/// All rules of `deploy/alerts` have been evaluated, without an error.
async fn rules_are_evaluated(stack: &TestStack) -> Result<()> {
    let expected: BTreeSet<String> =
        dashboards::alerts()?.into_iter().map(|(_, alert)| alert.alert).collect();
    let check = async || {
        let text = stack.page("/prometheus/vmalert/api/v1/rules", &[]).await?;
        let response: Value = serde_json::from_str(&text)?;
        let evaluated = dashboards::evaluated_rules(&response)?;
        let missing: Vec<_> = expected.difference(&evaluated).collect();
        ensure!(missing.is_empty(), "{missing:?} are not evaluated: {evaluated:?}");
        Ok(())
    };
    eventually("all rules are evaluated without an error", EVALUATED_TIMEOUT, check).await
}

/// Without alerts, the pages have no rules, and vmui has no menu for them.
async fn off(stack: &TestStack) -> Result<()> {
    ensure!(stack.inner().pid(VMALERT).is_none(), "vmalert runs");
    let rules = stack.page("/prometheus/api/v1/rules", &[]).await?;
    ensure!(rules == r#"{"status":"success","data":{"groups":[]}}"#, "{rules}");
    let config: Value = serde_json::from_str(&stack.page("/prometheus/vmui/config.json", &[]).await?)?;
    ensure!(config["vmalert"]["enabled"] == false, "{config}");
    let series = stack.find_series(r#"up{service_name="vmalert"}"#).await?;
    ensure!(series.is_empty(), "the metrics store reads the metrics of vmalert: {series:?}");
    Ok(())
}

/// `sightline up --alerts` prints the address of the alerts, and Ctrl-C ends all processes.
async fn on_request() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let rules = write_rules(directory.path())?;
    let rules = rules.to_str().context("the path is not UTF-8")?;
    let mut up = Up::start(directory.path(), &["--alerts", "--rules", rules, "--only", "pipeline"]).await?;
    let address = up.row("Alerts")?;
    let (pages, _) = address.split_once("/prometheus/vmui/#/rules").with_context(|| address.clone())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let text = client.get(format!("{pages}/prometheus/vmalert/api/v1/rules")).send().await?.text().await?;
    for name in ["OrderFailed", "BackendDown"] {
        ensure!(text.contains(name), "{name} is missing: {text}");
    }
    let began = Instant::now();
    let status = up.interrupt().await?;
    ensure!(status.success() && up.output().contains("nothing was lost"), "{status}: {}", up.output());
    ensure!(began.elapsed() < STOP_TIMEOUT, "the stop took {:?}", began.elapsed());
    Ok(())
}

/// vmui shows the rules, and an alert that fires.
async fn browser() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let stack = start(directory.path(), |config| config).await?;
    stack.get_order(&Caller::new(), "999").await?;
    wait_for_alert(&stack, "OrderFailed", "firing").await?;
    let pages = stack.inner().pages_url();
    let mut page = Browser::find()?.start().await?;
    page.open(&format!("{pages}/prometheus/vmui/")).await?;
    page.wait_for_text(&["Alerting"]).await?;
    page.open(&format!("{pages}/prometheus/vmui/#/rules")).await?;
    page.wait_for_text(&["sightline-services", "firing: 1"]).await?;
    // A group shows its rules after a click.
    page.click_all(".vm-accordion-header").await?;
    page.wait_for_text(&["OrderFailed", "ServiceErrors"]).await?;
    page.ensure_readable(false).await?;
    page.ensure_only_requests_to(&pages)?;
    page.close().await?;
    stack.stop().await
}
