//! Sends signals to processes that a test started.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// Sends a signal to the process with this ID. Fails if there is no such process.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let valid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = valid.with_context(|| format!("the process ID {pid} is not valid"))?;
    kill_process(pid, signal).with_context(|| format!("sending {signal:?} to process {pid:?} failed"))
}
