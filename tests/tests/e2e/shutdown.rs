//! When a service stops, it finishes its requests, delivers its telemetry and reports the telemetry that it lost.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{FIXTURE, TestStack, USER, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("shutdown::loses_nothing_with_one_processor", one_processor);
    suite.add_shared("shutdown::finishes_a_request_in_flight", in_flight);
    suite.add_shared("shutdown::reports_lost_telemetry", reports_lost);
}

/// The maximum time from SIGTERM until the service has delivered its telemetry and exited.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

const REQUESTS: usize = 200;

async fn one_processor(stack: &TestStack) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let service = stack.start_single_service(USERS, |mut config| {
        let program = config.binaries.services.join(FIXTURE);
        dir.path().clone_into(&mut config.binaries.services);
        // The service is started through a script, which limits it to one processor. If writing the script fails, the
        // start fails with a message that the script does not exist.
        let _ = pin(&dir.path().join(FIXTURE), &program);
        // With this delay, a batch is exported only when it is full or at shutdown. So some spans are exported only at
        // shutdown.
        config.span_delay = Duration::from_hours(1);
        config.with(USERS, "TOKIO_WORKER_THREADS", "1")
    });
    let mut service = service.await?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid()?))?;
    let allowed =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim();
    ensure!(allowed == "0", "the service can use processors {allowed}, expected only processor 0");

    let mut sent = Vec::new();
    for request in 0..REQUESTS {
        let response =
            Caller::new().get(stack.http(), &service.url()?, &format!("users/{}", 1 + request % 100)).await?;
        ensure!(response.status == 200, "{response:?}");
        sent.push(response.trace);
    }
    let exit = service.stop().await?;
    ensure!(
        exit.is_clean() && exit.took < SHUTDOWN_TIMEOUT,
        "{} after {:?}: {}",
        exit.describe(),
        exit.took,
        service.log_tail()
    );
    for id in &sent {
        stack.wait_for_trace(id, USER).await?;
    }
    Ok(())
}

/// Writes a script to `path` that runs `program` on the first processor only.
fn pin(path: &Path, program: &Path) -> std::io::Result<()> {
    let program = program.canonicalize()?;
    std::fs::write(path, format!("#!/bin/sh\nexec taskset -c 0 '{}' \"$@\"\n", program.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

async fn in_flight(stack: &TestStack) -> Result<()> {
    let mut service = stack.start_single_service(USERS, |config| config).await?;
    let (url, port) = (service.url()?, service.admin_port()?);
    let caller = Caller::new();
    let request = caller.get(stack.http(), &url, "users/998");
    let stop = async {
        let check = async || {
            let active = stack.metrics(port).await?.sum("http_server_active_requests", &[]);
            ensure!(active == Some(1.0), "{active:?} requests are in flight");
            Ok(())
        };
        stack.eventually("the slow request is in flight", check).await?;
        service.stop().await
    };
    let (response, exit) = tokio::join!(request, stop);
    let (response, exit) = (response?, exit?);
    ensure!(response.status == 200, "{response:?}");
    ensure!(
        exit.is_clean() && exit.took < SHUTDOWN_TIMEOUT,
        "{} after {:?}: {}",
        exit.describe(),
        exit.took,
        service.log_tail()
    );
    let trace = stack.wait_for_trace(&response.trace, USER).await?;
    let (start, end) = trace.bounds().context("the trace has no timestamps")?;
    ensure!(end - start >= 1_000_000_000, "the trace is shorter than a second: {} ns", end - start);
    Ok(())
}

async fn reports_lost(stack: &TestStack) -> Result<()> {
    // Nothing listens on this port, because the listener that reserved the port is dropped immediately.
    let unused_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let service = stack.start_single_service(USERS, |config| {
        let endpoint = format!("https://localhost:{unused_port}");
        config.with(USERS, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    });
    let mut service = service.await?;
    for _ in 0..5 {
        let response = Caller::new().get(stack.http(), &service.url()?, "users/1").await?;
        ensure!(response.status == 200, "{response:?}");
    }
    let exit = service.stop().await?;
    let log = service.log()?;
    ensure!(
        exit.status.and_then(|status| status.code()) == Some(1),
        "{}, {}",
        exit.describe(),
        service.log_tail()
    );
    ensure!(exit.took < SHUTDOWN_TIMEOUT, "the shutdown took {:?}", exit.took);
    // The five requests have three spans each, 15 in total. The database setup at startup adds more spans.
    let line = log.lines().find(|line| line.contains("telemetry was lost: "));
    let line = line.context("the log does not report lost spans")?;
    let (lost, all) = service.lost_spans()?;
    ensure!(lost == all && all >= 15, "{line}");
    ensure!(line.contains("log records to otlp"), "{line}");
    Ok(())
}
