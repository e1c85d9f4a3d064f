//! Local ports that `kubectl port-forward` forwards into the cluster.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sightline_tests::poll::eventually;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinHandle;
use url::Url;

use crate::cluster::{Cluster, program};

/// The maximum time from the start of `kubectl port-forward` until a connection to the local port succeeds.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);

/// The pause before `kubectl port-forward` is started again. kubectl exits when the pod terminates.
const RESTART_PAUSE: Duration = Duration::from_millis(250);

/// A loopback port that is forwarded to a pod behind `target`. When the pod terminates, the port is forwarded to
/// another pod. Forwarding stops when this value is dropped.
#[derive(Debug)]
pub(crate) struct Forward {
    port: u16,
    task: JoinHandle<()>,
}

impl Forward {
    /// Starts forwarding. `target` is a kubectl resource: `svc/NAME` or `pod/NAME`. Fails if no connection succeeds
    /// within a minute.
    pub(crate) async fn start(cluster: &Cluster, namespace: &str, target: &str, port: u16) -> Result<Self> {
        let local = free_port()?;
        let kubectl = program("KUBECTL");
        let args = ["port-forward", "--namespace", namespace, "--address", "127.0.0.1", target];
        let mut args: Vec<_> = args.map(str::to_owned).to_vec();
        args.push(format!("{local}:{port}"));
        let cluster = cluster.clone();
        let command = move || {
            let mut command = cluster.command(&kubectl);
            command.args(&args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            command
        };
        let last_error = Arc::<Mutex<String>>::default();
        let task = tokio::spawn(keep_forwarding(command, Arc::clone(&last_error)));
        let forward = Self { port: local, task };
        let check = async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, local)).await.map(drop).with_context(|| {
                let last_error = last_error.lock().unwrap_or_else(PoisonError::into_inner);
                format!("last error of kubectl: {}", last_error.trim())
            })
        };
        let condition = format!("port {local} is forwarded to {target} in {namespace}");
        eventually(condition, CONNECT_TIMEOUT, check).await?;
        Ok(forward)
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the port for an HTTP client.
    pub(crate) fn url(&self) -> Result<Url> {
        Ok(format!("http://127.0.0.1:{}", self.port).parse()?)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // This drops the task's data, including the kubectl process, which is killed on drop.
        self.task.abort();
    }
}

/// Returns a loopback port that is free now. If another process takes the port first, kubectl reports an error.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Runs the command again whenever it exits, and stores the error output of the last run.
async fn keep_forwarding(command: impl Fn() -> Command, last_error: Arc<Mutex<String>>) {
    loop {
        let outcome = match command().spawn() {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        let error = match outcome {
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        *last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}
