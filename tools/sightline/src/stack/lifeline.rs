//! Children that end with their parent, also when it is killed hard.
//!
//! Linux sends a process a signal of its choice when its parent dies, if it asks for it; the wish survives `exec`. So a
//! child is started as `sightline with-parent PID PROGRAM…`, which asks and becomes the program: the same process, no
//! `unsafe`, and no watchdog that could itself die. Two traps:
//!
//! - "Parent" is the thread that started the child. All children are therefore started by one thread that lives as
//!   long as the process, or a test's thread that ends would take the children with it.
//! - The parent may die before the wish is spoken; the child then has another parent and does not begin.
//!
//! Elsewhere than on Linux children outlive a parent killed with SIGKILL; any other end stops them.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The hidden command of the binary.
pub const COMMAND: &str = "with-parent";

/// Becomes the program; returns only when that fails.
#[must_use]
pub fn become_child(parent: u32, program: &OsString, arguments: &[OsString]) -> io::Error {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            return error.into();
        }
        let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if now != Some(parent) {
            return io::Error::other("the parent has ended");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    Command::new(program).args(arguments).exec()
}

/// A command that runs the program, ending with this process where there is a `sightline` to see to that.
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

/// Starts the command from the thread that all children have for a parent, in a process group of its own: Ctrl-C in a
/// terminal reaches this process alone, which then stops the others in order.
pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
    static SPAWNER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

    command.stdin(Stdio::null()).process_group(0);
    let (answer, answered) = mpsc::sync_channel(1);
    {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*spawner {
            Some(sender) => sender,
            None => spawner.insert(start()?),
        };
        sender.send((command, answer)).map_err(io::Error::other)?;
    }
    answered.recv().map_err(io::Error::other)?
}

fn start() -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for (mut command, answer) in jobs {
            // Whoever asked waits for the answer.
            let _ = answer.send(command.spawn());
        }
    })?;
    Ok(sender)
}
