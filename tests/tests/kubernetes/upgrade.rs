//! An upgrade from the chart of the previous commit to the current chart.

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
    if let Err(error) = extract_previous_chart(dir.path()) {
        progress(format!("skipped: {error:#}"));
        install
            .add_measurement(format!("helm upgrade from the previous commit's chart was skipped: {error:#}"));
        return Ok(());
    }
    let release = ExtraRelease::create(&install.cluster, NAMESPACE).await?;
    let previous = dir.path().join("helm/sightline").display().to_string();
    let outcome = async {
        release.helm("install", &previous).await.context("installing the previous commit's chart failed")?;
        release.request_order().await.context("an order before the upgrade failed")?;
        release.helm("upgrade", &chart().display().to_string()).await.context("the upgrade failed")?;
        release.request_order().await.context("an order after the upgrade failed")
    };
    let outcome = outcome.await;
    release.remove(outcome).await
}

/// Extracts the previous commit's chart into `dir`. Also extracts `collector-config/`, because older versions of the chart
/// contain symbolic links to its files. Fails if there is no previous commit, or if that commit has no chart.
fn extract_previous_chart(dir: &Path) -> Result<()> {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(root()).args(args).stdin(Stdio::null());
        git
    };
    let output = git(&["rev-parse", "--verify", "--quiet", "HEAD~1"]).output();
    let output = output.context("running git failed")?;
    ensure!(output.status.success(), "there is no previous commit in this checkout");
    let output = git(&["cat-file", "-e", "HEAD~1:helm/sightline/Chart.yaml"]).output()?;
    ensure!(output.status.success(), "the previous commit has no chart");
    let archive = dir.join("archive.tar");
    let output_option = format!("--output={}", archive.display());
    let output = git(&["archive", &output_option, "HEAD~1", "helm", "collector-config"]).output()?;
    ensure!(output.status.success(), "git archive: {}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(dir)
        .output()
        .context("running tar failed")?;
    ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
