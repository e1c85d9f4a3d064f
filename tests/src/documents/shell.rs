//! Runs the commands of a document.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::Command;

/// Runs `sh` with a script, and returns its exit status and its output. Fails after the timeout. At the end, all processes
/// that the script started are killed, so a script may leave processes in the background.
///
/// `command` is `sh` with the environment of the script.
pub async fn run(mut command: Command, script: &str, timeout: Duration) -> Result<(ExitStatus, String)> {
    let log = tempfile::NamedTempFile::new()?;
    let file = log.reopen()?;
    command
        .args(["-euc", script])
        .stdin(Stdio::null())
        // The output goes to a file, not to a pipe. A background process could keep a pipe open, so reading from the
        // pipe would not end.
        .stdout(file.try_clone()?)
        .stderr(file)
        // The shell gets a separate process group, so that one signal stops all processes that the commands started.
        .process_group(0);
    let mut shell = command.spawn().context("running sh failed")?;
    let group = shell.id().context("sh has already exited")?;
    let status = tokio::time::timeout(timeout, shell.wait()).await;
    // kill fails if no process is left, so the exit status of kill is ignored.
    Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status().await?;
    let output = std::fs::read_to_string(log.path())?;
    Ok((status.with_context(|| format!("timed out after:\n{output}"))??, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_script_ends_although_a_process_is_left_in_the_background() {
        let script = "sleep 300 & echo $!; false";
        let (status, output) = run(Command::new("sh"), script, Duration::from_mins(1)).await.unwrap();
        assert_eq!(status.code(), Some(1));
        let pid: u32 = output.trim().parse().unwrap();
        let is_gone = async || {
            // A process that has ended stays as a zombie until its new parent reads its status.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            anyhow::ensure!(stat.is_empty() || stat.contains(") Z "), "{stat}");
            Ok(())
        };
        crate::poll::eventually("the process is gone", Duration::from_secs(10), is_gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_script_that_takes_too_long_is_killed() {
        let error =
            run(Command::new("sh"), "echo started; sleep 300", Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error.to_string(), "timed out after:\nstarted\n");
    }
}
