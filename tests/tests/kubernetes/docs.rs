//! The commands that the documentation tells people to type do what they are typed for.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::root;
use sightline_tests::poll::eventually;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::program;
use crate::forward::free_port;
use crate::install::{Install, RELEASE, SERVICES, DEFAULT_TIMEOUT, text};

/// Whatever is told to end has ended by then.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What the README says after the installation: `make port-forward`, an order by HTTP, `sightline trace`.
pub(crate) async fn readme(install: &Install) -> Result<()> {
    let (order_port, jaeger_port) = (free_port()?, free_port()?);
    let variables = [
        format!("NAMESPACE={}", install.namespace),
        format!("ORDER_PORT={order_port}"),
        format!("JAEGER_PORT={jaeger_port}"),
    ];
    let mut command = install.cluster.make_command("port-forward", &variables);
    // So that all of it can be ended at once, as a terminal does.
    let mut forward = command.process_group(0).stdout(Stdio::piped()).spawn()?;
    let shown = order_is_shown(install, &mut forward, order_port, jaeger_port).await;
    let ended = terminated(&mut forward).await;
    shown?;
    ended?;
    let check = async || {
        let left = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, order_port)).await;
        ensure!(left.is_err(), "it is");
        Ok(())
    };
    eventually(format!("port {order_port} is no longer led anywhere"), AT_ONCE, check).await
}

async fn order_is_shown(
    install: &Install,
    forward: &mut Child,
    order_port: u16,
    jaeger_port: u16,
) -> Result<()> {
    let mut lines = BufReader::new(forward.stdout.take().context("it has no output")?).lines();
    let begins = async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("Try: ") {
                return Ok(());
            }
        }
        anyhow::bail!("make port-forward ended: {}", forward.wait().await?)
    };
    tokio::time::timeout(DEFAULT_TIMEOUT, begins).await.context("make port-forward says nothing to try")??;

    let orders = format!("http://127.0.0.1:{order_port}").parse()?;
    let response = Caller::new().get(&install.http, &orders, "orders/1").await?;
    ensure!(response.status == 200, "{response:?}");
    let (id, jaeger) = (response.trace.to_string(), format!("http://127.0.0.1:{jaeger_port}"));
    let mut places = Vec::new();
    for service in SERVICES {
        places.push(place(install, service).await?);
    }
    let check = async || {
        let mut sightline = Command::new(root().join("bin/sightline"));
        let output = sightline.args(["trace", "--jaeger", &jaeger, &id]).output().await?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{}: {said}", output.status);
        let missing = places.iter().find(|place| !said.contains(*place));
        ensure!(missing.is_none(), "{missing:?} is nowhere in:\n{said}");
        Ok(())
    };
    eventually("sightline trace shows where each service ran", DEFAULT_TIMEOUT, check).await
}

/// The two lines of `sightline trace` about a service.
async fn place(install: &Install, service: &str) -> Result<String> {
    let pods = install.pods(service).await?;
    ensure!(pods.len() == 1, "{service} has {} pods", pods.len());
    let system = install.cluster.get(["namespace", "kube-system"]).await?;
    let (pod, node) = (text(&pods[0], "/metadata/name")?, text(&pods[0], "/spec/nodeName")?);
    // The column is as wide as the longest name.
    let width = SERVICES.map(str::len).into_iter().max().unwrap_or_default();
    Ok(format!(
        "{service:width$} pod {pod} on node {node}\n{:width$} deployment {RELEASE}-{service}, namespace {}, cluster {}\n",
        "",
        install.namespace,
        text(&system, "/metadata/uid")?,
    ))
}

/// Ends a process and all that it started. What Ctrl-C sends would be ignored where a shell runs these tests in the
/// background; the script takes both alike.
async fn terminated(child: &mut Child) -> Result<()> {
    let group = child.id().context("it has ended already")?;
    let status = Command::new("kill").args(["-TERM", "--", &format!("-{group}")]).status().await?;
    ensure!(status.success(), "kill: {status}");
    tokio::time::timeout(AT_ONCE, child.wait()).await.context("it does not end when it is told to")??;
    Ok(())
}

pub(crate) async fn troubleshoot(install: &Install) -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/troubleshoot.md"))?;
    let blocks: Vec<_> =
        page.split("```sh cluster\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
    ensure!(blocks.len() >= 4, "{} blocks of commands are found", blocks.len());
    // Where the page speaks of kubectl's current namespace; this configuration is of these tests alone.
    install.cluster.kubectl(["config", "set-context", "--current", "--namespace", install.namespace]).await?;
    // People have the programs on their path.
    let programs = tempfile::tempdir()?;
    for name in ["kubectl", "helm"] {
        let program = program(&name.to_uppercase());
        if program.contains('/') {
            std::os::unix::fs::symlink(program, programs.path().join(name))?;
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", programs.path().display());
    for (block, _) in blocks {
        let script = block.replace("18888", &free_port()?.to_string());
        let output = install.cluster.command("sh").args(["-euc", &script]).env("PATH", &path).output();
        let output = output.await.context("there is no sh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} of:\n{block}{said}", output.status);
    }
    Ok(())
}
