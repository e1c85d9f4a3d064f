//! Runs the blocks of commands that the documents mark with `test=kind-e2e`.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::documents::{self, Runner, shell};
use sightline_tests::poll::eventually;
use sightline_tests::test_stack::root;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::program;
use crate::forward::free_port;
use crate::install::{DEFAULT_TIMEOUT, Install, RELEASE, SERVICES, text};

/// The maximum time from SIGTERM until `make port-forward` exits, and also from this exit until its port is closed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum time for a block of commands. The slowest block contains `helm test`.
const BLOCK_TIMEOUT: Duration = Duration::from_mins(3);

/// The README's commands for a cluster. [`Cluster::up`](crate::cluster::Cluster::up) runs `make kind-up`,
/// [`Install::start`] runs `helm install` with the values of these tests, and [`readme`] runs `make port-forward`.
/// These tests do not run `make tools`: the prerequisites of `make kind-e2e` build the programs that the tests need.
const README_COMMANDS: [&str; 4] = [
    "export PATH=\"$PWD/bin:$PATH\"",
    "make tools kind-up",
    "helm install sightline helm/sightline",
    "make port-forward",
];

/// Does what the README describes after the installation: runs `make port-forward`, requests an order over HTTP and
/// runs `sightline trace`. Fails if the README's commands are not [`README_COMMANDS`].
pub(crate) async fn readme(install: &Install) -> Result<()> {
    let blocks = documents::of("README.md", Runner::KindE2e)?;
    let lines = blocks.iter().flat_map(|block| block.text.lines());
    let commands: Vec<_> = lines.filter_map(|line| line.split(" #").next()).map(str::trim).collect();
    ensure!(
        commands == README_COMMANDS,
        "the README has {commands:?}, and these tests run {README_COMMANDS:?}"
    );
    let (order_port, jaeger_port) = (free_port()?, free_port()?);
    let variables = [
        format!("NAMESPACE={}", install.namespace),
        format!("ORDER_PORT={order_port}"),
        format!("JAEGER_PORT={jaeger_port}"),
    ];
    let mut command = install.cluster.make_command("port-forward", &variables);
    // The command gets a separate process group, so that one signal stops all its processes, as Ctrl-C does in a
    // terminal.
    let mut forward = command.process_group(0).stdout(Stdio::piped()).spawn()?;
    let shown = show_order(install, &mut forward, order_port, jaeger_port).await;
    let terminated = terminate(&mut forward).await;
    shown?;
    terminated?;
    let check = async || {
        let connection = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, order_port)).await;
        ensure!(connection.is_err(), "the port still accepts connections");
        Ok(())
    };
    eventually(format!("port {order_port} is closed"), EXIT_TIMEOUT, check).await
}

/// Waits until `make port-forward` is ready, requests an order and shows it with `sightline trace`.
async fn show_order(install: &Install, forward: &mut Child, order_port: u16, jaeger_port: u16) -> Result<()> {
    let mut lines = BufReader::new(forward.stdout.take().context("make port-forward has no stdout")?).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("Try: ") {
                return Ok(());
            }
        }
        anyhow::bail!("make port-forward exited: {}", forward.wait().await?)
    };
    let ready = tokio::time::timeout(DEFAULT_TIMEOUT, ready).await;
    ready.context("make port-forward did not become ready")??;

    let orders = format!("http://127.0.0.1:{order_port}").parse()?;
    let response = Caller::new().get(&install.http, &orders, "orders/1").await?;
    ensure!(response.status == 200, "{response:?}");
    let (id, jaeger) = (response.trace.to_string(), format!("http://127.0.0.1:{jaeger_port}"));
    let mut expected = Vec::new();
    for service in SERVICES {
        expected.push(location_lines(install, service).await?);
    }
    let check = async || {
        let mut sightline = Command::new(root().join("bin/sightline"));
        let output = sightline.args(["trace", "--jaeger", &jaeger, &id]).output().await?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{}: {text}", output.status);
        let missing = expected.iter().find(|lines| !text.contains(*lines));
        ensure!(missing.is_none(), "{missing:?} is missing in:\n{text}");
        Ok(())
    };
    eventually("sightline trace shows where each service ran", DEFAULT_TIMEOUT, check).await
}

/// Returns the two lines in which `sightline trace` shows where a service ran.
async fn location_lines(install: &Install, service: &str) -> Result<String> {
    let pods = install.pods(service).await?;
    ensure!(pods.len() == 1, "{service} has {} pods", pods.len());
    let system = install.cluster.get(["namespace", "kube-system"]).await?;
    let (pod, node) = (text(&pods[0], "/metadata/name")?, text(&pods[0], "/spec/nodeName")?);
    // The first column is as wide as the longest service name.
    let width = SERVICES.map(str::len).into_iter().max().unwrap_or_default();
    Ok(format!(
        "{service:width$} pod {pod} on node {node}\n{:width$} deployment {RELEASE}-{service}, namespace {}, cluster {}\n",
        "",
        install.namespace,
        text(&system, "/metadata/uid")?,
    ))
}

/// Stops the process group of `make port-forward` with SIGTERM and waits until make exits. The SIGINT of Ctrl-C is not
/// used, because processes that a shell starts in the background ignore SIGINT. The script that make runs handles both
/// signals in the same way.
async fn terminate(child: &mut Child) -> Result<()> {
    let group = child.id().context("the process has already exited")?;
    let status = Command::new("kill").args(["-TERM", "--", &format!("-{group}")]).status().await?;
    ensure!(status.success(), "kill: {status}");
    tokio::time::timeout(EXIT_TIMEOUT, child.wait())
        .await
        .context("the process did not exit after SIGTERM")??;
    Ok(())
}

pub(crate) async fn troubleshoot(install: &Install) -> Result<()> {
    let blocks = documents::of("docs/troubleshoot.md", Runner::KindE2e)?;
    // The commands on the page find kubectl and helm through PATH, but the tests can use programs in other directories.
    let programs = tempfile::tempdir()?;
    // The page uses kubectl's current namespace. The test sets it in a copy of the kubeconfig, because cases that run at
    // the same time use the original.
    let cluster = install.cluster.with_kubeconfig_copy(programs.path())?;
    cluster.kubectl(["config", "set-context", "--current", "--namespace", install.namespace]).await?;
    for name in ["kubectl", "helm"] {
        let program = program(&name.to_uppercase());
        if program.contains('/') {
            std::os::unix::fs::symlink(program, programs.path().join(name))?;
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", programs.path().display());
    for block in blocks {
        let script = block.text.replace("18888", &free_port()?.to_string());
        let mut command = cluster.command("sh");
        command.env("PATH", &path);
        let result = shell::run(command, &script, BLOCK_TIMEOUT).await;
        let (status, output) = result.with_context(|| block.to_string())?;
        ensure!(status.success(), "{block}: {status} from:\n{}{output}", block.text);
    }
    Ok(())
}
