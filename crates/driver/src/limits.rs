//! Descriptor ceilings: how many connections this process can hold, and how many descriptor tables that takes.
//!
//! The limit `RLIMIT_NOFILE` counts per descriptor *table*. Threads share one table unless they ask for their own, so a
//! process holds as many times the limit as it has tables. Invariant: a plan never promises a connection for which
//! there is no descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a shard needs besides its connections: poll, waker, spare, up to
/// [`LISTENERS_MAX`](crate::LISTENERS_MAX) listeners, and a reserve for connections that are being turned away.
pub const DESCRIPTORS_PER_SHARD: usize = 64;

/// The kernel spreads connections over listeners by a hash; a table is planned this full on average (in percent) so
/// that the fullest one still fits.
const TABLE_FILL_PERCENT: usize = 95;

/// Whether shards share the descriptor table of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// One table for all.
    Shared,
    /// One per shard: the process holds more connections than `RLIMIT_NOFILE`.
    PerShard,
}

/// What the operator asked for and what the machine has.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest {
    /// The connections to hold, or `None` for what one table allows.
    pub connections_max: Option<usize>,
    /// The number of shards, or `None` for one per core and more where descriptors demand it.
    pub shards: Option<usize>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Descriptors that one table may still take.
    pub descriptors: usize,
}

/// How many shards with which tables, and what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorPlan {
    /// Threads, each with an event loop.
    pub shards: usize,
    /// Whether each shard needs a table of its own.
    pub tables: Tables,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections that one shard may hold.
    pub connections_per_shard_max: usize,
}

/// A request that the descriptors do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More connections than the shards have descriptors for.
    #[error(
        "max-connections {asked} is above the ceiling of {ceiling} connections that {shards} shard(s) with {descriptors} \
         descriptors each can hold; lower it to {ceiling}, use at least {shards_needed} shards (or auto), or raise the \
         hard limit (ulimit -Hn)"
    )]
    AboveCeiling {
        /// Connections asked for.
        asked: usize,
        /// Connections possible.
        ceiling: usize,
        /// Shards asked for.
        shards: usize,
        /// Free descriptors per table.
        descriptors: usize,
        /// Shards that would do.
        shards_needed: usize,
    },
    /// Not even one connection fits.
    #[error(
        "the descriptor limit leaves {descriptors} free descriptors and {shards} shard(s) need {needed} besides the \
         connections; raise it (ulimit -n)"
    )]
    NoDescriptors {
        /// Free descriptors per table.
        descriptors: usize,
        /// Shards asked for.
        shards: usize,
        /// Descriptors that they need.
        needed: usize,
    },
    /// A number that must be at least 1 is 0.
    #[error("{what} is 0; it must be at least 1")]
    Zero {
        /// The setting.
        what: &'static str,
    },
}

/// Plans shards and tables for a request.
///
/// # Errors
/// [`LimitError`] if the descriptors do not allow what was asked for; the message names the numbers and the remedy.
pub fn plan_descriptors(request: PlanRequest) -> Result<DescriptorPlan, LimitError> {
    let PlanRequest { connections_max, shards, cores, descriptors } = request;
    if shards == Some(0) {
        return Err(LimitError::Zero { what: "shards" });
    }
    if connections_max == Some(0) {
        return Err(LimitError::Zero { what: "max-connections" });
    }
    let least = shards.unwrap_or_else(|| cores.max(1));
    let needed = least.saturating_mul(DESCRIPTORS_PER_SHARD);
    let shared = descriptors.saturating_sub(needed);
    let per_table = descriptors.saturating_sub(DESCRIPTORS_PER_SHARD);
    if per_table == 0 || (connections_max.is_none() && shared == 0) {
        return Err(LimitError::NoDescriptors { descriptors, shards: least, needed });
    }
    let asked = connections_max.unwrap_or(shared);
    if asked <= shared {
        return Ok(DescriptorPlan {
            shards: least,
            tables: Tables::Shared,
            connections_max: asked,
            connections_per_shard_max: asked,
        });
    }
    let shards_needed = asked.div_ceil((per_table * TABLE_FILL_PERCENT / 100).max(1));
    let count = shards.unwrap_or_else(|| least.max(shards_needed));
    let ceiling = count.saturating_mul(per_table);
    if asked > ceiling {
        return Err(LimitError::AboveCeiling { asked, ceiling, shards: count, descriptors, shards_needed });
    }
    Ok(DescriptorPlan {
        shards: count,
        tables: Tables::PerShard,
        connections_max: asked,
        connections_per_shard_max: per_table.min(asked),
    })
}

/// Raises the soft limit on descriptors to the hard one and returns what is in force then.
pub fn raise_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let in_force = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    in_force.map_or(usize::MAX / 2, |limit| usize::try_from(limit).unwrap_or(usize::MAX / 2))
}

/// Descriptors that the table of this thread may still take: the soft limit less those in use.
#[must_use]
pub fn available_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX / 2, |limit| limit as usize);
    // One of the entries is the descriptor that reads the directory.
    let in_use =
        std::fs::read_dir("/proc/thread-self/fd").map_or(16, |entries| entries.count().saturating_sub(1));
    limit.saturating_sub(in_use)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: PlanRequest =
        PlanRequest { connections_max: None, shards: None, cores: 2, descriptors: 19_990 };

    fn plan(connections_max: Option<usize>, shards: Option<usize>) -> Result<DescriptorPlan, LimitError> {
        plan_descriptors(PlanRequest { connections_max, shards, ..MACHINE })
    }

    #[test]
    fn without_a_wish_one_table_is_shared_by_a_shard_per_core() {
        let plan = plan(None, None).unwrap();
        assert_eq!((plan.shards, plan.tables), (2, Tables::Shared));
        assert_eq!(plan.connections_max, 19_990 - 2 * DESCRIPTORS_PER_SHARD);
    }

    #[test]
    fn what_fits_in_one_table_shares_it() {
        assert_eq!(plan(Some(19_000), None).unwrap().tables, Tables::Shared);
    }

    #[test]
    fn fifty_thousand_connections_take_three_tables_of_twenty_thousand() {
        let plan = plan(Some(50_000), None).unwrap();
        assert_eq!((plan.shards, plan.tables, plan.connections_max), (3, Tables::PerShard, 50_000));
        assert_eq!(plan.connections_per_shard_max, 19_990 - DESCRIPTORS_PER_SHARD);
    }

    #[test]
    fn auto_leaves_room_for_an_uneven_spread() {
        let per_table = 19_990 - DESCRIPTORS_PER_SHARD;
        assert_eq!(plan(Some(3 * per_table), None).unwrap().shards, 4);
    }

    #[test]
    fn too_few_shards_are_refused_with_both_numbers_and_the_remedy() {
        let error = plan(Some(50_000), Some(2)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("50000") && text.contains("39852") && text.contains("at least 3 shards"),
            "{text}"
        );
    }

    #[test]
    fn a_table_without_room_is_refused() {
        let request = PlanRequest { descriptors: 100, ..MACHINE };
        assert!(matches!(plan_descriptors(request), Err(LimitError::NoDescriptors { .. })));
    }

    #[test]
    fn zero_shards_and_zero_connections_are_refused() {
        assert_eq!(plan(None, Some(0)), Err(LimitError::Zero { what: "shards" }));
        assert_eq!(plan(Some(0), None), Err(LimitError::Zero { what: "max-connections" }));
    }

    #[test]
    fn the_limit_of_this_process_leaves_descriptors() {
        let limit = raise_descriptor_limit();
        let available = available_descriptors();
        assert!(available > 0 && available < limit, "{available} of {limit}");
    }
}
