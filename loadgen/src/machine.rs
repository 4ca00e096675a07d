//! The machine and the build that the figures belong to.

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::sample;

/// What a reader must know about the machine to judge the figures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Model name of the first CPU.
    pub(crate) cpu: String,
    /// CPUs that this process may use.
    pub(crate) cores: usize,
    /// Memory in bytes.
    pub(crate) mem_bytes: Option<u64>,
    /// Hard limit on descriptors per table.
    pub(crate) nofile: u64,
    /// Build profile and optimisation level.
    pub(crate) profile: String,
}

impl Machine {
    /// Looks at the machine.
    pub(crate) fn read() -> Self {
        Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned()),
            cpu: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|text| parse_cpu_model(&text))
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: cores(),
            mem_bytes: sample::memory_total_bytes(),
            nofile: descriptors_max(),
            profile: profile(),
        }
    }
}

/// Build profile and optimisation level of this program.
pub(crate) fn profile() -> String {
    format!("{}, opt-level {}", env!("LOADGEN_PROFILE"), env!("LOADGEN_OPT_LEVEL"))
}

/// Whether this program was built with optimisation; figures of one that was not say little.
pub(crate) fn is_optimised() -> bool {
    !matches!(env!("LOADGEN_OPT_LEVEL"), "0" | "1")
}

/// CPUs that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The hard limit on descriptors, which holds for each descriptor table.
pub(crate) fn descriptors_max() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the soft limit on descriptors to the hard one.
///
/// # Errors
/// That of `setrlimit`.
pub(crate) fn raise_descriptor_limit() -> std::io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn parse_cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_named_by_its_model() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nprocessor\t: 1\n";
        assert_eq!(parse_cpu_model(text).as_deref(), Some("AMD EPYC"));
        assert_eq!(parse_cpu_model("processor: 0\n"), None);
    }
}
