//! The metrics of the process: CPU, memory, threads, file descriptors and uptime. Linux only: without `/proc`, the metrics
//! are missing.
//!
//! The crate opentelemetry-system-metrics is not used: it adds the command line to each data point, and a command line
//! can contain passwords.
//!
//! Source: [Semantic conventions for OS process metrics], whose stability is "development".
//!
//! [Semantic conventions for OS process metrics]: https://opentelemetry.io/docs/specs/semconv/system/process-metrics/

use std::fs;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::resource::process::{TICKS_PER_SECOND, started, stat_field};

/// Creates the instruments.
pub(super) fn register(meter: &Meter) {
    let [user, system] = ["user", "system"].map(|mode| [KeyValue::new(attribute::CPU_MODE, mode)]);
    meter
        .f64_observable_counter(metric::PROCESS_CPU_TIME)
        .with_unit("s")
        .with_description("The CPU time of the process.")
        .with_callback(move |observer| {
            if let Some(cpu) = cpu_seconds() {
                observer.observe(cpu.user, &user);
                observer.observe(cpu.system, &system);
            }
        })
        .build();
    let description = "The physical memory of the process.";
    up_down_counter(meter, metric::PROCESS_MEMORY_USAGE, "By", description, || {
        status_field("VmRSS:").map(bytes)
    });
    let description = "The virtual memory of the process.";
    up_down_counter(meter, metric::PROCESS_MEMORY_VIRTUAL, "By", description, || {
        status_field("VmSize:").map(bytes)
    });
    let description = "The threads of the process.";
    up_down_counter(meter, metric::PROCESS_THREAD_COUNT, "{thread}", description, || {
        status_field("Threads:")
    });
    let (name, unit) = (metric::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, "{file_descriptor}");
    up_down_counter(meter, name, unit, "The open file descriptors of the process.", file_descriptors);
    meter
        .f64_observable_gauge(metric::PROCESS_UPTIME)
        .with_unit("s")
        .with_description("The time since the start of the process.")
        .with_callback(|observer| {
            let age = started("self").and_then(|started| SystemTime::now().duration_since(started).ok());
            if let Some(age) = age {
                observer.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// Creates an up-down counter with the value that `read` returns.
fn up_down_counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    read: fn() -> Option<i64>,
) {
    meter
        .i64_observable_up_down_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| {
            if let Some(value) = read() {
                observer.observe(value, &[]);
            }
        })
        .build();
}

/// The CPU time of the process, in seconds.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    user: f64,
    system: f64,
}

fn cpu_seconds() -> Option<Cpu> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let seconds = |field| Some(seconds(stat_field(&stat, field)?));
    Some(Cpu { user: seconds(14)?, system: seconds(15)? })
}

#[expect(clippy::cast_precision_loss, reason = "a process of 2^53 ticks is three million years old")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND as f64
}

/// Returns the number after `name` in `/proc/self/status`.
fn status_field(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Converts the unit of memory in `/proc/self/status`, which is 1024 bytes although it says kB.
fn bytes(kibibytes: i64) -> i64 {
    kibibytes.saturating_mul(1024)
}

fn file_descriptors() -> Option<i64> {
    // Since Linux 6.2, the size of the directory is the number of file descriptors.
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        // One of the entries is the descriptor of the directory itself.
        0 => i64::try_from(fs::read_dir(directory).ok()?.count().saturating_sub(1)).ok(),
        count => i64::try_from(count).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_cpu_time_of_this_process() {
        let before = cpu_seconds().unwrap();
        while cpu_seconds().unwrap().user + cpu_seconds().unwrap().system < before.user + before.system + 0.03
        {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn measures_memory_and_threads() {
        let before = status_field("VmRSS:").map(bytes).unwrap();
        let memory = vec![1_u8; 64 << 20];
        let after = status_field("VmRSS:").map(bytes).unwrap();
        // Other tests run at the same time, and may free some memory.
        assert!(after - before > 32 << 20, "{before} {after} with {} bytes more", memory.len());
        assert!(status_field("VmSize:").map(bytes).unwrap() >= after);
        assert!(status_field("Threads:").unwrap() >= 2, "the test runs in a thread of its own");
    }

    #[test]
    fn counts_file_descriptors() {
        let before = file_descriptors().unwrap();
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let after = file_descriptors().unwrap();
        // Other tests run at the same time, and may open and close some files.
        assert!((after - before - 200).abs() < 100, "{before} {after}");
        drop(files);
    }
}
