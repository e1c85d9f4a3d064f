//! The memory use of a process.

use anyhow::{Context as _, Result};

/// Returns the resident memory of a process in MiB (`VmRSS`). Fails if the process does not exist.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path} failed"))?;
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix("VmRSS:")?;
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    Ok(kib.with_context(|| format!("{path} has no VmRSS"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_memory_of_this_process() {
        let mib = super::resident_mib(std::process::id()).unwrap();
        assert!((1.0..10_000.0).contains(&mib), "{mib}");
        assert!(super::resident_mib(u32::MAX).is_err());
    }
}
