//! Checks of the UI that a Jaeger serves.

use anyhow::{Context as _, Result, ensure};
use sightline::stack::is_placeholder;

/// The minimum size of the UI's script, in bytes. The script of Jaeger UI 2.14 has 4 million bytes.
const MIN_SCRIPT: usize = 100_000;

/// Checks that the Jaeger at `base` serves Jaeger's own UI: the page, a script that the page loads, and the page again
/// at the addresses that the UI shows in the browser. `base` has no trailing slash.
pub async fn check(http: &reqwest::Client, base: &str) -> Result<()> {
    let page = get(http, &format!("{base}/")).await?;
    ensure!(!is_placeholder(&page), "{base} serves the placeholder of a Jaeger without a UI");
    ensure!(page.contains("<title>Jaeger UI</title>"), "the page at {base} is not Jaeger's UI:\n{page}");
    let scripts = page.split("src=\"./static/").skip(1).filter_map(|rest| rest.split('"').next());
    let script = scripts.into_iter().next().with_context(|| format!("the page loads no script:\n{page}"))?;
    let size = get(http, &format!("{base}/static/{script}")).await?.len();
    ensure!(size >= MIN_SCRIPT, "the script {script} has only {size} bytes");
    for path in ["search", "trace/0123456789abcdef0123456789abcdef", "monitor"] {
        ensure!(
            get(http, &format!("{base}/{path}")).await? == page,
            "{base}/{path} is not the page of the UI"
        );
    }
    Ok(())
}

/// Returns the body of a successful response.
async fn get(http: &reqwest::Client, url: &str) -> Result<String> {
    let response = http.get(url).send().await?.error_for_status()?;
    response.text().await.with_context(|| format!("{url} has no text"))
}
