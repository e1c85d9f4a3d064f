//! A service that is told to stop finishes, delivers everything and says what it could not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, USER};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("shutdown::with_one_processor_nothing_is_lost", one_processor);
    suite.shared("shutdown::a_request_in_flight_is_answered_and_recorded", in_flight);
    suite.shared("shutdown::what_was_lost_is_counted_and_said", lost);
}

/// The service has told everything and ended within this.
const WITHIN: Duration = Duration::from_secs(10);

const REQUESTS: usize = 200;

async fn one_processor(lab: &Lab) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let service = lab.alone(Process::UserService, |mut config| {
        let program = config.binaries.of(Process::UserService);
        dir.path().clone_into(&mut config.binaries.services);
        // A failure shows in the start: then there is no program.
        let _ = pin(&dir.path().join(Process::UserService.name()), &program);
        // A batch only goes when it is full or at the end: nearly all is left to the shutdown.
        config.span_delay = Duration::from_hours(1);
        config.with(Process::UserService, "TOKIO_WORKER_THREADS", "1")
    });
    let mut service = service.await?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid()?))?;
    let allowed =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim();
    ensure!(allowed == "0", "it may use the processors {allowed}");

    let mut sent = Vec::new();
    for request in 0..REQUESTS {
        let answer =
            Caller::new().get(lab.http(), &service.url()?, &format!("users/{}", 1 + request % 100)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        sent.push(answer.trace);
    }
    let exit = service.stop().await?;
    ensure!(
        exit.is_clean() && exit.took < WITHIN,
        "{} after {:?}: {}",
        exit.describe(),
        exit.took,
        service.tail()
    );
    for id in &sent {
        lab.trace(id, USER).await?;
    }
    Ok(())
}

/// Writes a program that becomes `program` on the first processor alone.
fn pin(path: &Path, program: &Path) -> std::io::Result<()> {
    let program = program.canonicalize()?;
    std::fs::write(path, format!("#!/bin/sh\nexec taskset -c 0 '{}' \"$@\"\n", program.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

async fn in_flight(lab: &Lab) -> Result<()> {
    let mut service = lab.alone(Process::UserService, |config| config).await?;
    let (url, port) = (service.url()?, service.admin_port());
    let caller = Caller::new();
    let request = caller.get(lab.http(), &url, "users/998");
    let stop = async {
        let look = async || {
            let active = lab.metrics(port).await?.sum("http_server_active_requests", &[]);
            ensure!(active == Some(1.0), "{active:?} requests are in flight");
            Ok(())
        };
        lab.eventually("the slow request is in flight", look).await?;
        service.stop().await
    };
    let (answer, exit) = tokio::join!(request, stop);
    let (answer, exit) = (answer?, exit?);
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        exit.is_clean() && exit.took < WITHIN,
        "{} after {:?}: {}",
        exit.describe(),
        exit.took,
        service.tail()
    );
    let trace = lab.trace(&answer.trace, USER).await?;
    let (start, end) = trace.bounds().context("it has no times")?;
    ensure!(end - start >= 1_000_000_000, "it took {} ns", end - start);
    Ok(())
}

async fn lost(lab: &Lab) -> Result<()> {
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let service = lab.alone(Process::UserService, |config| {
        let endpoint = format!("https://localhost:{nobody}");
        config.with(Process::UserService, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    });
    let mut service = service.await?;
    for _ in 0..5 {
        let answer = Caller::new().get(lab.http(), &service.url()?, "users/1").await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let exit = service.stop().await?;
    let log = service.log()?;
    ensure!(
        exit.status.and_then(|status| status.code()) == Some(1),
        "{}, {}",
        exit.describe(),
        service.tail()
    );
    ensure!(exit.took < WITHIN, "it took {:?}", exit.took);
    // Five requests of three spans, and what the service did to its store when it started.
    let said =
        log.lines().find(|line| line.contains("spans to otlp")).context("it does not say what was lost")?;
    let (lost, all) = said
        .split_once(" spans to otlp")
        .and_then(|(count, _)| {
            let (lost, all) = count.rsplit_once(" of ")?;
            Some((lost.rsplit(' ').next()?.parse::<u32>().ok()?, all.parse::<u32>().ok()?))
        })
        .with_context(|| said.to_owned())?;
    ensure!(lost == all && all >= 15, "{said}");
    ensure!(said.contains("log records to otlp"), "{said}");
    Ok(())
}
