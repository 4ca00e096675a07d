//! The memory that waits for slow peers: counted for all connections, and given back when it is too much.
//!
//! Invariant: while it is over its budget nothing new is begun, and the connections for which the most waits go first.

use std::cmp::Reverse;

use gannet_driver::Driver;

use super::Shard;
use crate::connection::{End, Entry, Phase};
use crate::handler::Handler;

/// Connections cut in one turn, so that a turn stays short.
const CUTS_PER_TURN: usize = 64;

impl<D: Driver, H: Handler> Shard<D, H> {
    /// Whether the engine has used up its budget.
    pub(super) fn is_over_budget(&self) -> bool {
        self.shared.buffered_bytes() > self.config.buffered_bytes_max
    }

    /// Tells the other shards what waits in this one, and cuts connections if it is too much in all.
    pub(super) fn relieve(&mut self) {
        let bytes = self.account.bytes();
        if bytes != self.shared_bytes {
            self.shared.change_buffered(self.shared_bytes, bytes);
            self.shared_bytes = bytes;
        }
        if bytes > 0 && self.is_over_budget() {
            self.shed();
        }
    }

    /// Cuts the connections for which the most waits, until the engine is within its budget.
    #[cold]
    fn shed(&mut self) {
        let charged = |entry: &Entry<H::State>| match &entry.phase {
            Phase::Open(session) => session.rare.as_ref().map_or(0, |rare| rare.charged_bytes()),
            _ => 0,
        };
        let mut slowest: Vec<_> = self
            .connections
            .iter()
            .map(|(token, entry)| (charged(entry), token))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        slowest.sort_unstable_by_key(|(bytes, token)| (Reverse(*bytes), token.slot()));
        for (bytes, token) in slowest.into_iter().take(CUTS_PER_TURN) {
            if !self.is_over_budget() {
                break;
            }
            tracing::debug!(bytes, "a connection is cut: too much memory waits for slow peers");
            self.counts.shed += 1;
            self.end_session(token, End::shed());
            self.reset(token);
            let left = self.account.bytes();
            self.shared.change_buffered(self.shared_bytes, left);
            self.shared_bytes = left;
        }
    }
}

impl<D, H: Handler> Drop for Shard<D, H> {
    /// What waits in a shard that is gone waits for nobody.
    fn drop(&mut self) {
        self.shared.change_buffered(self.shared_bytes, 0);
    }
}
