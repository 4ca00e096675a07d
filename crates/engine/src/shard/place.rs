//! What a shard is given when it starts. Invariant: nothing in it belongs to one shard alone.

use std::sync::Arc;

use crate::config::Config;
use crate::edge::Edge;
use crate::remote::Mailbox;
use crate::shared::Shared;

/// What a shard shares with the others of its engine.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) shards: usize,
    pub(crate) config: Arc<Config>,
    /// What the connections of each listener begin with.
    pub(crate) edges: Arc<[Edge]>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: Arc<Mailbox>,
}
