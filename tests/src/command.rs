//! Commands of `sightline` that query the pages of a stack.

use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};

use crate::signal::{self, Signal};
use crate::test_stack::{TestStack, services};
use crate::up::collect;

/// The maximum time of a command that ends by itself, and from Ctrl-C to the end of a command that does not.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Runs a command of `sightline` until it ends. Without another `--pages`, it queries the stack.
pub async fn run(stack: &TestStack, arguments: &[&str]) -> Result<Output> {
    let output = command(stack, arguments)?.output();
    tokio::time::timeout(TIMEOUT, output)
        .await
        .with_context(|| format!("sightline {arguments:?} does not end"))?
        .with_context(|| format!("running sightline {arguments:?} failed"))
}

/// Runs a command of `sightline` until it ends, and returns its standard output. Fails unless the exit code is 0.
pub async fn output_of(stack: &TestStack, arguments: &[&str]) -> Result<String> {
    let output = run(stack, arguments).await?;
    ensure!(output.status.success(), "sightline {arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn command(stack: &TestStack, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(services()?.join("sightline"));
    command
        .args(arguments)
        .env("SIGHTLINE_PAGES_URL", stack.inner().pages_url())
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// A running command that does not end by itself. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a command of `sightline` that queries the stack.
    pub fn start(stack: &TestStack, arguments: &[&str]) -> Result<Self> {
        let mut child = command(stack, arguments)?
            .spawn()
            .with_context(|| format!("running sightline {arguments:?} failed"))?;
        let (output, errors) = <(Arc<Mutex<String>>, Arc<Mutex<String>>)>::default();
        collect(child.stdout.take().context("no standard output")?, Arc::clone(&output));
        collect(child.stderr.take().context("no standard error")?, Arc::clone(&errors));
        Ok(Self { child, output, errors })
    }

    /// Returns what the command has printed to standard output.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what the command has printed to standard error.
    #[must_use]
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the command as Ctrl-C does. Returns its exit status.
    pub async fn interrupt(&mut self) -> Result<ExitStatus> {
        let id = self.child.id().context("the command has already ended")?;
        signal::send(id, Signal::INT)?;
        Ok(tokio::time::timeout(TIMEOUT, self.child.wait()).await.context("it does not stop")??)
    }
}
