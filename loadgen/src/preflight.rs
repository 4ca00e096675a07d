//! Says before anything starts what the machine lacks for a run: descriptors, ports, memory, queues.
//!
//! Invariant: a shortage names what is needed, what there is, and what to do about it. What cannot be read is not
//! judged.

use std::fmt;

use crate::plan::{Plan, SOURCE_CONNECTIONS_MAX};
use crate::sample;
use crate::systems;
use crate::worker::HANDSHAKES_IN_FLIGHT_MAX;

/// Kernel memory of one end of a connection, in bytes.
const KERNEL_END_BYTES: u64 = 4_400;

/// Memory of this program per connection that has not seen a message, in bytes.
const CLIENT_BYTES: u64 = 8 * 1024;

/// Files that the machine keeps open for everything else.
const OTHER_FILES: u64 = 10_000;

/// What the machine has. `None` is unknown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Open files of the whole machine.
    pub(crate) files_max: Option<u64>,
    /// Local ports that the kernel deals out, for each source address.
    pub(crate) ports: Option<u64>,
    /// Connections that may wait to be accepted.
    pub(crate) backlog_max: Option<u64>,
    /// Memory that a new program can use, in bytes.
    pub(crate) memory_available_bytes: Option<u64>,
    /// Connections tracked by the firewall: now, and at most.
    pub(crate) tracked: Option<(u64, u64)>,
}

impl Facts {
    /// Looks at the machine.
    pub(crate) fn read() -> Self {
        let tracked_now = sample::number("/proc/sys/net/netfilter/nf_conntrack_count");
        let tracked_max = sample::number("/proc/sys/net/netfilter/nf_conntrack_max");
        Self {
            files_max: sample::number("/proc/sys/fs/file-max"),
            ports: sample::local_ports().map(|(first, last)| (last + 1).saturating_sub(first)),
            backlog_max: sample::number("/proc/sys/net/core/somaxconn"),
            memory_available_bytes: sample::memory_available_bytes(),
            tracked: tracked_now.zip(tracked_max),
        }
    }
}

/// What a run asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// The distribution of the connections.
    pub(crate) plan: Plan,
    /// Whether the server runs on this machine: both ends of each connection are here, and source addresses can be
    /// dealt out.
    pub(crate) is_local: bool,
    /// Memory per connection of the hungriest server that this program starts, in bytes; `None` if it starts none.
    pub(crate) server_bytes: Option<u64>,
    /// Length of the longest message.
    pub(crate) message_bytes: u64,
}

impl Demand {
    /// Ends of a connection that are on this machine.
    fn ends(&self) -> u64 {
        if self.is_local { 2 } else { 1 }
    }
}

/// Something the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    what: &'static str,
    needed: u64,
    available: u64,
    remedy: String,
}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, needed, available, remedy } = self;
        write!(formatter, "{what}: {needed} needed, {available} available; {remedy}")
    }
}

