//! The API server accepts every object of every rendering, and would admit its pods.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::lab::root;

use crate::install::Install;

/// The chart's own tests have the renderings, and ask a cluster where they are told of one.
pub(crate) async fn accepted(install: &Install) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = install
        .cluster
        .command(&cargo)
        .current_dir(root())
        .args(["test", "--quiet", "--package", "sightline-tests", "--test", "chart"])
        .args(["--", "server::"])
        .env("CHART_CONTEXT", install.cluster.context())
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("{cargo} does not run"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    // Where nothing was asked of the cluster, nothing failed either.
    ensure!(
        said.contains(" passed; ") && !said.contains(" 0 passed; "),
        "no rendering was looked at:\n{said}"
    );
    Ok(())
}
