//! The commands that the documentation tells people to type do what they are typed for.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, ensure};
use sightline_tests::lab::root;

use crate::cluster::program;
use crate::install::Install;

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
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let script = block.replace("18888", &free.to_string());
        let output = install.cluster.command("sh").args(["-euc", &script]).env("PATH", &path).output();
        let output = output.await.context("there is no sh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} of:\n{block}{said}", output.status);
    }
    Ok(())
}
