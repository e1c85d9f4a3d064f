//! Exporters report on services and never on themselves; and the set-ups of the tutorial.

use anyhow::{Result, ensure};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER, USER};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("exporters::none_reports_on_itself", none_reports_on_itself);
    suite.shared("exporters::console_and_otlp_work_together", console_and_otlp);
    suite.shared("exporters::a_disabled_sdk_serves_and_passes_context_on", disabled);
}

async fn none_reports_on_itself(lab: &Lab) -> Result<()> {
    let ports = lab.stack().ports();
    let over_http = lab.alone(Process::UserService, |config| {
        config
            .with(Process::UserService, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .with(
                Process::UserService,
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("https://localhost:{}", ports.agent_otlp_http),
            )
            // What a library says while it exports must not be exported either.
            .with(Process::UserService, "RUST_LOG", "trace")
    });
    let mut over_http = over_http.await?;
    let over_grpc =
        lab.alone(Process::UserService, |config| config.with(Process::UserService, "RUST_LOG", "trace"));
    let mut over_grpc = over_grpc.await?;
    for service in [&over_http, &over_grpc] {
        let answer = Caller::new().get(lab.http(), &service.url()?, "users/1").await?;
        ensure!(answer.status == 200, "{answer:?}");
        lab.trace(&answer.trace, USER).await?;
    }
    let pids = [over_http.pid()?, over_grpc.pid()?];
    // And these export once more, at their end.
    for service in [&mut over_http, &mut over_grpc] {
        let exit = service.stop().await?;
        ensure!(exit.is_clean(), "{}, {}", exit.describe(), service.tail());
    }
    lab.settle().await?;

    let mut seen = 0;
    for process in Process::SERVICES {
        for span in lab.traces_of(process).await?.iter().flat_map(|trace| &trace.spans) {
            seen += 1;
            let text = format!("{} {:?}", span.name, span.attributes);
            for word in ["opentelemetry.proto", "/v1/traces", "/v1/metrics", "/v1/logs"] {
                ensure!(!text.contains(word), "{} reports on its exporter: {text}", span.service);
            }
            let port = span.attribute("server.port").and_then(sightline::jaeger::Value::as_int);
            let agents = [ports.agent_otlp_grpc, ports.agent_otlp_http].map(|port| Some(i64::from(port)));
            ensure!(!agents.contains(&port), "{} reports on its exporter: {text}", span.service);
        }
    }
    ensure!(seen > 0, "no span at all is stored");

    // Of the two that log everything, nothing comes from the threads that export.
    let stored = std::fs::read_to_string(lab.stack().stored_logs())?;
    for line in
        stored.lines().filter(|line| pids.iter().any(|pid| line.contains(&format!("\"intValue\":\"{pid}\""))))
    {
        for library in ["h2", "rustls", "tonic", "hyper_util::client", "reqwest", "opentelemetry-otlp"] {
            let said = line.contains(&format!("\"scope\":{{\"name\":\"{library}"));
            ensure!(!said, "what {library} says was exported");
        }
    }
    Ok(())
}

async fn console_and_otlp(lab: &Lab) -> Result<()> {
    let both = lab.alone(Process::UserService, |config| {
        config
            .with(Process::UserService, "OTEL_TRACES_EXPORTER", "console,otlp")
            .with(Process::UserService, "OTEL_METRICS_EXPORTER", "console,otlp,prometheus")
            .with(Process::UserService, "OTEL_LOGS_EXPORTER", "console,otlp")
            .with(Process::UserService, "SIGHTLINE_LOG_SPANS", "1")
    });
    let mut both = both.await?;
    let answer = Caller::new().get(lab.http(), &both.url()?, "users/2").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let trace = lab.trace(&answer.trace, USER).await?;
    let own = lab.metrics(both.admin_port()).await?;
    ensure!(
        own.sum("http_server_request_duration_seconds_count", &[]) == Some(1.0),
        "/metrics counts otherwise"
    );
    let exit = both.stop().await?;
    ensure!(exit.is_clean(), "{}", exit.describe());

    let log = both.log()?;
    for span in &trace.spans {
        // The console's exporter, and the line that SIGHTLINE_LOG_SPANS asks for.
        let printed =
            log.lines().filter(|line| line.contains(&span.span_id) && !line.starts_with('{')).count();
        ensure!(printed >= 1, "span {} is not on the console ({})", span.name, both.tail());
        let id = format!("\"otel.span_id\":\"{}\"", span.span_id);
        let logged = log.lines().filter(|line| line.contains("span ended") && line.contains(&id)).count();
        ensure!(logged == 1, "span {} was logged {logged} times ({})", span.name, both.tail());
    }
    ensure!(log.contains("http.server.request.duration"), "no metric is on the console ({})", both.tail());
    ensure!(log.contains("\"message\":\"user read\""), "no log line is on the console ({})", both.tail());
    Ok(())
}

async fn disabled(lab: &Lab) -> Result<()> {
    let mute = lab.alone(Process::OrderService, |config| {
        config.with(Process::OrderService, "OTEL_SDK_DISABLED", "true")
    });
    let mute = mute.await?;
    let caller = Caller::new().with("baggage", "tenant=blue");
    let answer = caller.get(lab.http(), &mute.url()?, "orders/3").await?;
    ensure!(answer.status == 200, "{answer:?}");
    // The others hang below the caller, as if the service in between were not there, and know what it said.
    let shape = "\
^ user-service server GET /users/{id}
  user-service internal read_user
    user-service client SELECT users
^ inventory-service server sightline.inventory.v1.Inventory/Reserve
  inventory-service internal reserve_stock
";
    let trace = lab.trace(&answer.trace, shape).await?;
    for span in trace.spans.iter().filter(|span| span.kind == sightline::jaeger::Kind::Server) {
        ensure!(span.parent_span_id.as_deref() == Some(caller.span_id()), "{span:?}");
        ensure!(span.attribute("environment").is_some(), "{span:?}");
    }
    let log = mute.log()?;
    let said = log.lines().any(|line| line.contains("stock reserved") && line.contains(caller.trace_id()));
    ensure!(said, "its console does not say the caller's trace ({})", mute.tail());
    lab.trace(&lab.order(&Caller::new(), "3").await?.trace, ORDER).await?;
    Ok(())
}
