//! The commands that the documentation tells people to type do what they are typed for.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use sightline::stack::Ports;
use sightline_tests::lab::{Lab, root, services};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("docs::the_commands_of_troubleshoot_work", troubleshoot);
}

async fn troubleshoot(lab: &Lab) -> Result<()> {
    lab.settle().await?;
    let page = std::fs::read_to_string(root().join("docs/troubleshoot.md"))?;
    let blocks = commands(&page);
    ensure!(blocks.len() >= 4, "{} blocks of commands are found", blocks.len());
    for block in blocks {
        let script = on_this_stack(lab, &block)?;
        let shell = tokio::process::Command::new("sh")
            .args(["-euc", &script])
            .env("SIGHTLINE_JAEGER_URL", lab.jaeger().address())
            .stdin(Stdio::null())
            .output();
        let output = shell.await.context("there is no sh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} of:\n{block}{said}", output.status);
    }
    Ok(())
}

/// The blocks marked `sh`.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned())).collect()
}

/// The block with this stack's ports and directories instead of those of `make up`.
fn on_this_stack(lab: &Lab, block: &str) -> Result<String> {
    let mut script = block.to_owned();
    for (usual, here) in Ports::standard().each().iter().zip(lab.stack().ports().each()) {
        script = script.replace(&format!(":{}/", usual.number), &format!(":{}/", here.number));
    }
    let state = lab.stack().dir().to_str().context("the state's path is not UTF-8")?;
    let program = services()?.join("sightline");
    let program = program.to_str().context("the path of sightline is not UTF-8")?;
    Ok(script.replace(".sightline", state).replace("target/release/sightline", program))
}
