//! One connection of the layer: how far it has come, and what it waits for.
//!
//! ```text
//!             ┌───────┐ header read ┌──────┐ first byte 0x16 ┌─────┐ broken  ┌────────┐
//!  accepted ─►│ Proxy │────────────►│ Mute │────────────────►│ Tls │────────►│ Failed │
//!             └───────┘             └──────┘                 └─────┘         └────────┘
//!                 │ no TLS              │ plain HTTP     ┌─────────┐
//!                 ▼ passed through      └───────────────►│ Refused │
//!              (no entry)                                └─────────┘
//! ```
//! Invariant: `ReceiveEnded` is reported once, and nothing is received behind it.

use std::sync::Arc;

use gannet_driver::{PeerAddress, Token};
use rustls::ServerConfig;

use super::outgoing::Outgoing;
use super::tls::TlsStream;

/// What a connection is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// The PROXY header is awaited; so much of it has come.
    Proxy { head: Vec<u8>, tls: Option<Arc<ServerConfig>> },
    /// The first byte of TLS is awaited.
    Mute { tls: Arc<ServerConfig> },
    /// The handshake, and everything behind it. Behind a pointer, because it is much larger than the others.
    Tls(Box<TlsStream>),
    /// The peer spoke plain HTTP and was told so; what it still sends, so many bytes so far, is thrown away.
    Refused { discarded: usize },
    /// Broken; it is going to be closed.
    Failed,
}

/// A connection that does not pass through untouched.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) token: Token,
    /// For the log.
    pub(super) peer: PeerAddress,
    pub(super) stage: Stage,
    pub(super) outgoing: Outgoing,
    /// The caller has paused receiving.
    pub(super) is_paused: bool,
    /// Handshake bytes wait for their turn. The driver below is paused meanwhile, so that they do not grow.
    pub(super) is_queued: bool,
    /// `ReceiveEnded` was reported.
    pub(super) has_ended: bool,
}

impl Connection {
    pub(super) fn new(token: Token, peer: PeerAddress, stage: Stage) -> Self {
        Self {
            token,
            peer,
            stage,
            outgoing: Outgoing::default(),
            is_paused: false,
            is_queued: false,
            has_ended: false,
        }
    }

    /// Whether everything that the caller sends passes as it is: it is not TLS, or not any more.
    pub(super) const fn passes_through(&self) -> bool {
        matches!(self.stage, Stage::Proxy { tls: None, .. })
    }
}
