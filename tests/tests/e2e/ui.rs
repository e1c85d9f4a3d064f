//! Jaeger serves its own UI, and a browser shows the stored traces, log records and metrics, each a click from the
//! other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline_tests::browser::{Browser, Link, Page};
use sightline_tests::caller::Caller;
use sightline_tests::jaeger_ui;
use sightline_tests::poll::{DEFAULT_TIMEOUT, eventually};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, SERVICES, TestStack};
use url::Url;

/// Jaeger's Monitor has one point a minute, and the metrics store moves it to the start of the minute.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(150);

/// The maximum time in which a page of a UI loads.
const LOADED_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("ui::jaeger_serves_its_own_ui", served);
    let reason = Browser::find().err().map(|error| format!("{error:#}"));
    suite.add_unless(reason, |suite| {
        suite.add_shared("ui::a_browser_finds_and_shows_a_trace", browser);
        suite.add_shared("ui::links_of_a_trace_lead_to_its_logs_and_metrics", links);
        suite.add_shared("ui::log_records_have_links_to_their_trace", from_logs);
        suite.add_shared("ui::the_menu_leads_to_metrics_and_logs", menu);
        suite.add_shared("ui::the_monitor_shows_the_latency", monitor);
        suite.add_shared("ui::the_first_dashboard_has_no_empty_panel", dashboard);
    });
}

async fn served(stack: &TestStack) -> Result<()> {
    jaeger_ui::check(stack.http(), stack.jaeger().address()).await
}

/// Requests an order, and waits until its trace is stored.
async fn stored_order(stack: &TestStack) -> Result<TraceId> {
    let response = stack.get_order(&Caller::new(), "7").await?;
    stack.wait_for_trace(&response.trace, ORDER).await?;
    Ok(response.trace)
}

async fn browser(stack: &TestStack) -> Result<()> {
    let trace = stored_order(stack).await?;
    let (pages, spans) = (stack.inner().pages_url(), ORDER.lines().count());
    let mut page = Browser::find()?.start().await?;

    let search = format!("{pages}/search?service={ORDERS}&limit=20&lookback=1h");
    stack
        .eventually("the search lists the order", async || {
            page.open(&search).await?;
            let text = page.wait_for_text(&["Spans"]).await?;
            // A result is shown with the first digits of the trace ID and the number of its spans.
            let result = text.split_once(&trace.as_str()[..7]).map(|(_, result)| result).unwrap_or_default();
            ensure!(result.contains(&format!("{spans} Spans")), "{search} shows:\n{text}");
            Ok(())
        })
        .await?;
    page.open(&format!("{pages}/trace/{trace}")).await?;
    let text = page.wait_for_text(&[&format!("Total Spans{spans} ")]).await?;
    for service in SERVICES {
        // A service is shown in front of each of its spans.
        let expected = ORDER.lines().filter(|line| line.trim_start_matches(['^', ' ']).starts_with(service));
        let (expected, shown) = (expected.count(), text.matches(&format!("{service} ")).count());
        ensure!(shown >= expected, "{shown} of {expected} spans of {service} are shown:\n{text}");
    }
    page.ensure_readable(false).await?;
    page.ensure_only_requests_to(&pages)?;
    page.close().await?;

    // Jaeger's UI remembers the colours of the first visit.
    let mut page = Browser::find()?.start().await?;
    page.prefer_dark().await?;
    page.open(&format!("{pages}/trace/{trace}")).await?;
    page.wait_for_text(&["Total Spans"]).await?;
    page.ensure_readable(true).await?;
    page.close().await
}

/// Returns the URL of the link whose text or title contains `text`.
fn url_of<'a>(links: &'a [Link], text: &str) -> Result<&'a str> {
    let link = links.iter().find(|link| link.text.contains(text));
    let link = link.with_context(|| format!("no link has the text {text:?}: {links:#?}"))?;
    Ok(&link.href)
}

