//! Messages to DEFLATE. Invariant: every message begins with a reset state and ends on a byte boundary, so one state
//! serves all connections with the same window size.

use std::fmt;

use zlib_rs::{Deflate, DeflateFlush, Status, compress_bound};

use super::{TAIL, Window, WindowBits};

/// The smallest window that zlib works with. It refers back at most 2^9 - 262 = 250 bytes, so its output also fits
/// into a window of 8 bits.
const WORKING_BITS_MIN: u8 = 9;
/// What a flush adds to a message at most: the rest of a byte, and an empty block.
const FLUSH_BYTES_MAX: usize = 8;
/// A buffer larger than this is given back to the allocator once its message was written.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The states of the compressor, one for each window size in use: made when first needed.
pub(crate) struct Compressor {
    level: u8,
    states: [Option<Deflate>; 7],
    compressed: Vec<u8>,
}

impl Compressor {
    pub(crate) const fn new(level: u8) -> Self {
        Self { level, states: [const { None }; 7], compressed: Vec::new() }
    }

    /// Compresses a message as RFC 7692 §7.2.1 has it, or nothing if that does not make it shorter. Only a message
    /// that was compressed moves the window on.
    pub(crate) fn compress(
        &mut self,
        message: &[u8],
        bits: WindowBits,
        window: Option<&mut Window>,
    ) -> Option<&[u8]> {
        // More room than is sent: a state that has output left is not fully reset by zlib-rs 0.6.8, and would spoil the
        // messages after this one.
        self.compressed.resize(compress_bound(message.len()) + FLUSH_BYTES_MAX, 0);
        let bits = bits.get().max(WORKING_BITS_MIN);
        let place = &mut self.states[usize::from(bits - WORKING_BITS_MIN)];
        let state = place.get_or_insert_with(|| Deflate::new(i32::from(self.level), false, bits));
        state.reset();
        if let Some(window) = &window
            && !window.as_bytes().is_empty()
        {
            state.set_dictionary(window.as_bytes()).ok()?;
        }
        let status = state.compress(message, &mut self.compressed, DeflateFlush::SyncFlush);
        let len = state.total_out() as usize;
        if status != Ok(Status::Ok) || len == self.compressed.len() {
            *place = None;
            return None;
        }
        if len >= message.len() + TAIL.len() {
            return None;
        }
        if let Some(window) = window {
            window.push(message);
        }
        self.compressed[..len].strip_suffix(&TAIL)
    }
}

impl Compressor {
    /// Gives a large buffer back. Called when the compressed message was written, so that none outlives its message.
    pub(crate) fn trim(&mut self) {
        if self.compressed.capacity() > KEPT_BYTES_MAX {
            self.compressed = Vec::new();
        }
    }

    /// Size of the buffer between two messages in bytes.
    #[cfg(test)]
    pub(crate) const fn kept_bytes(&self) -> usize {
        self.compressed.capacity()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states.iter().flatten().count();
        f.debug_struct("Compressor")
            .field("level", &self.level)
            .field("states", &states)
            .finish_non_exhaustive()
    }
}
