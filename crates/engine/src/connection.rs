//! One connection of a shard: its entry in the table and what it is doing.
//!
//! ```text
//!  accepted                 101 sent                Close both ways, failed or lost         written out
//!     │    ┌─────────────┐ ────────► ┌──────┐ ──────────────────────────► ┌────────┐ ────────► ┌─────────┐
//!     └──► │ Handshaking │           │ Open │                             │ Ending │           │ Closing │ ──► Vacant
//!          └─────────────┘ ────────────────────────────────────────────► └────────┘ ────────► └─────────┘
//!                            refused                                        linger over, end of stream
//! ```
//! Invariant: an idle open connection owns no heap memory of the engine. What it needs only now and then is behind one
//! pointer ([`Rare`]) and freed with its last use.

mod rare;
mod session;
mod table;

use std::ops::Range;

use gannet_driver::PeerAddress;
use gannet_proto::handshake::HeadScanner;
use gannet_proto::{CloseCode, ProtocolError};

pub(crate) use self::rare::{Account, Rare};
pub(crate) use self::session::{Caller, Session};
pub(crate) use self::table::Connections;
use crate::handler::Closed;

/// What a shard knows of a slot: its hot cache line.
#[derive(Debug)]
pub(crate) struct Entry<S> {
    pub(crate) generation: u32,
    /// Milliseconds of the shard's clock: the last sign of life or the ping after it while open, the start of the phase
    /// otherwise.
    pub(crate) since_ms: u32,
    pub(crate) phase: Phase<S>,
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) enum Phase<S> {
    /// The slot is free.
    Vacant,
    /// The opening handshake: waiting for the whole request head. Behind a pointer, because it is larger than what
    /// nearly all connections are: open.
    Handshaking(Box<Handshake>),
    /// The WebSocket connection, closing handshake included.
    Open(Session<S>),
    /// No WebSocket (any more): what waits is written out, then the write side is shut and the peer's end awaited.
    Ending(Ending),
    /// The driver was told to close; its last completion is awaited.
    Closing,
}

/// An opening handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) peer: PeerAddress,
    /// Which listener accepted it.
    pub(crate) listener: u8,
    pub(crate) scanner: HeadScanner,
    /// What came of a request head that did not come in one piece.
    pub(crate) head: Vec<u8>,
}

/// A connection on its way out.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) write_shut: bool,
    pub(crate) read_ended: bool,
    /// Bytes received and thrown away.
    pub(crate) discarded: usize,
    /// A response to a plain request, which may take its time as long as the peer reads on.
    pub(crate) is_download: bool,
}

/// How a session ended, for `on_close`.
#[derive(Debug)]
pub(crate) struct End {
    code: CloseCode,
    reason: Box<str>,
    was_clean: bool,
}

impl End {
    pub(crate) fn lost() -> Self {
        Self { code: CloseCode::ABNORMAL, reason: Box::from(""), was_clean: false }
    }

    /// Cut to free the memory that waits for it.
    pub(crate) fn shed() -> Self {
        let reason = "the server needs the memory that waits for this connection: try again later";
        Self { code: CloseCode::TRY_AGAIN_LATER, reason: Box::from(reason), was_clean: false }
    }

    pub(crate) fn failed(error: ProtocolError) -> Self {
        Self { code: error.close_code(), reason: error.to_string().into(), was_clean: false }
    }

    /// The same end, but what was to be sent with it is lost.
    pub(crate) fn unsent(self) -> Self {
        Self { was_clean: false, ..self }
    }

    #[cold]
    pub(crate) fn by_peer(close: &gannet_proto::Close<'_>) -> Self {
        let code = close.code.unwrap_or(CloseCode::NO_STATUS_RECEIVED);
        Self { code, reason: close.reason.into(), was_clean: true }
    }

    pub(crate) const fn code(&self) -> CloseCode {
        self.code
    }

    pub(crate) const fn was_clean(&self) -> bool {
        self.was_clean
    }

    pub(crate) fn as_closed(&self) -> Closed<'_> {
        Closed { code: self.code, reason: &self.reason, was_clean: self.was_clean }
    }
}

/// What serving received bytes came to.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where in the received bytes the in-place replies are.
    pub(crate) replies: Range<usize>,
    pub(crate) end: Option<End>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_user_state_has_at_most_48_bytes() {
        assert!(size_of::<Entry<()>>() <= 48, "{}", size_of::<Entry<()>>());
    }
}
