//! Rotation of the certificates and of the CA while the services run.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use sightline::certs;
use sightline::stack::{AGENT, GATEWAY, JAEGER};
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, SERVICES, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("certificates::services_reload_certificates_and_ca", services_reload);
    suite.add_shared("certificates::the_store_has_the_expiry_of_each_certificate", expiries);
}

const PIPELINE: [&str; 3] = [JAEGER, GATEWAY, AGENT];

async fn services_reload() -> Result<()> {
    let mut stack = TestStack::start(|config| {
        let milliseconds = "100";
        SERVICES.into_iter().fold(config, |config, service| {
            config.with(service, "SIGHTLINE_TLS_RELOAD_INTERVAL", milliseconds)
        })
    })
    .await?;
    request_order(&stack).await?;
    let pids = pids(&stack);
    let identities = stack.inner().config().spec.identities();

    // First rotation: new certificates from the same CA. The agent is restarted, so that every service connects to it
    // again with the new certificate.
    let directory = stack.inner().dir().join("certs");
    let next = tempfile::tempdir()?;
    copy_ca(&directory.join("ca"), &next.path().join("ca"))?;
    replace(&directory, next.path(), &identities)?;
    wait_for_reloads(&stack, 1).await?;
    stack.stop_process(AGENT).await?;
    stack.start_processes(&[AGENT]).await?;
    request_order(&stack).await?;

    // Second rotation: new certificates from a new CA. The processes of the pipeline are restarted, because a Collector
    // does not reload the CA with which it verifies clients. The services keep running.
    let next = tempfile::tempdir()?;
    replace(&directory, next.path(), &identities)?;
    wait_for_reloads(&stack, 2).await?;
    for process in PIPELINE.into_iter().rev() {
        stack.stop_process(process).await?;
    }
    stack.start_processes(&PIPELINE).await?;
    request_order(&stack).await?;

    ensure!(self::pids(&stack) == pids, "a service was restarted");
    stack.stop().await
}

/// The expiry of the certificate and the CA of each process is stored, and that of Jaeger, which a gateway reads.
async fn expiries(stack: &TestStack) -> Result<()> {
    let services = SERVICES.into_iter().chain(["sightline-agent", "sightline-gateway"]);
    let mut expected: Vec<_> = services.flat_map(|service| [(service, "own"), (service, "ca")]).collect();
    expected.push(("sightline-gateway", "backend"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let check = async || {
        let series = stack.find_series("sightline_certificate_expiry_seconds").await?;
        for (service, certificate) in &expected {
            let wanted = [("service_name", service), ("certificate", certificate)];
            let found = series.iter().find(|(labels, _)| {
                wanted.iter().all(|(label, value)| labels.get(*label).is_some_and(|found| found == *value))
            });
            let (_, until) = found.with_context(|| format!("{service}: no expiry of {certificate}"))?;
            ensure!(*until > now, "{service}: {certificate} has expired at {until}");
        }
        Ok(())
    };
    stack.eventually("the expiry of each certificate is stored", check).await
}

async fn request_order(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "1").await?;
    ensure!(response.status == 200, "{response:?}");
    stack.wait_for_trace(&response.trace, ORDER).await?;
    Ok(())
}

fn pids(stack: &TestStack) -> Vec<Option<u32>> {
    SERVICES.map(|service| stack.inner().pid(service)).to_vec()
}

/// Waits until each service has logged at least `times` certificate changes.
async fn wait_for_reloads(stack: &TestStack, times: usize) -> Result<()> {
    let check = async || {
        for service in SERVICES {
            let records = stack.console_logs(service)?;
            let reloads = records
                .iter()
                .filter(|record| record.message.starts_with("telemetry's certificates changed"))
                .count();
            // A service that checks its files while they are being replaced can log more than one change.
            ensure!(reloads >= times, "{service} has reloaded {reloads} times");
        }
        Ok(())
    };
    stack.eventually(format!("each service has reloaded its certificates {times} times"), check).await
}

/// Creates certificates for all identities in the directory `next`, and also a CA if `next` has none. Then copies these
/// files over the files in `directory` one by one, as an operator would: first the CA, then the key, then the
/// certificate.
fn replace(directory: &Path, next: &Path, identities: &[String]) -> Result<()> {
    certs::ensure(&certs::Request::new(next, identities.to_vec()))?;
    for identity in identities {
        for file in ["ca.crt", "tls.key", "tls.crt"] {
            let (from, to) = (next.join(identity).join(file), directory.join(identity).join(file));
            let temporary = to.with_extension("new");
            std::fs::copy(&from, &temporary).with_context(|| from.display().to_string())?;
            std::fs::rename(&temporary, &to)?;
        }
    }
    Ok(())
}

fn copy_ca(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in ["ca.crt", "ca.key"] {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}
