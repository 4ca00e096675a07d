//! What the kernel knows of this process.
//!
//! Invariant: a file that cannot be read is a metric that is missing, never a zero.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// One look at `/proc/self` and the clock of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    /// Of the table of the main thread.
    pub(super) descriptors: Option<u64>,
    pub(super) cpu_seconds: f64,
}

impl Process {
    pub(super) fn read() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes),
            // The directory that is being read is one of them.
            descriptors: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64 - 1),
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        }
    }
}

/// The value of `VmRSS:   1234 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("VmHWM:\t  9 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n"), Some(1_263_616));
        assert_eq!(resident_bytes("VmHWM:\t  9 kB\n"), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_time() {
        let process = Process::read();
        assert!(process.resident_bytes > Some(100_000) && process.cpu_seconds > 0.0, "{process:?}");
        let held: Vec<fs::File> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(Process::read().descriptors >= Some(held.len() as u64));
    }
}
