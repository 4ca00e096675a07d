//! Looking at the connections of a running engine.
//!
//! Invariant: a shard answers from its own table, and asks the kernel only about the connections that it names.

use std::cmp::Reverse;

use crate::remote::ConnectionId;

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// The connection for which the most bytes wait.
    #[default]
    Buffered,
    /// The oldest connection.
    Age,
    /// The connection that sent the most messages in its last second.
    Messages,
}

/// Which connections to name. The default names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspect {
    /// What comes first.
    pub sort: SortBy,
    /// At most so many.
    pub limit: usize,
}

/// What is known of one open WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Its name.
    pub id: ConnectionId,
    /// The address of the client, if proxies are trusted to tell it or it is counted by address; that of the peer otherwise.
    pub client: String,
    /// The remote end of the socket.
    pub peer: String,
    /// The path, as the handler describes it.
    pub path: String,
    /// The subprotocol, as the handler describes it.
    pub subprotocol: String,
    /// Milliseconds since it was opened, in whole seconds.
    pub age_ms: u64,
    /// Messages received in the last second in which there were any.
    pub messages: u32,
    /// Bytes that wait in its outbox and its unfinished message.
    pub buffered_bytes: usize,
    /// The round-trip time in microseconds, from the kernel.
    pub rtt_us: Option<u32>,
    /// Bytes that the kernel holds for the peer, unsent or not acknowledged.
    pub unsent_bytes: Option<u32>,
}

/// What a handler tells of a connection for whoever looks at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Description<'a> {
    /// The path of the route that serves it.
    pub path: &'a str,
    /// The subprotocol that was chosen.
    pub subprotocol: &'a str,
}

impl Inspect {
    /// Puts what comes first in front and takes off what is too much.
    pub(crate) fn order(&self, found: &mut Vec<ConnectionInfo>) {
        found.sort_by_key(|info| {
            (Reverse(self.rank(info.buffered_bytes, info.age_ms, info.messages)), info.id)
        });
        found.truncate(self.limit);
    }

    /// The larger, the further in front.
    pub(crate) const fn rank(&self, buffered_bytes: usize, age_ms: u64, messages: u32) -> u64 {
        match self.sort {
            SortBy::Buffered => buffered_bytes as u64,
            SortBy::Age => age_ms,
            SortBy::Messages => messages as u64,
        }
    }
}
