//! Runs the blocks of commands that the documents mark with `test=e2e`. The pages that send requests to the examples are
//! in `examples/docs.rs`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::stack::free_port;
use sightline_tests::documents::{self, Block, Content, Runner, shell};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, root, services};
use tokio::process::Command;

/// The timeout for all commands of a page. The slowest command is the first build of the new service in docs/adopt.md,
/// which takes about two minutes on two cores.
const PAGE_TIMEOUT: Duration = Duration::from_mins(10);

/// The shell function `poll`, which repeats a command until it succeeds. Commands that read a trace need it, because a
/// trace is not stored immediately.
const FUNCTIONS: &str = "poll() { for _ in $(seq 60); do \"$@\" && return; sleep 1; done; return 1; }\n";

pub(crate) fn add(suite: &mut Suite) {
    suite.add_checkout("docs::the_commands_in_services_file_succeed", services_file);
}

async fn services_file(stack: &TestStack) -> Result<()> {
    let output = run(stack, documents::of("docs/services-file.md", Runner::E2e)?, &root()).await?;
    for service in stack.inner().config().spec.services() {
        ensure!(output.contains(service.name.name()), "{} is missing in:\n{output}", service.name);
    }
    Ok(())
}

/// Runs the blocks one after another in one shell, as a reader would, and returns their output. Fails if a command
/// fails, or if the status of a response to `curl -i` is not 200.
pub(crate) async fn run(stack: &TestStack, blocks: Vec<Block>, directory: &Path) -> Result<String> {
    let script = for_stack(stack, &script(&blocks))?;
    let mut command = Command::new("sh");
    command
        .current_dir(directory)
        .env("SIGHTLINE_JAEGER_URL", stack.jaeger().address())
        // The build directory is kept after the test, so the next run does not build everything again.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs"));
    // Cargo sets variables with these prefixes for this test. A build that inherited them would compile packages again
    // whenever the value of a variable changes.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let (status, output) = shell::run(command, &script, PAGE_TIMEOUT).await?;
    ensure!(status.success(), "{status} after:\n{output}");
    let (requests, responses) =
        (script.matches("curl -i ").count(), output.matches("HTTP/1.1 200 OK").count());
    ensure!(requests == responses, "{responses} of {requests} responses are 200:\n{output}");
    Ok(output)
}

/// Returns the blocks as one script. The script creates the files, and prints the location of each block of commands
/// before the output of that block.
fn script(blocks: &[Block]) -> String {
    let mut script = FUNCTIONS.to_owned();
    for block in blocks {
        // Writing to a String cannot fail.
        let _ = match &block.content {
            Content::File(path) => {
                writeln!(script, "cat >'{path}' <<'END OF FILE'\n{}END OF FILE", block.text)
            }
            Content::Commands(_) => writeln!(script, "echo '{block}:'\n{}", block.text),
        };
    }
    // When the commands stop a background service with `kill`, the service sends its remaining telemetry before it
    // exits. `wait` waits until the service exits.
    script.push_str("wait\n");
    script
}

/// Replaces the ports and the state directory of `make up` with those of this stack, and the ports of the new service
/// with free ports. Also replaces the path of the program `sightline`.
fn for_stack(stack: &TestStack, script: &str) -> Result<String> {
    let state = stack.inner().dir().to_str().context("the state directory's path is not UTF-8")?;
    let program = services()?.join("sightline");
    let program = program.to_str().context("the path of sightline is not UTF-8")?;
    let mut replacements = Vec::new();
    for checkout in ["../sightline/", ""] {
        replacements.push((format!("{checkout}.sightline"), state.to_owned()));
        for command in ["traces", "logs", "metrics"] {
            let polled = format!("poll {program} {command}");
            replacements.push((format!("{checkout}bin/sightline {command}"), polled));
        }
        replacements.push((format!("{checkout}bin/sightline"), program.to_owned()));
    }
    for (standard, actual) in
        stack.inner().config().spec.ports().all().iter().zip(stack.inner().ports().all())
    {
        replacements.push((format!(":{}", standard.number), format!(":{}", actual.number)));
    }
    replacements.push((":3000".to_owned(), format!(":{}", free_port()?)));
    replacements.push((
        "OTEL_EXPORTER_PROMETHEUS_PORT=2115".to_owned(),
        "OTEL_EXPORTER_PROMETHEUS_PORT=0".to_owned(),
    ));
    Ok(replace(script, &replacements))
}

/// Applies all replacements in one pass. If several replacements match at the same place, the first one in the list is
/// used.
fn replace(text: &str, replacements: &[(String, String)]) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if let Some((from, to)) = replacements.iter().find(|(from, _)| rest.starts_with(from)) {
            result.push_str(to);
            rest = &rest[from.len()..];
        } else {
            result.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    result
}
