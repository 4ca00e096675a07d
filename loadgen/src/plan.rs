//! How the connections are dealt out: to worker threads, source addresses and the server's shards.
//!
//! Invariant: connection `id` belongs to worker `id % workers`, so that a round over all connections visits the
//! workers in turn.

use std::net::{IpAddr, Ipv4Addr};

/// Connections from one source address: well below the 28,232 ports Linux deals out by default.
pub(crate) const SOURCE_CONNECTIONS_MAX: u32 = 10_000;

/// From this many connections on, every core gets a worker.
const ONE_WORKER_CONNECTIONS_MAX: u32 = 1_000;

/// Addresses of one 127.0.x block that are used.
const BLOCK_ADDRESSES: u32 = 250;

/// The distribution of `connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Connections in all.
    pub(crate) connections: u32,
    /// Worker threads of the generator.
    pub(crate) workers: u32,
    /// Shards of each server.
    pub(crate) shards: u32,
    /// Connections that one descriptor table may hold.
    pub(crate) table_connections_max: u32,
}

impl Plan {
    /// Deals out `connections` on a machine with so many cores and descriptors per table. `shards` overrides the
    /// number of server shards.
    pub(crate) fn new(connections: u32, cores: usize, descriptors_max: u64, shards: Option<u32>) -> Self {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX).max(1);
        let table_connections_max = table_connections_max(descriptors_max);
        let tables = connections.div_ceil(table_connections_max).max(1);
        let workers = if connections > ONE_WORKER_CONNECTIONS_MAX { cores.max(tables) } else { tables };
        let shards = shards.unwrap_or_else(|| cores.max(tables));
        Self { connections, workers, shards, table_connections_max }
    }

    /// Whether the threads of one process need a descriptor table each.
    pub(crate) fn needs_own_tables(&self) -> bool {
        needs_own_tables(self.connections, self.table_connections_max)
    }

    /// Connections of an average shard.
    pub(crate) fn shard_connections(&self) -> u32 {
        self.connections.div_ceil(self.shards)
    }
}

/// Connections that one descriptor table may hold: nine tenths, the rest is for everything else and for shards
/// that the kernel gave more than their share.
pub(crate) fn table_connections_max(descriptors_max: u64) -> u32 {
    u32::try_from(descriptors_max - descriptors_max / 10).unwrap_or(u32::MAX).max(1)
}

/// Whether `connections` of one process are too many for one descriptor table.
pub(crate) fn needs_own_tables(connections: u32, table_connections_max: u32) -> bool {
    connections > table_connections_max
}

/// The source address of a connection to `target`: one of 127.0.1.1 and up if that is this machine, else `None`, which
/// leaves the choice to the kernel.
pub(crate) fn source(target: IpAddr, connection: u32) -> Option<Ipv4Addr> {
    let IpAddr::V4(target) = target else { return None };
    let place = connection / SOURCE_CONNECTIONS_MAX;
    let (block, address) = (1 + place / BLOCK_ADDRESSES, 1 + place % BLOCK_ADDRESSES);
    target
        .is_loopback()
        .then(|| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + (block << 8) + address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));

    #[test]
    fn few_connections_need_one_worker_and_many_one_per_core() {
        assert_eq!(Plan::new(1_000, 2, 20_000, None).workers, 1);
        assert_eq!(Plan::new(1_001, 2, 20_000, None).workers, 2);
    }

    #[test]
    fn no_worker_and_no_shard_holds_more_than_nine_tenths_of_a_table() {
        let plan = Plan::new(50_000, 2, 20_000, None);
        assert_eq!((plan.workers, plan.shards, plan.table_connections_max), (3, 3, 18_000));
        assert!(plan.shard_connections() <= 18_000);
        assert!(plan.needs_own_tables());
    }

    #[test]
    fn one_table_is_shared_while_it_suffices() {
        assert!(!Plan::new(18_000, 2, 20_000, None).needs_own_tables());
        assert!(Plan::new(18_001, 2, 20_000, None).needs_own_tables());
    }

    #[test]
    fn shards_are_the_cores_unless_asked_for() {
        assert_eq!(Plan::new(100, 2, 20_000, None).shards, 2);
        assert_eq!(Plan::new(100, 2, 20_000, Some(1)).shards, 1);
    }

    #[test]
    fn an_unlimited_table_holds_everything() {
        assert_eq!(Plan::new(5_000_000, 2, u64::MAX, None).workers, 2);
    }

    #[test]
    fn sources_change_every_ten_thousand_connections() {
        assert_eq!(source(LOCAL, 0), Some(Ipv4Addr::new(127, 0, 1, 1)));
        assert_eq!(source(LOCAL, 9_999), Some(Ipv4Addr::new(127, 0, 1, 1)));
        assert_eq!(source(LOCAL, 10_000), Some(Ipv4Addr::new(127, 0, 1, 2)));
        assert_eq!(source(LOCAL, 2_499_999), Some(Ipv4Addr::new(127, 0, 1, 250)));
        assert_eq!(source(LOCAL, 2_500_000), Some(Ipv4Addr::new(127, 0, 2, 1)));
    }

    #[test]
    fn a_remote_target_leaves_the_source_to_the_kernel() {
        assert_eq!(source(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0), None);
        assert_eq!(source("::1".parse().unwrap(), 0), None);
    }
}
