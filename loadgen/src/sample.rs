//! What the kernel says about a process and about itself, read from `/proc`.
//!
//! Invariant: a figure that cannot be read is `None`, never zero.

use std::fs;

/// The page size of the kernel, to which slab sizes refer.
fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Slab caches that hold what a connection costs the kernel: the socket, its file, its place in epoll, its packets.
/// Caches of file systems and processes are left out, which other programs move all the time.
const CONNECTION_CACHES: [&str; 10] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
    "io_kiocb",
    "lsm_file_cache",
];

/// Prefixes of further caches that hold what a connection costs.
const CONNECTION_CACHE_PREFIXES: [&str; 2] = ["skbuff_", "kmalloc-"];

/// The resident memory of a process in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Option<u64> {
    parse_kib_field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Rss:")
}

/// The memory of the machine that a new program can use, in bytes.
pub(crate) fn memory_available_bytes() -> Option<u64> {
    parse_kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The memory of the machine in bytes.
pub(crate) fn memory_total_bytes() -> Option<u64> {
    parse_kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The CPU time that all live threads of a process have used, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .map(|text| parse_schedstat_ns(&text))
        .sum()
}

/// The kernel's slab memory for connections of both ends, in bytes; only root may read it.
pub(crate) fn kernel_bytes() -> Option<u64> {
    parse_slabinfo_bytes(&fs::read_to_string("/proc/slabinfo").ok()?, page_bytes())
}

/// One number that fills a file of its own, as under `/proc/sys`.
pub(crate) fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// The first and the last local port that the kernel assigns.
pub(crate) fn local_ports() -> Option<(u64, u64)> {
    parse_pair(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

/// A line `name  123 kB` of `/proc/meminfo` or `smaps_rollup`, in bytes.
fn parse_kib_field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The first field of `schedstat`: time on a CPU in nanoseconds.
fn parse_schedstat_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn parse_pair(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The memory of all live objects in the caches of connections, with each object's share of its slab's slack.
fn parse_slabinfo_bytes(text: &str, page_bytes: u64) -> Option<u64> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with("slabinfo - version: 2") {
        return None;
    }
    Some(lines.filter_map(|line| parse_slab_bytes(line, page_bytes)).sum())
}

fn parse_slab_bytes(line: &str, page_bytes: u64) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.next()?;
    if !CONNECTION_CACHES.contains(&name)
        && !CONNECTION_CACHE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        return None;
    }
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (active_objects, _objects, _object_bytes) = (number()?, number()?, number()?);
    let (objects_per_slab, pages_per_slab) = (number()?, number()?);
    (active_objects * pages_per_slab * page_bytes).checked_div(objects_per_slab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_in_kb_is_read_in_bytes() {
        let text = "55fea13a5000-7ffe541e4000 ---p 00000000 00:00 0   [rollup]\nRss:                1732 kB\nPss: 430 kB\n";
        assert_eq!(parse_kib_field(text, "Rss:"), Some(1732 * 1024));
        assert_eq!(parse_kib_field(text, "Swap:"), None);
        assert_eq!(parse_kib_field("Rss: many kB", "Rss:"), None);
    }

    #[test]
    fn the_first_field_of_schedstat_is_the_time_on_a_cpu() {
        assert_eq!(parse_schedstat_ns("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(parse_schedstat_ns(""), None);
    }

    #[test]
    fn a_port_range_is_two_numbers() {
        assert_eq!(parse_pair("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_pair("32768"), None);
    }

    #[test]
    fn slabs_of_connections_are_summed_and_others_left_out() {
        let text = "slabinfo - version: 2.1\n\
            # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n\
            ext4_inode_cache   20052  20062   1128   14    4 : tunables    0    0    0 : slabdata   1   1   0\n\
            TCP                   26     39   2368   13    8 : tunables    0    0    0 : slabdata   2   2   0\n\
            kmalloc-512           32     48    512   16    2 : tunables    0    0    0 : slabdata   3   3   0\n";
        assert_eq!(parse_slabinfo_bytes(text, 4096), Some(2 * 8 * 4096 + 2 * 2 * 4096));
    }

    #[test]
    fn an_unknown_slabinfo_version_is_not_guessed_at() {
        assert_eq!(parse_slabinfo_bytes("slabinfo - version: 9\nTCP 1 1 1 1 1\n", 4096), None);
    }

    #[test]
    fn this_process_has_memory_and_has_used_a_cpu() {
        let pid = std::process::id();
        assert!(rss_bytes(pid) > Some(0));
        assert!(cpu_ns(pid) > Some(0));
        assert_eq!(cpu_ns(u32::MAX), None);
    }
}
