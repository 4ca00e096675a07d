//! permessage-deflate (RFC 7692): its parameters, and the compression of one message at a time.
//!
//! Invariant: between two messages a connection keeps nothing but its windows, and without context takeover it has none. The
//! states of the compressor and of the decompressor belong to the [`Codec`](crate::Codec), which all
//! connections of a thread share; a window is handed to them as a preset dictionary.

mod compressor;
mod decompressor;
mod negotiation;
#[cfg(test)]
mod tests;
mod window;

pub use negotiation::{Agreement, Offer};

pub(crate) use compressor::Compressor;
pub(crate) use decompressor::Decompressor;
pub(crate) use window::Window;

use crate::Role;

/// RFC 7692 §7.2.1: what ends a flushed message and is left out on the wire.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The binary logarithm of a window's size in bytes, 8 to 15 (RFC 7692 §7.1.2).
///
/// The compressor truly keeps to all of them. For 8 it works with a window of 512 bytes, of which it uses the last 250.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(std::num::NonZero<u8>);

impl WindowBits {
    /// A window of 32 KiB.
    pub const MAX: Self = match Self::new(15) {
        Some(bits) => bits,
        None => unreachable!(),
    };

    /// The number of bits, if it is 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match (bits, std::num::NonZero::new(bits)) {
            (8..=15, Some(bits)) => Some(Self(bits)),
            _ => None,
        }
    }

    /// The number of bits, 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The size of the window in bytes, 256 to 32,768.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0.get()
    }
}

/// How the messages of one direction are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether a message may refer to those before it. Both ends then keep a window of the connection.
    pub context_takeover: bool,
    /// How far back the sender refers at most.
    pub window_bits: WindowBits,
}

impl Direction {
    /// Every message stands for itself.
    pub const ALONE: Self = Self { context_takeover: false, window_bits: WindowBits::MAX };

    /// Bytes that the window takes in each end while the connection is open.
    #[must_use]
    pub const fn window_bytes(self) -> usize {
        if self.context_takeover { self.window_bits.bytes() } else { 0 }
    }

    fn window(self) -> Option<Window> {
        self.context_takeover.then(|| Window::new(self.window_bits))
    }
}

/// How both directions of a connection are compressed: what an end is ready for, or what both agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerMessageDeflate {
    /// Messages from the server.
    pub server: Direction,
    /// Messages from the client.
    pub client: Direction,
}

impl PerMessageDeflate {
    /// No context takeover in either direction: a connection needs no memory for compression.
    pub const SHARED: Self = Self { server: Direction::ALONE, client: Direction::ALONE };

    /// Context takeover in both directions, each with a window of that size if the peer allows it.
    #[must_use]
    pub const fn dedicated(window_bits: WindowBits) -> Self {
        let direction = Direction { context_takeover: true, window_bits };
        Self { server: direction, client: direction }
    }

    /// Bytes that the windows take in each end while the connection is open: 0 to 65,536.
    #[must_use]
    pub const fn window_bytes(&self) -> usize {
        self.server.window_bytes() + self.client.window_bytes()
    }

    /// How an end compresses what it sends.
    pub(crate) const fn sent_by(self, role: Role) -> Direction {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }
}

/// The windows of a connection with context takeover.
#[derive(Debug)]
pub(crate) struct Windows {
    /// What this end sent.
    pub(crate) sent: Option<Window>,
    /// What this end received.
    pub(crate) received: Option<Window>,
}

impl Windows {
    /// The windows of the end `role`.
    pub(crate) fn new(deflate: PerMessageDeflate, role: Role) -> Self {
        let (client, server) = (deflate.client.window(), deflate.server.window());
        match role {
            Role::Server => Self { sent: server, received: client },
            Role::Client => Self { sent: client, received: server },
        }
    }
}
