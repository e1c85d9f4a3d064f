//! A release of the chart as it was one commit ago becomes one of the chart as it is.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sightline_tests::test_stack::root;

use crate::extra_release::ExtraRelease;
use crate::install::{Install, chart};
use crate::progress;

const NAMESPACE: &str = "sightline-e2e-upgrade";

pub(crate) async fn upgrade(install: &Install) -> Result<()> {
    let dir = tempfile::tempdir()?;
    if let Err(why) = previous(dir.path()) {
        progress(format!("skipped: {why:#}"));
        install.figure(format!("helm upgrade from the previous commit's chart was skipped: {why:#}"));
        return Ok(());
    }
    let beside = ExtraRelease::make(&install.cluster, NAMESPACE).await?;
    let before = dir.path().join("helm/sightline").display().to_string();
    let outcome = async {
        beside.helm("install", &before).await.context("the previous commit's chart")?;
        beside.order().await.context("with the previous commit's chart")?;
        beside.helm("upgrade", &chart().display().to_string()).await.context("the upgrade")?;
        beside.order().await.context("after the upgrade")
    };
    let outcome = outcome.await;
    beside.remove(outcome).await
}

/// Puts the previous commit's chart, and what it reaches by symbolic links, into `dir`. Fails where there is none.
fn previous(dir: &Path) -> Result<()> {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(root()).args(args).stdin(Stdio::null());
        git
    };
    let said = git(&["rev-parse", "--verify", "--quiet", "HEAD~1"]).output().context("there is no git")?;
    ensure!(said.status.success(), "there is no previous commit in this checkout");
    let said = git(&["cat-file", "-e", "HEAD~1:helm/sightline/Chart.yaml"]).output()?;
    ensure!(said.status.success(), "the previous commit has no chart");
    let archive = dir.join("archive.tar");
    let output = format!("--output={}", archive.display());
    let said = git(&["archive", &output, "HEAD~1", "helm", "collector-config"]).output()?;
    ensure!(said.status.success(), "git archive: {}", String::from_utf8_lossy(&said.stderr));
    let said = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(dir)
        .output()
        .context("there is no tar")?;
    ensure!(said.status.success(), "tar: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}
