//! How much memory a process holds.

use anyhow::{Context as _, Result};

/// Resident memory of a process in MiB, as the kernel counts it (`VmRSS`). Fails where there is no such process.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix("VmRSS:")?;
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    Ok(kib.with_context(|| format!("{path} says no VmRSS"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_holds_some() {
        let mib = super::resident_mib(std::process::id()).unwrap();
        assert!((1.0..10_000.0).contains(&mib), "{mib}");
        assert!(super::resident_mib(u32::MAX).is_err());
    }
}
