//! A running `sightline up`, as a user starts it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::poll::eventually;
use crate::signal::{self, Signal};
use crate::test_stack::root;

/// The line that `sightline up` prints when everything is running.
const RUNNING: &str = "Press Ctrl-C to stop everything.";

/// The maximum time until everything is running. The stack itself waits for at most one minute.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// A running `sightline up`. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Up {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Up {
    /// Runs `bin/sightline up` on free ports with these arguments and its state in `directory`, and waits until
    /// everything is running. The working directory is `directory`, which is outside of the checkout.
    pub async fn start(directory: &Path, arguments: &[&str]) -> Result<Self> {
        let program = root().canonicalize()?.join("bin/sightline");
        let mut child = Command::new(&program)
            .arg("up")
            .args(["--free-ports", "--dir", "state"])
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("running {} failed: `make build` builds it", program.display()))?;
        let output = Arc::<Mutex<String>>::default();
        collect(child.stdout.take().context("no standard output")?, Arc::clone(&output));
        collect(child.stderr.take().context("no standard error")?, Arc::clone(&output));
        let mut up = Self { child, output };
        let started = eventually("`sightline up` runs everything", START_TIMEOUT, async || {
            let exited = up.child.try_wait()?;
            ensure!(exited.is_some() || up.output().contains(RUNNING), "it printed:\n{}", up.output());
            Ok(exited)
        });
        let exited = started.await?;
        ensure!(exited.is_none(), "`sightline up` exited with {exited:?} and printed:\n{}", up.output());
        Ok(up)
    }

    /// Returns what the program has printed.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the text after `prefix` in the line that begins with it, without the white space around the text.
    pub fn row(&self, prefix: &str) -> Result<String> {
        let output = self.output();
        let rest = output.lines().find_map(|line| line.trim_start().strip_prefix(prefix));
        Ok(rest.with_context(|| format!("no line begins with {prefix:?} in:\n{output}"))?.trim().to_owned())
    }

    /// Stops the program as Ctrl-C does. Returns its exit status.
    pub async fn interrupt(&mut self) -> Result<ExitStatus> {
        let id = self.child.id().context("the program has already exited")?;
        signal::send(id, Signal::INT)?;
        Ok(tokio::time::timeout(START_TIMEOUT, self.child.wait()).await.context("it does not stop")??)
    }
}

/// Appends the lines of a stream to `output` in the background.
pub(crate) fn collect(stream: impl AsyncRead + Send + Unpin + 'static, output: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
        }
    });
}
