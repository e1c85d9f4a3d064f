//! In a server-side dry run, the API server accepts every object of every rendering and admits the pods.

use anyhow::{Context as _, Result, ensure};

use crate::install::Install;

/// Runs `make chart` with this cluster. The chart tests create the renderings and send them to the API server.
pub(crate) async fn accepted(install: &Install) -> Result<()> {
    let context = format!("CHART_CONTEXT={}", install.cluster.context());
    // make passes the variables on its command line to the test program as environment variables.
    let mut chart = install.cluster.make_command("chart", &[context, "ARGS=server::".to_owned()]);
    let output = chart.output().await.context("running make failed")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    // The output is checked, because the exit status is 0 even if make ran no test.
    ensure!(
        stdout.contains(" passed; ") && !stdout.contains(" 0 passed; "),
        "no rendering was checked:\n{stdout}"
    );
    Ok(())
}
