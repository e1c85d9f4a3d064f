//! Certificates, and then the authority, are replaced under running services.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sightline::certs;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.alone("certificates::services_follow_theirs_and_the_authority", replaced);
}

const PIPELINE: [Process; 3] = [Process::Jaeger, Process::Gateway, Process::Agent];

async fn replaced() -> Result<()> {
    let mut lab = Lab::start(|config| {
        let quick = "100";
        Process::SERVICES
            .into_iter()
            .fold(config, |config, service| config.with(service, "SIGHTLINE_TLS_RELOAD_INTERVAL", quick))
    })
    .await?;
    order(&lab).await?;
    let pids = pids(&lab);

    // New certificates of the same authority. The agent starts anew, so that every service has to shake hands again,
    // with what it has now.
    let directory = lab.stack().dir().join("certs");
    let next = tempfile::tempdir()?;
    copy(&directory.join("ca"), &next.path().join("ca"))?;
    replace(&directory, next.path())?;
    followed(&lab, 1).await?;
    lab.stop_process(Process::Agent).await?;
    lab.start_processes(&[Process::Agent]).await?;
    order(&lab).await?;

    // Another authority altogether. The pipeline starts anew with it (the Collector never reads a client's authority
    // again); the services do not.
    let next = tempfile::tempdir()?;
    replace(&directory, next.path())?;
    followed(&lab, 2).await?;
    for process in PIPELINE.into_iter().rev() {
        lab.stop_process(process).await?;
    }
    lab.start_processes(&PIPELINE).await?;
    order(&lab).await?;

    ensure!(self::pids(&lab) == pids, "services were started anew");
    lab.stop().await
}

async fn order(lab: &Lab) -> Result<()> {
    let answer = lab.order(&Caller::new(), "1").await?;
    ensure!(answer.status == 200, "{answer:?}");
    lab.trace(&answer.trace, ORDER).await?;
    Ok(())
}

fn pids(lab: &Lab) -> Vec<Option<u32>> {
    Process::SERVICES.map(|service| lab.stack().pid(service)).to_vec()
}

/// Waits until each service has said so many times that it uses new certificates.
async fn followed(lab: &Lab, times: usize) -> Result<()> {
    let look = async || {
        for service in Process::SERVICES {
            let lines = lab.console(service)?;
            let said = lines
                .iter()
                .filter(|line| line.message.starts_with("telemetry's certificates changed"))
                .count();
            // A look between two of the files sees two changes.
            ensure!(said >= times, "{service} has said it {said} times");
        }
        Ok(())
    };
    lab.eventually(format!("each service has followed {times} changes"), look).await
}

/// Makes certificates for all in `next`, of the authority there or a new one, and puts them in the place of those in
/// `directory`, a file at a time as an operator would: authority, key, certificate.
fn replace(directory: &Path, next: &Path) -> Result<()> {
    certs::ensure(&certs::Request::local(next))?;
    for identity in certs::IDENTITIES {
        for file in ["ca.crt", "tls.key", "tls.crt"] {
            let (from, to) = (next.join(identity).join(file), directory.join(identity).join(file));
            let beside = to.with_extension("new");
            std::fs::copy(&from, &beside).with_context(|| from.display().to_string())?;
            std::fs::rename(&beside, &to)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in ["ca.crt", "ca.key"] {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}
