//! Starts child processes that are stopped when their parent dies, even if the parent gets SIGKILL.
//!
//! On Linux, a process can request a signal that the kernel sends when the parent process dies (`PR_SET_PDEATHSIG` in
//! prctl(2)). The request survives `exec`. Each child is therefore started as `sightline die-with-parent PID PROGRAM…`.
//! That command requests the signal and then replaces itself with the program, so the process id stays the same. This
//! requires no `unsafe` code. It also requires no watchdog process, which could be killed too. Two details matter:
//!
//! - The kernel sends the signal as soon as the thread that started the child exits, even if the parent process keeps
//!   running. All children are therefore started by one thread that lives as long as the process. Otherwise the
//!   children of a test would be stopped when the thread of that test exits.
//! - The parent may die before the child requests the signal. The child then detects that it has a different parent,
//!   and exits.
//!
//! On other systems, children outlive a parent that gets SIGKILL. A parent that exits in any other way stops its
//! children first.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The name of the hidden command of `sightline`.
pub const COMMAND: &str = "die-with-parent";

/// Asks the kernel to send SIGTERM to this process when the process `parent` dies. Then replaces this process with the
/// program.
///
/// Returns only if one of these steps fails.
#[must_use]
pub fn exec(parent: u32, program: &OsString, arguments: &[OsString]) -> io::Error {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            return error.into();
        }
        let current = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if current != Some(parent) {
            return io::Error::other("the parent process has already exited");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    Command::new(program).args(arguments).exec()
}

/// Returns the command that runs the program. If `sightline` is given, the program gets SIGTERM when this process dies.
pub(super) fn command(sightline: Option<&Path>, program: &Path, arguments: &[OsString]) -> Command {
    let Some(sightline) = sightline else {
        let mut command = Command::new(program);
        command.args(arguments);
        return command;
    };
    let mut command = Command::new(sightline);
    command.arg(COMMAND).arg(std::process::id().to_string()).arg(program).args(arguments);
    command
}

type Job = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Starts the command from the thread that starts all children.
///
/// The child gets its own process group. Ctrl-C in a terminal then reaches only this process, which stops the children
/// in order.
pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
    static SPAWNER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

    command.stdin(Stdio::null()).process_group(0);
    let (result_sender, result) = mpsc::sync_channel(1);
    {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &*spawner {
            Some(jobs) => jobs,
            None => spawner.insert(start_spawner()?),
        };
        jobs.send((command, result_sender)).map_err(io::Error::other)?;
    }
    result.recv().map_err(io::Error::other)?
}

fn start_spawner() -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for (mut command, result) in jobs {
            // `spawn` waits for the result, so sending it cannot fail.
            let _ = result.send(command.spawn());
        }
    })?;
    Ok(sender)
}
