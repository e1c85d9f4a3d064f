//! What names a person or opens a door is nowhere behind the gateway.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Value;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("redaction::a_new_users_address_and_token_are_stored_nowhere", new_user);
    suite.shared("redaction::an_address_in_a_path_is_stored_nowhere", path);
}

async fn new_user(lab: &Lab) -> Result<()> {
    let caller = Caller::silent();
    let unique = caller.trace_id();
    let email = format!("ada.{unique}@example.org");
    let token = format!("t0k{unique}");
    let bearer = format!("Bearer b34r{unique}");
    let caller = Caller::new()
        .with("user-agent", &format!("tests/1 (+mailto:{email}) {bearer}"))
        .with("authorization", &bearer)
        .with("cookie", &format!("session=c00k{unique}"));
    let body = format!(r#"{{"name": "Ada Lovelace", "email": "{email}"}}"#);
    let path = format!("users?access_token={token}&lang=en");
    let answer = caller.post(lab.http(), &lab.users()?, &path, &body).await?;
    ensure!(answer.status == 201, "{answer:?}");
    // Once more: the address is taken, which is a failure of another kind.
    let again = caller.post(lab.http(), &lab.users()?, &path, &body).await?;
    ensure!(again.status == 409, "{again:?}");

    let title = "user-service server POST /users";
    let look = async || {
        let trace = lab.jaeger().trace(&answer.trace).await?.context("nothing of it is stored")?;
        // Two requests of three spans, in the one trace of their caller.
        ensure!(trace.spans.len() == 6, "{} spans are stored", trace.spans.len());
        Ok(trace)
    };
    let trace = lab.eventually("the trace of a new user is stored", look).await?;
    // What is left proves that it was there, and that the rest of it stays readable.
    let span = find(&trace, title).context(title)?;
    let said = |key| span.attribute(key).and_then(Value::as_str);
    ensure!(said("url.query") == Some("access_token=****&lang=****"), "{:?}", said("url.query"));
    let agent = said("user_agent.original").context("no user agent")?;
    ensure!(agent.starts_with("tests/1 (+") && agent.contains("****"), "{agent}");

    absent(lab, &answer.trace, unique).await
}

async fn path(lab: &Lab) -> Result<()> {
    let caller = Caller::new();
    let email = format!("grace.{}@example.org", caller.span_id());
    let answer = caller.get(lab.http(), &lab.users()?, &format!("users/{email}")).await?;
    ensure!(answer.status == 400, "{answer:?}");
    ensure!(!answer.body.contains(&email), "{answer:?}");
    let trace = lab.trace(&answer.trace, "^ user-service server GET /users/{id}\n").await?;
    let path = trace.spans[0].attribute("url.path").and_then(Value::as_str).unwrap_or_default();
    ensure!(path == "/users/****", "{path}");
    absent(lab, &answer.trace, &format!("grace.{}", caller.span_id())).await
}

/// Fails if `secret` is in what is stored of a trace, in a log record, in a metric or on a console.
async fn absent(lab: &Lab, id: &sightline::jaeger::TraceId, secret: &str) -> Result<()> {
    // Logs and metrics of the request have arrived when those of a later one have.
    let marker = lab.order(&Caller::new(), "1").await?;
    lab.trace(&marker.trace, ORDER).await?;
    let logged = async || {
        let logs = lab.stored_logs()?;
        let services = Process::SERVICES.map(|process| {
            logs.iter().any(|log| log.service == process.name() && log.trace_id == marker.trace.as_str())
        });
        ensure!(services == [true; 3], "so far {services:?} of the services' records");
        Ok(())
    };
    lab.eventually("the records of a later order are stored", logged).await?;

    let ports = lab.stack().ports();
    let mut places = vec![
        ("the stored trace".to_owned(), lab.jaeger().trace_text(id).await?.context("it is gone")?),
        ("the stored logs".to_owned(), std::fs::read_to_string(lab.stack().stored_logs())?),
        ("the gateway's metrics".to_owned(), lab.page(ports.gateway_span_metrics).await?),
    ];
    for (process, port) in [
        (Process::OrderService, ports.order_admin),
        (Process::UserService, ports.user_admin),
        (Process::InventoryService, ports.inventory_admin),
    ] {
        places.push((format!("the metrics of {process}"), lab.page(port).await?));
    }
    for process in Process::ALL {
        places
            .push((format!("the log of {process}"), std::fs::read_to_string(lab.stack().log_path(process))?));
    }
    for (place, text) in places {
        if let Some(at) = text.find(secret) {
            let around = text.get(at.saturating_sub(200)..(at + 100).min(text.len())).unwrap_or_default();
            anyhow::bail!("{place}: …{around}…");
        }
    }
    Ok(())
}
