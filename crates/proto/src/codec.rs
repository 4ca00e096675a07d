//! What the connections of a thread share. Invariant: nothing in it belongs to a connection between two calls.

use crate::deflate::{Compressor, Decompressor, Window, WindowBits};
use crate::{Config, ProtocolError};

/// The limits of connections and the state of their compression. One `Codec` serves all connections of a thread, so that
/// none of them needs a compressor of its own.
///
/// It owns no compression state until a message is compressed or decompressed.
#[derive(Debug)]
pub struct Codec {
    pub(crate) config: Config,
    pub(crate) compressor: Compressor,
    decompressor: Decompressor,
}

impl Codec {
    /// A codec with these limits.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let compressor = Compressor::new(config.compression_level);
        Self { config, compressor, decompressor: Decompressor::default() }
    }

    /// The limits.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Gives up the state of compression: after a panic, which may have come from the middle of it.
    pub fn reset(&mut self) {
        *self = Self::new(self.config.clone());
    }

    /// The payload of a compressed frame for this message, unless it is sent as it is.
    pub(crate) fn compress(
        &mut self,
        message: &[u8],
        bits: WindowBits,
        window: Option<&mut Window>,
    ) -> Option<&[u8]> {
        // An empty message cannot get shorter.
        if message.len() < self.config.compressed_bytes_min.max(1) {
            return None;
        }
        self.compressor.compress(message, bits, window)
    }

    /// A compressed message behind `room` bytes of zero.
    pub(crate) fn decompress(
        &mut self,
        payload: &[u8],
        window: Option<&mut Window>,
        room: usize,
    ) -> Result<Vec<u8>, ProtocolError> {
        self.decompressor.decompress(payload, window, self.config.message_bytes_max, room)
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::new(Config::default())
    }
}
