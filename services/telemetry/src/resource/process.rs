//! `process.*`. The command line is left out: it is where people put passwords.
//!
//! <https://opentelemetry.io/docs/specs/semconv/resource/process/>

use std::fs;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) fn detect() -> Vec<KeyValue> {
    let executable = std::env::current_exe().ok();
    let name = executable.as_deref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    [
        Some(KeyValue::new(attribute::PROCESS_PID, i64::from(std::process::id()))),
        Some(KeyValue::new(attribute::PROCESS_PARENT_PID, i64::from(std::os::unix::process::parent_id()))),
        name.map(|name| KeyValue::new(attribute::PROCESS_EXECUTABLE_NAME, name.to_owned())),
        executable
            .as_deref()
            .and_then(|path| path.to_str())
            .map(|path| KeyValue::new(attribute::PROCESS_EXECUTABLE_PATH, path.to_owned())),
        owner().map(|owner| KeyValue::new(attribute::PROCESS_OWNER, owner)),
        creation_time().map(|time| KeyValue::new(attribute::PROCESS_CREATION_TIME, time)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The name of the user this runs as; without `/etc/passwd`, as in a scratch image, there is none.
fn owner() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn creation_time() -> Option<String> {
    // To the millisecond: the kernel counts in hundredths of a second.
    let started = OffsetDateTime::from(started("self")?);
    started.replace_millisecond(started.millisecond()).ok()?.format(&Rfc3339).ok()
}

/// When the kernel started `process`, a number or `self`, to a hundredth of a second. The age comes from the clock that
/// the kernel stamps processes with, so that a wall clock that was set since does not matter.
pub(super) fn started(process: &str) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let born = Duration::from_millis(start_ticks(&stat)? * (1_000 / TICKS_PER_SECOND));
    SystemTime::now().checked_sub(now.checked_sub(born)?)
}

/// `USER_HZ`, which Linux fixes at 100 for programs on every architecture that Rust serves.
const TICKS_PER_SECOND: u64 = 100;

/// Field 22 of `/proc/self/stat`. The second field is the program's name in brackets and may hold anything, so
/// counting begins after the last bracket.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 1 0 0 0 20 0 9 0 4711 1 2 3";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!(start_ticks("7 (a"), None);
    }

    #[test]
    fn this_process_started_in_the_past_and_not_long_ago() {
        let started = OffsetDateTime::parse(&creation_time().unwrap(), &Rfc3339).unwrap();
        let age = OffsetDateTime::now_utc() - started;
        assert!(age >= time::Duration::ZERO && age < time::Duration::hours(1), "{age}");
    }

    #[test]
    fn a_child_started_between_the_looks_at_the_clock() {
        let before = SystemTime::now();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let born = started(&child.id().to_string()).unwrap();
        let after = SystemTime::now();
        child.kill().unwrap();
        child.wait().unwrap();
        // The kernel's tick, rounded down.
        let tick = Duration::from_millis(20);
        assert!(before - tick <= born && born <= after + tick, "{before:?} {born:?} {after:?}");
    }
}
