//! Exporters do not export telemetry about their own exports. Several exporters work together in one service. A service
//! with a disabled SDK still propagates the context.

use anyhow::{Result, ensure};
use sightline::stack::AGENT;
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, SERVICES, TestStack, USER, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("exporters::do_not_report_on_themselves", do_not_report_on_themselves);
    suite.add_shared("exporters::console_and_otlp_work_together", console_and_otlp);
    suite.add_shared("exporters::a_disabled_sdk_propagates_context", disabled);
}

async fn do_not_report_on_themselves(stack: &TestStack) -> Result<()> {
    let ports = stack.inner().ports();
    let agent_http = ports.number(AGENT, "otlp-http")?;
    let over_http = stack.start_single_service(USERS, |config| {
        config
            .with(USERS, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .with(USERS, "OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{agent_http}"))
            // At this level, libraries write logs during an export. These logs must not be exported either.
            .with(USERS, "RUST_LOG", "trace")
    });
    let mut over_http = over_http.await?;
    let over_grpc = stack.start_single_service(USERS, |config| config.with(USERS, "RUST_LOG", "trace"));
    let mut over_grpc = over_grpc.await?;
    for service in [&over_http, &over_grpc] {
        let response = Caller::new().get(stack.http(), &service.url()?, "users/1").await?;
        ensure!(response.status == 200, "{response:?}");
        stack.wait_for_trace(&response.trace, USER).await?;
    }
    let pids = [over_http.pid()?, over_grpc.pid()?];
    // When the services stop, both export telemetry again. These exports must not create telemetry either.
    for service in [&mut over_http, &mut over_grpc] {
        let exit = service.stop().await?;
        ensure!(exit.is_clean(), "{}, {}", exit.describe(), service.log_tail());
    }
    stack.wait_for_pipeline().await?;

    let mut spans = 0;
    for process in SERVICES {
        for span in stack.traces_of(process).await?.iter().flat_map(|trace| &trace.spans) {
            spans += 1;
            let text = format!("{} {:?}", span.name, span.attributes);
            for export in ["opentelemetry.proto", "/v1/traces", "/v1/metrics", "/v1/logs"] {
                ensure!(!text.contains(export), "{} has a span of its exporter: {text}", span.service);
            }
            let port = span.attribute("server.port").and_then(sightline::jaeger::Value::as_int);
            let agents = [ports.number(AGENT, "otlp-grpc")?, agent_http].map(|port| Some(i64::from(port)));
            ensure!(!agents.contains(&port), "{} has a span of its exporter: {text}", span.service);
        }
    }
    ensure!(spans > 0, "no span is stored");

    // The two services log at level trace, but the log records that libraries write during an export are not
    // exported.
    let records = stack.find_logs(&format!("process.pid:in({},{})", pids[0], pids[1])).await?;
    ensure!(!records.is_empty(), "no log record of the two services is stored");
    for record in records {
        let scope = record["scope.name"].as_str().unwrap_or_default();
        for library in ["h2", "rustls", "tonic", "hyper_util::client", "reqwest", "opentelemetry-otlp"] {
            ensure!(!scope.starts_with(library), "a log record of {library} was exported: {record}");
        }
    }
    Ok(())
}

async fn console_and_otlp(stack: &TestStack) -> Result<()> {
    let both = stack.start_single_service(USERS, |config| {
        config
            .with(USERS, "OTEL_TRACES_EXPORTER", "console,otlp")
            .with(USERS, "OTEL_METRICS_EXPORTER", "console,otlp,prometheus")
            .with(USERS, "OTEL_LOGS_EXPORTER", "console,otlp")
            .with(USERS, "SIGHTLINE_LOG_SPANS", "1")
    });
    let mut both = both.await?;
    let response = Caller::new().get(stack.http(), &both.url()?, "users/2").await?;
    ensure!(response.status == 200, "{response:?}");
    let trace = stack.wait_for_trace(&response.trace, USER).await?;
    let own = stack.metrics(both.admin_port()?).await?;
    ensure!(
        own.sum("http_server_request_duration_seconds_count", &[]) == Some(1.0),
        "/metrics does not count exactly one request"
    );
    let exit = both.stop().await?;
    ensure!(exit.is_clean(), "{}", exit.describe());

    let log = both.log()?;
    for span in &trace.spans {
        // The console exporter prints the span, and SIGHTLINE_LOG_SPANS adds one log line for the span.
        let printed =
            log.lines().filter(|line| line.contains(&span.span_id) && !line.starts_with('{')).count();
        ensure!(printed >= 1, "span {} is not on the console ({})", span.name, both.log_tail());
        let id = format!("\"otel.span_id\":\"{}\"", span.span_id);
        let logged = log.lines().filter(|line| line.contains("span ended") && line.contains(&id)).count();
        ensure!(logged == 1, "span {} was logged {logged} times ({})", span.name, both.log_tail());
    }
    ensure!(
        log.contains("http.server.request.duration"),
        "no metric is on the console ({})",
        both.log_tail()
    );
    ensure!(log.contains("\"message\":\"user read\""), "no log line is on the console ({})", both.log_tail());
    Ok(())
}

async fn disabled(stack: &TestStack) -> Result<()> {
    let disabled =
        stack.start_single_service(ORDERS, |config| config.with(ORDERS, "OTEL_SDK_DISABLED", "true"));
    let disabled = disabled.await?;
    let caller = Caller::new().with_header("baggage", "tenant=blue");
    let response = caller.get(stack.http(), &disabled.url()?, "orders/3").await?;
    ensure!(response.status == 200, "{response:?}");
    // orders, whose SDK is disabled, records no spans. The first span of each other service is a child of the
    // caller's span. Its attributes include the baggage that orders added.
    let shape = "\
^ users server GET /users/{id}
  users internal read_user
    users client SELECT users
^ stock server fixture.v1.Stock/Reserve
  stock internal reserve_stock
";
    let trace = stack.wait_for_trace(&response.trace, shape).await?;
    for span in trace.spans.iter().filter(|span| span.kind == sightline::jaeger::Kind::Server) {
        ensure!(span.parent_span_id.as_deref() == Some(caller.span_id()), "{span:?}");
        ensure!(span.attribute("environment").is_some(), "{span:?}");
    }
    let log = disabled.log()?;
    let has_trace_id = |line: &str| line.contains("stock reserved") && line.contains(caller.trace_id());
    ensure!(
        log.lines().any(has_trace_id),
        "the log does not contain the caller's trace ID ({})",
        disabled.log_tail()
    );
    stack.wait_for_trace(&stack.get_order(&Caller::new(), "3").await?.trace, ORDER).await?;
    Ok(())
}
