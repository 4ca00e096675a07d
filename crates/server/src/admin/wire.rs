//! What the admin listener says in JSON, written by the server and read by `gannet top`.
//!
//! Invariant: a field is never renamed and never changes its unit; new ones may be added.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The answer to `GET /connections`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connections {
    /// The first ones in the order asked for.
    pub(crate) connections: Vec<ConnectionRow>,
}

/// One connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConnectionRow {
    /// Shard, slot and generation: what `POST /connections/ID/close` wants.
    pub(crate) id: String,
    /// Who it is, as trusted proxies say.
    pub(crate) client: String,
    /// The other end of the socket.
    pub(crate) peer: String,
    pub(crate) path: String,
    /// Empty if none was chosen.
    pub(crate) subprotocol: String,
    /// Since the connection was opened.
    pub(crate) age_ms: u64,
    /// Messages received in the last second that was counted.
    pub(crate) messages_per_s: u32,
    /// Bytes that wait in the server for the kernel to take them.
    pub(crate) buffered_bytes: usize,
    /// The smoothed round-trip time that the kernel measured; none for a Unix socket.
    pub(crate) rtt_us: Option<u32>,
    /// Bytes that the kernel has not sent, or that were not acknowledged; none where it does not say.
    pub(crate) unsent_bytes: Option<u32>,
}

/// The order of `GET /connections`, always the largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// By bytes that wait in the server.
    #[default]
    Buffered,
    /// By age.
    Age,
    /// By messages received per second.
    Messages,
}

impl Sort {
    pub(crate) const ALL: [Self; 3] = [Self::Buffered, Self::Age, Self::Messages];

    /// As in `?sort=`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Age => "age",
            Self::Messages => "messages",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name() == name)
    }

    /// The one after this, and after the last the first.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Buffered => Self::Age,
            Self::Age => Self::Messages,
            Self::Messages => Self::Buffered,
        }
    }
}

/// The body of `POST /connections/ID/close`, which may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseRequest {
    /// The close code (RFC 6455 §7.4), 1001 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    /// Up to 123 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}
