//! The API server accepts every object of every rendering, and would admit its pods.

use anyhow::{Context as _, Result, ensure};

use crate::install::Install;

/// The chart's own tests have the renderings, and ask a cluster where they are told of one.
pub(crate) async fn accepted(install: &Install) -> Result<()> {
    let context = format!("CHART_CONTEXT={}", install.cluster.context());
    // `make` passes on what is on its command line.
    let mut chart = install.cluster.make_command("chart", &[context, "ARGS=server::".to_owned()]);
    let output = chart.output().await.context("make does not run")?;
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
