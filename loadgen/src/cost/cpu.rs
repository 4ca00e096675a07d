//! Cores and CPU time: pinning, and what the kernel says a process or a core has spent.
//! Invariant: CPU time is the scheduler's exact count in nanoseconds, never the sampled user and system ticks.

use std::fs;
use std::io::{self, ErrorKind};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::error::{Doing, Error};

/// Ticks per second of `/proc/stat` (`USER_HZ`, the same on every Linux).
pub(crate) const TICKS_PER_S: u64 = 100;

/// The last core that this process may use: the first ones serve most interrupts.
///
/// # Errors
/// When the kernel does not tell the allowed cores.
pub(crate) fn last_allowed_core() -> Result<usize, Error> {
    let allowed = sched_getaffinity(None).doing("read the allowed cores")?;
    (0..CpuSet::MAX_CPU)
        .rev()
        .find(|&core| allowed.is_set(core))
        .ok_or_else(|| Error::new("no core is allowed to this process: check its cpuset"))
}

/// Pins the calling thread to `core`.
///
/// # Errors
/// When the core does not exist or is not allowed.
pub(crate) fn pin_this_thread(core: usize) -> Result<(), Error> {
    sched_setaffinity(None, &only(core)?).doing(format_args!("pin the client to core {core}"))
}

/// Pins every thread of process `pid` to `core`; threads that it starts later inherit the core.
///
/// # Errors
/// When the process has gone or the core is not allowed.
pub(crate) fn pin_process(pid: u32, core: usize) -> Result<(), Error> {
    for task in tasks(pid)? {
        let task_id = i32::try_from(task).ok().and_then(Pid::from_raw);
        match sched_setaffinity(task_id, &only(core)?) {
            // The thread ended since it was listed.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).doing(format_args!("pin process {pid} to core {core}")),
        }
    }
    Ok(())
}

fn only(core: usize) -> Result<CpuSet, Error> {
    if core >= CpuSet::MAX_CPU {
        return Err(Error::new(format!(
            "core {core} is beyond the limit of {}: name another",
            CpuSet::MAX_CPU
        )));
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(set)
}

/// CPU time that all threads of process `pid` have spent so far, in nanoseconds.
///
/// # Errors
/// When the process has gone.
pub(crate) fn process_cpu_ns(pid: u32) -> Result<u64, Error> {
    let mut sum_ns = 0;
    for task in tasks(pid)? {
        match fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")) {
            Ok(text) => sum_ns += schedstat_ns(&text)?,
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error).doing(format_args!("read the CPU time of process {pid}")),
        }
    }
    Ok(sum_ns)
}

/// CPU time that the calling thread has spent so far, in nanoseconds. `schedstat` of a thread that runs is as old as the
/// last tick, so its clock is asked.
pub(crate) fn this_thread_cpu_ns() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec.cast_unsigned() * 1_000_000_000 + spent.tv_nsec.cast_unsigned()
}

/// Time that the hypervisor took from `core` so far, in ticks of [`TICKS_PER_S`].
///
/// # Errors
/// When `/proc/stat` has no line for the core.
pub(crate) fn stolen_ticks(core: usize) -> Result<u64, Error> {
    let text = fs::read_to_string("/proc/stat").doing("read /proc/stat")?;
    steal_of(&text, core).ok_or_else(|| Error::new(format!("/proc/stat tells no steal time of core {core}")))
}

fn tasks(pid: u32) -> Result<Vec<u32>, Error> {
    let directory = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&directory).doing(format_args!("list {directory}"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// A thread that ended between listing and reading: the file is missing, or reading it says ESRCH.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn schedstat_ns(text: &str) -> Result<u64, Error> {
    text.split_ascii_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| Error::new(format!("schedstat {text:?} does not begin with nanoseconds")))
}

fn steal_of(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
    line.split_ascii_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_of_schedstat_is_the_time_on_the_core() {
        assert_eq!(schedstat_ns("21611952 9020837 60\n").unwrap(), 21_611_952);
        assert!(schedstat_ns("").is_err());
    }

    #[test]
    fn steal_is_the_eighth_figure_of_the_line_of_the_core() {
        let stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 11 12 13 14 15 16 17 18 19 20\ncpu10 1 2 3 4 5 6 7 99 9 0\n\
                    cpu1 21 22 23 24 25 26 27 28 29 30\n";
        assert_eq!(steal_of(stat, 0), Some(18));
        assert_eq!(steal_of(stat, 1), Some(28));
        assert_eq!(steal_of(stat, 10), Some(99));
        assert_eq!(steal_of(stat, 2), None);
    }

    #[test]
    fn spinning_costs_cpu_time_of_the_thread_and_of_the_process() {
        let thread_ns = this_thread_cpu_ns();
        let process_ns = process_cpu_ns(std::process::id()).unwrap();
        while this_thread_cpu_ns() < thread_ns + 2_000_000 {}
        assert!(process_cpu_ns(std::process::id()).unwrap() >= process_ns + 1_000_000);
    }
}