/// What is missing, empty if the run can start.
pub(crate) fn shortages(demand: &Demand, facts: &Facts) -> Vec<Shortage> {
    [
        shards(demand),
        files(demand, facts),
        ports(demand, facts),
        backlog(demand, facts),
        tracking(demand, facts),
        memory(demand, facts),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `Some` if `needed` is more than is known to be available.
fn lacking(what: &'static str, needed: u64, available: Option<u64>, remedy: &str) -> Option<Shortage> {
    let available = available?;
    (needed > available).then(|| Shortage { what, needed, available, remedy: remedy.to_owned() })
}

/// The generator starts as many workers as it needs, but the number of shards may be given.
fn shards(demand: &Demand) -> Option<Shortage> {
    demand.server_bytes?;
    let Plan { connections, table_connections_max, .. } = demand.plan;
    let remedy = format!(
        "give --shards {} or more, or raise the hard limit on open files (ulimit -Hn)",
        connections.div_ceil(table_connections_max)
    );
    let needed = u64::from(demand.plan.shard_connections());
    lacking("connections per server shard", needed, Some(u64::from(table_connections_max)), &remedy)
}

fn files(demand: &Demand, facts: &Facts) -> Option<Shortage> {
    let needed = demand.ends() * u64::from(demand.plan.connections) + OTHER_FILES;
    let remedy = format!("use fewer --conns or run: sysctl fs.file-max={needed}");
    lacking("open files of the machine (fs.file-max)", needed, facts.files_max, &remedy)
}

fn ports(demand: &Demand, facts: &Facts) -> Option<Shortage> {
    let connections = demand.plan.connections;
    let needed = if demand.is_local { connections.min(SOURCE_CONNECTIONS_MAX) } else { connections };
    let remedy = "use fewer --conns or run: sysctl net.ipv4.ip_local_port_range=\"10000 65535\"";
    lacking("local ports per source address", u64::from(needed), facts.ports, remedy)
}

/// Every shard has a queue of its own; a server that was not started here may have only one.
fn backlog(demand: &Demand, facts: &Facts) -> Option<Shortage> {
    let Plan { connections, workers, shards, .. } = demand.plan;
    let in_flight = (u64::from(workers) * HANDSHAKES_IN_FLIGHT_MAX as u64).min(connections.into());
    let queues = if demand.server_bytes.is_some() { shards } else { 1 };
    let needed = in_flight.div_ceil(queues.into());
    let remedy = format!("use fewer --conns or run: sysctl net.core.somaxconn={needed}");
    lacking("connections waiting to be accepted (net.core.somaxconn)", needed, facts.backlog_max, &remedy)
        .filter(|_| demand.is_local)
}

/// A count of zero on a machine with connections means that the firewall does not track them.
fn tracking(demand: &Demand, facts: &Facts) -> Option<Shortage> {
    let (now, most) = facts.tracked.filter(|&(now, _)| now > 0)?;
    let needed = u64::from(demand.plan.connections);
    let remedy = format!("use fewer --conns or run: sysctl net.netfilter.nf_conntrack_max={}", now + needed);
    lacking("tracked connections (nf_conntrack_max)", needed, Some(most.saturating_sub(now)), &remedy)
}

fn memory(demand: &Demand, facts: &Facts) -> Option<Shortage> {
    let client_bytes = CLIENT_BYTES + systems::kept_bytes(demand.message_bytes);
    let each = demand.server_bytes.unwrap_or(0) + client_bytes + demand.ends() * KERNEL_END_BYTES;
    let needed = u64::from(demand.plan.connections) * each;
    let remedy = "use fewer --conns, a smaller --size or --echo-bytes, or leave out the system `tokio`";
    lacking("bytes of memory", needed, facts.memory_available_bytes, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Facts = Facts {
        files_max: Some(2_466_177),
        ports: Some(28_232),
        backlog_max: Some(4_096),
        memory_available_bytes: Some(23 << 30),
        tracked: Some((0, 262_144)),
    };

    fn demand(connections: u32) -> Demand {
        Demand {
            plan: Plan::new(connections, 2, 20_000, None),
            is_local: true,
            server_bytes: Some(140 * 1024),
            message_bytes: 128,
        }
    }

    fn only(demand: &Demand, facts: &Facts) -> String {
        let found = shortages(demand, facts);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].to_string()
    }

    #[test]
    fn fifty_thousand_connections_fit_a_machine_with_23_gib() {
        assert_eq!(shortages(&demand(50_000), &PLENTY), []);
    }

    #[test]
    fn unknown_facts_are_not_judged() {
        let unknown = Facts {
            files_max: None,
            ports: None,
            backlog_max: None,
            memory_available_bytes: None,
            tracked: None,
        };
        assert_eq!(shortages(&demand(50_000), &unknown), []);
    }

    #[test]
    fn too_few_shards_are_refused_with_the_number_that_suffices() {
        let mut demand = demand(50_000);
        demand.plan.shards = 2;
        let text = only(&demand, &PLENTY);
        assert!(text.contains("25000 needed, 18000 available") && text.contains("--shards 3"), "{text}");
    }

    #[test]
    fn both_ends_of_a_local_connection_are_open_files() {
        let facts = Facts { files_max: Some(109_999), ..PLENTY };
        assert!(only(&demand(50_000), &facts).contains("110000 needed, 109999 available"));
        let away = Demand { is_local: false, server_bytes: None, ..demand(20_000) };
        assert_eq!(shortages(&away, &Facts { files_max: Some(30_000), ..PLENTY }), []);
    }

    #[test]
    fn a_remote_server_gets_no_more_connections_than_there_are_ports() {
        let away = |connections| Demand { is_local: false, server_bytes: None, ..demand(connections) };
        assert!(only(&away(28_233), &PLENTY).contains("28233 needed, 28232 available"));
        assert_eq!(shortages(&away(28_232), &PLENTY), []);
    }

    #[test]
    fn a_short_accept_queue_is_refused() {
        let facts = Facts { backlog_max: Some(128), ..PLENTY };
        assert!(only(&demand(50_000), &facts).contains("somaxconn=256"), "three workers, three queues");
        let running = Demand { server_bytes: None, ..demand(50_000) };
        assert!(only(&running, &facts).contains("somaxconn=768"), "three workers, perhaps one queue");
        assert_eq!(shortages(&demand(100), &facts), []);
    }

    #[test]
    fn tracking_counts_only_where_it_is_active() {
        let idle = Facts { tracked: Some((0, 1_000)), ..PLENTY };
        assert_eq!(shortages(&demand(50_000), &idle), []);
        let active = Facts { tracked: Some((1, 1_000)), ..PLENTY };
        assert!(only(&demand(50_000), &active).contains("50000 needed, 999 available"));
    }

    #[test]
    fn memory_is_judged_by_the_largest_server() {
        let facts = Facts { memory_available_bytes: Some(4 << 30), ..PLENTY };
        assert!(only(&demand(50_000), &facts).contains("bytes of memory"));
        let small = Demand { server_bytes: Some(12 * 1024), ..demand(50_000) };
        assert_eq!(shortages(&small, &facts), []);
        let long = Demand { message_bytes: 65_536, ..small };
        assert!(only(&long, &facts).contains("bytes of memory"));
    }
}
