//! Pages as Chromium shows them, after their scripts have run.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// The environment variable with the path of the browser.
const VARIABLE: &str = "CHROMIUM";
/// The names of the browser's program in distributions.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The maximum time that a page may take. A page of Jaeger's UI takes a second.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Chromium, without a window.
#[derive(Debug, Clone)]
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// Finds the program that the variable `CHROMIUM` names, or an installed one. The error says why there is none.
    pub fn find() -> Result<Self> {
        if let Some(program) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            return Ok(Self { program: program.into() });
        }
        let directories = env::var_os("PATH").unwrap_or_default();
        let directories: Vec<_> = env::split_paths(&directories).collect();
        let mut candidates =
            NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
        let program = candidates.find(|program| program.is_file());
        let program = program.with_context(|| {
            format!("Chromium is not installed (Debian: apt install chromium), and {VARIABLE} is not set")
        })?;
        Ok(Self { program })
    }

    /// Returns the visible text of a page, with single spaces, after its scripts and their requests have finished.
    pub async fn text(&self, url: &str) -> Result<String> {
        let profile = TempDir::with_prefix("sightline-browser-")?;
        let child = Command::new(&self.program)
            .args([
                "--headless",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-sync",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-quic"])
            // The sandbox does not work for root and in most containers. All pages are from this machine.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Timers of the page run at once. Time stands still while a request is running.
            .args(["--virtual-time-budget=10000", "--window-size=1280,1000", "--dump-dom", url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("running {} failed", self.program.display()))?;
        let output = timeout(TIMEOUT, child.wait_with_output()).await.with_context(|| {
            format!("{url}: the browser is still loading it after {} s", TIMEOUT.as_secs())
        })??;
        ensure!(
            output.status.success(),
            "{url}: {}: {}: {}",
            self.program.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(visible_text(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// Returns the text of HTML that a browser has written, without the elements `head`, `script` and `style`.
fn visible_text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html.split_once("</head>").map_or(html, |(_, body)| body);
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let hidden = ["script", "style"].into_iter().find(|name| after.starts_with(name));
        let end = hidden.map_or_else(|| ">".to_owned(), |name| format!("</{name}>"));
        rest = after.split_once(&end).map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_reader_sees() {
        let html = "<html><head><title>T</title></head><body><style>a > b</style>\n<p title=\"x\">Total Spans\n\
                    <b>12</b></p><script>if (1 < 2) {}</script>end</body></html>";
        assert_eq!(visible_text(html), "Total Spans 12 end");
    }
}
