//! Pages as Chromium shows them.
//!
//! The tests control Chromium by the protocol of its developer tools, on a pipe: JSON messages that end with a zero
//! byte.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::poll::{DEFAULT_TIMEOUT, eventually};

/// The environment variable with the path of the browser.
const VARIABLE: &str = "CHROMIUM";
/// The names of the browser's program in distributions.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The maximum time for one command of the protocol, including the start of the browser.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The size of the window in pixels, as a small laptop has it.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 1000;
/// Chromium reads commands from file descriptor 3, and writes responses and events to 4.
const WITH_PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// An installed Chromium.
#[derive(Debug, Clone)]
pub struct Browser {
    program: PathBuf,
}

/// A link on a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// The absolute URL.
    pub href: String,
    /// The visible text and the title.
    pub text: String,
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

    /// Starts the browser without a window and with a new profile, and opens an empty page.
    pub async fn start(&self) -> Result<Page> {
        let profile = TempDir::with_prefix("sightline-browser-")?;
        let mut child = Command::new("sh")
            .args(["-c", WITH_PIPES, "sh"])
            .arg(&self.program)
            .args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-sync", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-quic"])
            // The sandbox does not work for root and in most containers. All pages are from this machine.
            .arg("--no-sandbox")
            .arg(format!("--window-size={WIDTH},{HEIGHT}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("running {} failed", self.program.display()))?;
        let stdin = child.stdin.take().context("the browser has no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("the browser has no stdout")?);
        let (session, commands, requests) = (None, 0, Vec::new());
        let mut page = Page { stdin, stdout, session, commands, requests, child, _profile: profile };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", attach).await?;
        page.session = Some(attached["sessionId"].as_str().context("the page has no session")?.to_owned());
        page.call("Page.enable", json!({})).await?;
        page.call("Network.enable", json!({})).await?;
        Ok(page)
    }
}

/// A page in a browser of its own, which is 1280 pixels wide.
#[derive(Debug)]
pub struct Page {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    session: Option<String>,
    commands: u64,
    requests: Vec<String>,
    // The process is killed before its directory is removed.
    child: Child,
    _profile: TempDir,
}

impl Page {
    /// Opens a URL. Scripts of the page may still be running afterwards.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        // A URL that differs only in its fragment would not load the page again.
        self.call("Page.navigate", json!({ "url": "about:blank" })).await?;
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(opened["errorText"].is_null(), "{url}: {}", opened["errorText"]);
        Ok(())
    }

    /// Returns the visible text of the page, with single spaces.
    pub async fn text(&mut self) -> Result<String> {
        let text = self.evaluate("document.body ? document.body.innerText : ''").await?;
        Ok(text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Waits until the visible text has all these parts.
    pub async fn wait_for_text(&mut self, parts: &[&str]) -> Result<String> {
        self.wait_for_text_within(parts, DEFAULT_TIMEOUT).await
    }

    /// Waits until the visible text has all these parts, at most for `timeout`. Use it where the page has to be opened
    /// again, because it does not show new data by itself.
    pub async fn wait_for_text_within(&mut self, parts: &[&str], timeout: Duration) -> Result<String> {
        eventually(format!("the page shows {parts:?}"), timeout, async || {
            let text = self.text().await?;
            match parts.iter().find(|part| !text.contains(**part)) {
                Some(part) => bail!("{part:?} is missing in:\n{text}"),
                None => Ok(text),
            }
        })
        .await
    }

    /// Returns the links of the page.
    pub async fn links(&mut self) -> Result<Vec<Link>> {
        let links =
            "[...document.links].map(link => ({ href: link.href, text: link.innerText + ' ' + link.title }))";
        Ok(serde_json::from_value(self.evaluate(links).await?)?)
    }

    /// Clicks on each element that the CSS selector selects, and returns their number.
    pub async fn click_all(&mut self, selector: &str) -> Result<u64> {
        let elements = format!("[...document.querySelectorAll({})]", json!(selector));
        let clicked = format!("{elements}.map(element => element.click()).length");
        self.evaluate(&clicked).await?.as_u64().with_context(|| format!("clicking on {selector:?} failed"))
    }

    /// Returns the value of a JavaScript expression.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters).await?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// Reports to pages that the user prefers dark colours. Call this before the first page is opened, because Jaeger's
    /// UI remembers the colours.
    pub async fn prefer_dark(&mut self) -> Result<()> {
        let feature = json!({ "name": "prefers-color-scheme", "value": "dark" });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await?;
        Ok(())
    }

    /// Makes the window so high that pages load all their parts. Some load a part when someone scrolls to it.
    pub async fn make_high(&mut self) -> Result<()> {
        let size = json!({ "width": WIDTH, "height": 10 * HEIGHT, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Fails if the page is wider than the window, or if its text is not darker than a light background or lighter than
    /// a dark one. `dark` says which background is expected.
    pub async fn ensure_readable(&mut self, dark: bool) -> Result<()> {
        // The background of the body, or of the root element if the body is transparent.
        let colors = "(() => {
            const style = element => getComputedStyle(element);
            const light = color => color.match(/[\\d.]+/g).map(Number);
            const of = element => light(style(element).backgroundColor);
            const background = [document.body, document.documentElement].map(of).find(c => c[3] !== 0);
            const sum = color => color[0] + color[1] + color[2];
            return [sum(background || [255, 255, 255]), sum(light(style(document.body).color)),
                    document.documentElement.scrollWidth];
        })()";
        let [background, text, width] = serde_json::from_value(self.evaluate(colors).await?)?;
        ensure!(width <= f64::from(WIDTH), "the page is {width} pixels wide");
        let (background, text): (f64, f64) = (background, text);
        // The values are sums of red, green and blue, from 0 to 765.
        ensure!((background < 380.0) == dark, "the background has the brightness {background}");
        let contrast = if dark { text - background } else { background - text };
        ensure!(contrast > 250.0, "the text has the brightness {text} on {background}");
        Ok(())
    }

    /// Fails if a page has requested anything from elsewhere than `origin`, such as `http://127.0.0.1:16686`.
    pub fn ensure_only_requests_to(&self, origin: &str) -> Result<()> {
        let allowed = ["about:", "data:", "blob:"];
        let prefix = format!("{origin}/");
        let mut requests = self.requests.iter();
        let foreign = requests
            .find(|url| !url.starts_with(&prefix) && !allowed.iter().any(|scheme| url.starts_with(scheme)));
        ensure!(self.requests.iter().any(|url| url.starts_with(&prefix)), "nothing was requested");
        ensure!(foreign.is_none(), "the page has requested {foreign:?}");
        Ok(())
    }

    /// Closes the browser.
    pub async fn close(mut self) -> Result<()> {
        self.session = None;
        self.call("Browser.close", json!({})).await?;
        timeout(TIMEOUT, self.child.wait()).await.context("the browser does not exit")??;
        Ok(())
    }

    /// Calls a method of the protocol and returns its result. Records the requests of the page that are reported
    /// before.
    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        let work = async {
            self.commands += 1;
            let mut message = json!({ "id": self.commands, "method": method, "params": parameters });
            if let Some(session) = &self.session {
                message["sessionId"] = json!(session);
            }
            self.stdin.write_all(format!("{message}\0").as_bytes()).await?;
            self.stdin.flush().await?;
            loop {
                let mut line = Vec::new();
                self.stdout.read_until(0, &mut line).await?;
                ensure!(line.pop() == Some(0), "the browser has exited");
                let mut message: Value = serde_json::from_slice(&line)?;
                if message["method"] == "Network.requestWillBeSent" {
                    let url = message["params"]["request"]["url"].as_str().unwrap_or_default();
                    self.requests.push(url.to_owned());
                }
                if message["id"] == self.commands {
                    ensure!(message["error"].is_null(), "{}", message["error"]);
                    return Ok(message["result"].take());
                }
            }
        };
        let result = timeout(TIMEOUT, work).await;
        result
            .unwrap_or_else(|_| Err(anyhow!("no response after {} s", TIMEOUT.as_secs())))
            .with_context(|| format!("{method} of the browser failed"))
    }
}
