//! Runs the commands of the documentation.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use sightline::stack::Ports;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, root, services};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("docs::the_commands_in_troubleshoot_succeed", troubleshoot);
}

async fn troubleshoot(stack: &TestStack) -> Result<()> {
    stack.wait_for_pipeline().await?;
    let page = std::fs::read_to_string(root().join("docs/troubleshoot.md"))?;
    let blocks = shell_blocks(&page);
    ensure!(blocks.len() >= 4, "the page has only {} blocks of commands", blocks.len());
    for block in blocks {
        let script = with_stack_addresses(stack, &block)?;
        let shell = tokio::process::Command::new("sh")
            .args(["-euc", &script])
            .env("SIGHTLINE_JAEGER_URL", stack.jaeger().address())
            .stdin(Stdio::null())
            .output();
        let output = shell.await.context("running sh failed")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} from:\n{block}{stderr}", output.status);
    }
    Ok(())
}

/// Returns the code blocks marked `sh`.
fn shell_blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned())).collect()
}

/// Replaces the ports and directories of `make up` with those of this stack.
fn with_stack_addresses(stack: &TestStack, block: &str) -> Result<String> {
    let mut script = block.to_owned();
    for (standard, actual) in Ports::standard().all().iter().zip(stack.inner().ports().all()) {
        script = script.replace(&format!(":{}/", standard.number), &format!(":{}/", actual.number));
    }
    let state = stack.inner().dir().to_str().context("the state directory's path is not UTF-8")?;
    let program = services()?.join("sightline");
    let program = program.to_str().context("the path of sightline is not UTF-8")?;
    Ok(script.replace(".sightline", state).replace("target/release/sightline", program))
}