/// Returns a parameter of a page of the stores. The parameters of these pages are in the fragment.
fn parameter_of(url: &str, name: &str) -> Result<String> {
    let url = Url::parse(&url.replacen("/#/?", "/?", 1))?;
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.with_context(|| format!("{url} has no parameter {name}"))
}

/// The links of a trace, of its processes and of a route.
async fn links(stack: &TestStack) -> Result<()> {
    let trace = stored_order(stack).await?;
    let pages = stack.inner().pages_url();
    let mut page = Browser::find()?.start().await?;
    // The UI opens the details of the spans that match `uiFind`. Their tags are closed until someone clicks on them.
    page.open(&format!("{pages}/trace/{trace}?uiFind=GET")).await?;
    page.wait_for_text(&["Total Spans", "Tags:", "Process:"]).await?;
    page.click_all(".AccordianKeyValues--header").await?;
    let found = eventually("the page has the links of its tags", DEFAULT_TIMEOUT, async || {
        let links = page.links().await?;
        url_of(&links, "95th percentile")?;
        url_of(&links, "records of this process")?;
        url_of(&links, "records of this trace")?;
        Ok(links)
    });
    let found = found.await?;

    let records = SERVICES.len();
    stack
        .eventually("the log records of the trace are shown", async || {
            page.open(url_of(&found, "records of this trace")?).await?;
            page.wait_for_text_within(&[&format!("Total logs returned: {records}")], LOADED_TIMEOUT).await?;
            Ok(())
        })
        .await?;
    let url = url_of(&found, "records of this process")?;
    page.open(url).await?;
    page.wait_for_text(&["Total logs returned:", "order read"]).await?;
    // The page shows only the newest records. The record of the start is not of a request, so it is not in the trace.
    let query = format!("{} \"serving orders over HTTP\"", parameter_of(url, "query")?);
    ensure!(stack.find_logs(&query).await?.len() == 1, "{query} does not find the start of the process");
    stack
        .eventually("the latency of the route is shown", async || {
            // A rate needs counters that grow between two exports.
            stack.get_order(&Caller::new(), "7").await?;
            page.open(url_of(&found, "95th percentile")?).await?;
            // The legend of the graph names each line.
            let parts = ["http_server_request_duration_seconds_bucket", "service_name", ORDERS];
            page.wait_for_text_within(&parts, LOADED_TIMEOUT).await?;
            Ok(())
        })
        .await?;
    page.ensure_only_requests_to(&pages)?;
    page.close().await
}

