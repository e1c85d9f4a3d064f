//! One child process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::error::LogEnd;
use super::parent_death;
use super::process::Process;
use crate::waterfall::text::escape;

/// The maximum number of lines that an error message quotes from the end of a log.
const TAIL_LINES: usize = 8;
/// The maximum number of bytes to read from the end of a log to find these lines.
const TAIL_BYTES: u64 = 8 << 10;
/// The maximum length of a quoted line in characters.
const TAIL_COLUMNS: usize = 240;

/// A child process with its log file. Dropping a `Child` kills the process.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) process: Process,
    pub(super) log: PathBuf,
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts the command with its output redirected to the log file. Also starts a thread that waits for the process
    /// to exit.
    pub(super) fn spawn(process: Process, mut command: Command, log: PathBuf) -> io::Result<Self> {
        let file = open_log(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let mut child = parent_death::spawn(command)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process id is out of range"))?;
        let (exit_sender, exit) = watch::channel(None);
        // This is a thread and not an async task, because it must outlive the async runtime that started the child.
        thread::Builder::new().name(format!("wait {process}")).spawn(move || {
            // `wait` fails only if other code has already waited for the child. No other code has access to the child.
            let _ = exit_sender.send(child.wait().ok());
        })?;
        Ok(Self { process, log, pid, exit })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Returns the exit status, or `None` if the process is still running.
    pub(super) fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits until the process exits. Returns `None` if its status cannot be determined.
    pub(super) async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Sends SIGTERM to the process.
    pub(super) fn terminate(&self) {
        if self.exited().is_none() {
            // If this fails, the process has just exited by itself, so there is nothing left to do.
            let _ = kill_process(self.pid, Signal::TERM);
        }
    }

    /// Sends SIGKILL to the process and its process group.
    pub(super) fn kill(&self) {
        if self.exited().is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Returns the last lines of the log.
    pub(super) fn log_end(&self) -> LogEnd {
        // The lines only add detail to another error, so a failure to read them is ignored.
        LogEnd { path: self.log.clone(), lines: tail(&self.log).unwrap_or_default() }
    }
}

impl Drop for Child {
    /// Kills the process. Otherwise the process would keep running after an error or an interrupted stop.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Creates a new log file. The log of the previous run is kept as `<name>.previous.log`.
fn open_log(path: &Path) -> io::Result<File> {
    match fs::rename(path, path.with_extension("previous.log")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| shorten(line)).collect())
}

fn shorten(line: &str) -> String {
    // The Collector separates the fields of a log line with tabs, which `escape` would show as `\t`.
    let line = line.replace('\t', " ");
    let line = escape(&line);
    match line.char_indices().nth(TAIL_COLUMNS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_the_exit_status_and_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("agent.log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "seq 1 20; printf 'last \\033[1mline' >&2; exit 7"]);
        let child = Child::spawn("agent".into(), command, log.clone()).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        let tail = child.log_end().lines;
        assert_eq!((tail.len(), tail[0].as_str(), tail[7].as_str()), (8, "14", "last \\u{1b}[1mline"));

        Child::spawn("agent".into(), Command::new("/bin/true"), log).unwrap().wait().await.unwrap();
        assert!(fs::read_to_string(dir.path().join("agent.previous.log")).unwrap().starts_with("1\n2\n"));
    }

    #[tokio::test]
    async fn kills_a_process_that_ignores_sigterm() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        // The shell ignores SIGTERM and has a child process.
        command.args(["-c", "trap '' TERM; echo up; sleep 600 & wait; wait"]);
        let child = Child::spawn("agent".into(), command, dir.path().join("agent.log")).unwrap();
        while child.log_end().lines.is_empty() {
            tokio::task::yield_now().await;
        }
        child.terminate();
        assert_eq!(child.exited(), None);
        child.kill();
        assert!(!child.wait().await.unwrap().success());
    }
}
