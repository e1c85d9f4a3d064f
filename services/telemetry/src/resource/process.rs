//! The detector of the `process.*` attributes that [`super::contrib`] does not detect.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/process/>.

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

/// The name of the user that the process runs as. In an image without `/etc/passwd`, such as a scratch image, the name
/// is not known.
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
    // Milliseconds are precise enough, because the kernel counts start times in hundredths of a second.
    let started = OffsetDateTime::from(started("self")?);
    started.replace_millisecond(started.millisecond()).ok()?.format(&Rfc3339).ok()
}

/// Returns the start time of `process`, which is a PID or `self`. The precision is a hundredth of a second.
///
/// The age of the process comes from the boot-time clock, which the kernel also uses for start times. So the result
/// stays correct if someone sets the system clock after the process has started.
pub(crate) fn started(process: &str) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let since_boot = Duration::from_millis(stat_field(&stat, START_TIME)? * (1_000 / TICKS_PER_SECOND));
    SystemTime::now().checked_sub(now.checked_sub(since_boot)?)
}

/// `USER_HZ`, the number of ticks in a second, which is 100 on every Linux architecture that Rust supports.
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// The field of `/proc/PID/stat` with the start time in ticks since boot.
const START_TIME: usize = 22;

/// Returns a field of `/proc/PID/stat` that is a number. Its manual page numbers the fields from 1, and `field` is at
/// least 3.
///
/// The second field is the program's name in parentheses, and the name itself can contain spaces and parentheses. So
/// the fields are counted after the last parenthesis.
pub(crate) fn stat_field(stat: &str, field: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_after_any_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 12 34 0 0 20 0 9 0 4711 1 2 3";
        assert_eq!(
            [14, 15, START_TIME].map(|field| stat_field(stat, field)),
            [Some(12), Some(34), Some(4711)]
        );
        assert_eq!(stat_field("7 (a", START_TIME), None);
    }

    #[test]
    fn reports_a_recent_start_of_this_process() {
        let started = OffsetDateTime::parse(&creation_time().unwrap(), &Rfc3339).unwrap();
        let age = OffsetDateTime::now_utc() - started;
        assert!(age >= time::Duration::ZERO && age < time::Duration::hours(1), "{age}");
    }

    #[test]
    fn reports_the_start_of_a_child_process() {
        let before = SystemTime::now();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = started(&child.id().to_string()).unwrap();
        let after = SystemTime::now();
        child.kill().unwrap();
        child.wait().unwrap();
        // The kernel rounds the start time down to a tick of 10 ms. The tolerance is two ticks.
        let tolerance = Duration::from_millis(20);
        assert!(before - tolerance <= start && start <= after + tolerance, "{before:?} {start:?} {after:?}");
    }
}
