//! One running process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::lifeline;
use super::process::Process;
use crate::waterfall::text::escape;

/// Lines of a log that an error repeats, and the bytes they are looked for in.
const TAIL_LINES: usize = 8;
const TAIL_BYTES: u64 = 8 << 10;
/// The longest line that is repeated whole.
const TAIL_COLUMNS: usize = 240;

#[derive(Debug)]
pub(super) struct Child {
    pub(super) process: Process,
    pub(super) log: PathBuf,
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts the command with its output in the log, and a thread that waits for its end.
    pub(super) fn spawn(process: Process, mut command: Command, log: PathBuf) -> io::Result<Self> {
        let file = open_log(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let mut child = lifeline::spawn(command)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a process id out of range"))?;
        let (ended, exit) = watch::channel(None);
        // A thread and not a task: it goes on when the runtime that started the child is gone.
        thread::Builder::new().name(format!("wait {process}")).spawn(move || {
            // wait fails only for a child that someone else has waited for, and nobody else can.
            let _ = ended.send(child.wait().ok());
        })?;
        Ok(Self { process, log, pid, exit })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, if it has.
    pub(super) fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end. `None` when that cannot be known.
    pub(super) async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Asks it to stop.
    pub(super) fn terminate(&self) {
        if self.exited().is_none() {
            // It may have ended this moment, which is what is wanted.
            let _ = kill_process(self.pid, Signal::TERM);
        }
    }

    /// Ends it and whatever it started.
    pub(super) fn kill(&self) {
        if self.exited().is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> Vec<String> {
        // A log that cannot be read has nothing to add to the error it is read for.
        tail(&self.log).unwrap_or_default()
    }
}

impl Drop for Child {
    /// Whoever gives a child up, by an error or by a stop that was itself stopped, leaves nothing running.
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new log; that of the run before is kept beside it.
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
    // The Collector separates by tabs, with what a person reads first.
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
    async fn its_output_and_end_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("agent.log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "seq 1 20; printf 'last \\033[1mwords' >&2; exit 7"]);
        let child = Child::spawn(Process::Agent, command, log.clone()).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        let tail = child.tail();
        assert_eq!((tail.len(), tail[0].as_str(), tail[7].as_str()), (8, "14", "last \\u{1b}[1mwords"));

        Child::spawn(Process::Agent, Command::new("/bin/true"), log).unwrap().wait().await.unwrap();
        assert!(fs::read_to_string(dir.path().join("agent.previous.log")).unwrap().starts_with("1\n2\n"));
    }

    #[tokio::test]
    async fn it_is_asked_and_then_made_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        // The shell ignores the polite signal, and has a child of its own.
        command.args(["-c", "trap '' TERM; echo up; sleep 600 & wait; wait"]);
        let child = Child::spawn(Process::Agent, command, dir.path().join("agent.log")).unwrap();
        while child.tail().is_empty() {
            tokio::task::yield_now().await;
        }
        child.terminate();
        assert_eq!(child.exited(), None);
        child.kill();
        assert!(!child.wait().await.unwrap().success());
    }
}
