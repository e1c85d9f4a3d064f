//! Child processes that end with their parent, even if the parent gets SIGKILL.
//!
//! On Linux a process can request a signal for the death of its parent (`PR_SET_PDEATHSIG` of prctl(2)), and the
//! request survives `exec`. Each child is therefore started as `sightline die-with-parent PID PROGRAM…`. That command
//! requests the signal and then replaces itself with the program, so the process id stays the same. This needs no
//! `unsafe` code and no watchdog process that could itself be killed. Two details matter:
//!
//! - The kernel sends the signal when the thread that started the child ends. One thread, which lives as long as the
//!   process, therefore starts all children. Otherwise a test thread that ends would end its children.
//! - The parent may end before the child requests the signal. The child then has another parent and exits.
//!
//! On other systems, children outlive a parent that gets SIGKILL. If the parent ends in any other way, it stops them.

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

/// Requests SIGTERM for the death of the process `parent`, then replaces this process with the program.
///
/// Returns only if that fails.
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
            return io::Error::other("the parent process has ended");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    Command::new(program).args(arguments).exec()
}

/// Returns the command that runs the program. If `sightline` is given, the program ends with this process.
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
