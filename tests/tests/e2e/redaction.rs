//! The gateway removes personal data and credentials from all signals.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Value;
use sightline_tests::caller::Caller;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, SERVICES, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("redaction::removes_the_email_and_tokens_of_a_new_user", new_user);
    suite.add_shared("redaction::removes_an_email_from_a_path", path);
}

async fn new_user(stack: &TestStack) -> Result<()> {
    let caller = Caller::without_context();
    let unique = caller.trace_id();
    let email = format!("ada.{unique}@example.org");
    let token = format!("t0k{unique}");
    let bearer = format!("Bearer b34r{unique}");
    let caller = Caller::new()
        .with_header("user-agent", &format!("tests/1 (+mailto:{email}) {bearer}"))
        .with_header("authorization", &bearer)
        .with_header("cookie", &format!("session=c00k{unique}"));
    let body = format!(r#"{{"name": "Ada Lovelace", "email": "{email}"}}"#);
    let path = format!("users?access_token={token}&lang=en");
    let response = caller.post(stack.http(), &stack.users_url()?, &path, &body).await?;
    ensure!(response.status == 201, "{response:?}");
    // The second request fails, because a user with this email address exists. The telemetry of the error must not
    // contain the address either.
    let again = caller.post(stack.http(), &stack.users_url()?, &path, &body).await?;
    ensure!(again.status == 409, "{again:?}");

    let title = "users server POST /users";
    let check = async || {
        let trace = stack.jaeger().trace(&response.trace).await?.context("no span of the trace is stored")?;
        // Both requests are in the caller's trace and have three spans each.
        ensure!(trace.spans.len() == 6, "{} spans are stored", trace.spans.len());
        Ok(trace)
    };
    let trace = stack.eventually("the trace of a new user is stored", check).await?;
    // The attributes are still stored, and only their sensitive parts are replaced.
    let span = find(&trace, title).context(title)?;
    let text = |key| span.attribute(key).and_then(Value::as_str);
    ensure!(text("url.query") == Some("access_token=****&lang=****"), "{:?}", text("url.query"));
    let agent = text("user_agent.original").context("the user agent is missing")?;
    ensure!(agent.starts_with("tests/1 (+") && agent.contains("****"), "{agent}");

    ensure_absent(stack, &response.trace, unique).await
}

async fn path(stack: &TestStack) -> Result<()> {
    let caller = Caller::new();
    let email = format!("grace.{}@example.org", caller.span_id());
    let response = caller.get(stack.http(), &stack.users_url()?, &format!("users/{email}")).await?;
    ensure!(response.status == 400, "{response:?}");
    ensure!(!response.body.contains(&email), "{response:?}");
    let trace = stack.wait_for_trace(&response.trace, "^ users server GET /users/{id}\n").await?;
    let path = trace.spans[0].attribute("url.path").and_then(Value::as_str).unwrap_or_default();
    ensure!(path == "/users/****", "{path}");
    ensure_absent(stack, &response.trace, &format!("grace.{}", caller.span_id())).await
}

/// Fails if `secret` is in the stored trace `id`, in the stored log records, in the metrics or in the log of a process.
async fn ensure_absent(stack: &TestStack, id: &sightline::jaeger::TraceId, secret: &str) -> Result<()> {
    // The request under test is in the trace `id`. When the log records of a later order are stored, the log records of
    // that request are stored too.
    let marker = stack.get_order(&Caller::new(), "1").await?;
    stack.wait_for_trace(&marker.trace, ORDER).await?;
    let check = async || {
        let logs = stack.stored_logs().await?;
        let services = SERVICES.map(|process| {
            logs.iter().any(|log| log.service == process && log.trace_id == marker.trace.as_str())
        });
        ensure!(services == [true; 3], "whether each service's log records are stored: {services:?}");
        Ok(())
    };
    stack.eventually("the log records of a later order are stored", check).await?;

    let ports = stack.inner().ports();
    let mut places = vec![
        (
            "the stored trace".to_owned(),
            stack.jaeger().trace_text(id).await?.context("the trace is no longer stored")?,
        ),
        ("the stored logs".to_owned(), stack.page("/select/logsql/query", &[("query", "*")]).await?),
        (
            "the stored metrics".to_owned(),
            stack.page("/prometheus/api/v1/series", &[("match[]", "{__name__!=''}")]).await?,
        ),
        ("the gateway's metrics".to_owned(), stack.metrics_page(stack.gateway_metrics_port()?).await?),
    ];
    for process in SERVICES {
        let page = stack.metrics_page(ports.admin(process)?).await?;
        places.push((format!("the metrics of {process}"), page));
    }
    for process in stack.inner().config().processes.clone() {
        places.push((
            format!("the log of {process}"),
            std::fs::read_to_string(stack.inner().log_path(&process))?,
        ));
    }
    for (place, text) in places {
        if let Some(at) = text.find(secret) {
            let around = text.get(at.saturating_sub(200)..(at + 100).min(text.len())).unwrap_or_default();
            anyhow::bail!("{place} contains the secret: …{around}…");
        }
    }
    Ok(())
}
