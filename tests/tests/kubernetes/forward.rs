//! A port of this machine that leads into the cluster, as `kubectl port-forward` makes it.

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

/// A pod that is wanted here is ready by then.
const WITHIN: Duration = Duration::from_mins(1);

/// Between the end of one `kubectl port-forward`, which comes with the end of its pod, and the next.
const PAUSE: Duration = Duration::from_millis(250);

/// A port on loopback, led to one pod behind `target`: to another when that one goes. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Forward {
    port: u16,
    task: JoinHandle<()>,
}

impl Forward {
    /// `target` is what kubectl takes: `svc/NAME`, `pod/NAME`. Fails when nothing is led there within a minute.
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
        let said = Arc::<Mutex<String>>::default();
        let task = tokio::spawn(keep(command, Arc::clone(&said)));
        let forward = Self { port: local, task };
        let check = async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, local)).await.map(drop).with_context(|| {
                format!("kubectl says: {}", said.lock().unwrap_or_else(PoisonError::into_inner).trim())
            })
        };
        eventually(format!("{target} in {namespace} is reached through port {local}"), WITHIN, check).await?;
        Ok(forward)
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What an HTTP client is given.
    pub(crate) fn url(&self) -> Result<Url> {
        Ok(format!("http://127.0.0.1:{}", self.port).parse()?)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // With it goes the child, which is killed when dropped.
        self.task.abort();
    }
}

/// A port of loopback that was free a moment ago; kubectl says so if it no longer is.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn keep(command: impl Fn() -> Command, said: Arc<Mutex<String>>) {
    loop {
        let outcome = match command().spawn() {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        let words = match outcome {
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        *said.lock().unwrap_or_else(PoisonError::into_inner) = words;
        tokio::time::sleep(PAUSE).await;
    }
}