/// A switch of the log store's UI makes links of Markdown in messages, so a query can add links to traces.
async fn from_logs(stack: &TestStack) -> Result<()> {
    let trace = stored_order(stack).await?;
    let pages = stack.inner().pages_url();
    let mut page = Browser::find()?.start().await?;
    page.open(&format!("{pages}/select/vmui/")).await?;
    page.wait_for_text(&["LogsQL"]).await?;
    // The UI keeps the state of the switch under this name.
    page.evaluate(r#"localStorage.setItem("VLUI:LOGS_MARKDOWN", JSON.stringify({ value: "true" }))"#).await?;
    let query =
        format!(r#"trace_id:={trace} | format if (trace_id:*) "<_msg> [trace](/trace/<trace_id>)" as _msg"#);
    let url = Url::parse_with_params(&format!("{pages}/select/vmui/"), [("query", &query)])?;
    // The parameters of this UI are in the fragment.
    let url = url.as_str().replacen("/?", "/#/?", 1);
    let links = stack.eventually("the log records have links to the trace", async || {
        page.open(&url).await?;
        let text = format!("Total logs returned: {}", SERVICES.len());
        page.wait_for_text_within(&[&text], LOADED_TIMEOUT).await?;
        page.links().await
    });
    let expected = format!("{pages}/trace/{trace}");
    let links = links.await?;
    ensure!(links.iter().filter(|link| link.href == expected).count() == SERVICES.len(), "{links:#?}");
    page.close().await
}

/// The entries of the menu lead to the pages of the stores.
async fn menu(stack: &TestStack) -> Result<()> {
    let pages = stack.inner().pages_url();
    for dark in [false, true] {
        let mut page = Browser::find()?.start().await?;
        if dark {
            page.prefer_dark().await?;
        }
        page.open(&format!("{pages}/search")).await?;
        page.wait_for_text(&["Metrics", "Dashboards", "Logs"]).await?;
        page.ensure_readable(dark).await?;
        let links = page.links().await?;
        for (entry, text) in [("Metrics", "Execute Query"), ("Dashboards", "MetricsQL"), ("Logs", "LogsQL")] {
            page.open(url_of(&links, entry)?).await?;
            page.wait_for_text(&[text]).await?;
            page.ensure_readable(dark).await.with_context(|| format!("{entry}, dark: {dark}"))?;
        }
        page.ensure_only_requests_to(&pages)?;
        page.close().await?;
    }
    Ok(())
}

/// Jaeger's Monitor shows the latency of orders in the right order of magnitude.
async fn monitor(stack: &TestStack) -> Result<()> {
    let url = format!("{}/monitor", stack.inner().pages_url());
    let mut page: Page = Browser::find()?.start().await?;
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    let check = async || {
        // A rate needs counters that grow between two exports.
        let began = Instant::now();
        stack.get_order(&Caller::new(), "7").await?;
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        (least, most) = (least.min(milliseconds), most.max(milliseconds));
        page.open(&url).await?;
        page.wait_for_text_within(&["P95 Latency", "GET /orders/{id}"], LOADED_TIMEOUT).await?;
        let row = "[...document.querySelectorAll('tr')].find(row => row.innerText.includes('GET /orders/'))";
        let cell = page.evaluate(&format!("{row}.cells[1].innerText")).await?;
        let latency = milliseconds_of(cell.as_str().unwrap_or_default())?;
        // The slowest of the other tests' orders took seconds.
        ensure!(
            (least / 10.0..most.max(5_000.0) * 10.0).contains(&latency),
            "{latency} ms, measured {least} to {most} ms"
        );
        Ok(())
    };
    eventually("the Monitor shows the latency of orders", MONITOR_TIMEOUT, check).await?;
    page.close().await
}

/// The panels of the dashboard about requests have data after an order.
async fn dashboard(stack: &TestStack) -> Result<()> {
    let pages = stack.inner().pages_url();
    let mut page = Browser::find()?.start().await?;
    page.make_high().await?;
    let panels = "[...document.querySelectorAll('.vm-predefined-dashboard-panels-panel')]";
    stack
        .eventually("each panel shows the values of a series", async || {
            // A rate needs counters that grow between two exports.
            stack.get_order(&Caller::new(), "7").await?;
            page.open(&format!("{pages}/prometheus/vmui/#/dashboards")).await?;
            eventually("all panels are loaded", LOADED_TIMEOUT, async || {
                let texts = page.evaluate(&format!("{panels}.map(panel => panel.innerText)")).await?;
                let texts: Vec<String> = serde_json::from_value(texts)?;
                // The legend has the last value of each series. Without failures, a panel about failures is empty.
                let is_empty = |text: &&String| !text.contains("last:") && !text.starts_with("Failed");
                let empty: Vec<_> = texts.iter().filter(is_empty).collect();
                let panels = texts.len();
                ensure!(
                    panels > 0 && empty.is_empty(),
                    "{} of {panels} panels are empty: {empty:?}",
                    empty.len()
                );
                Ok(())
            })
            .await
        })
        .await?;
    page.ensure_readable(false).await?;
    page.ensure_only_requests_to(&pages)?;
    page.close().await
}

/// Reads a duration of Jaeger's UI, such as `9.75ms`.
fn milliseconds_of(text: &str) -> Result<f64> {
    let text = text.trim();
    for (unit, factor) in [("ms", 1.0), ("μs", 1e-3), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number
                .trim()
                .parse::<f64>()
                .map(|number| number * factor)
                .with_context(|| text.to_owned());
        }
    }
    anyhow::bail!("{text:?} is not a duration")
}
