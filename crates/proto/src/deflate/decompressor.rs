//! DEFLATE to messages. Invariant: no more is written than the limit and one byte, and what does not end as
//! RFC 7692 §7.2.1 demands is refused.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Window, WindowBits};
use crate::ProtocolError;

/// RFC 7692 §7.2.2: the four bytes that the sender left out; behind them a last empty block. The stream ends with it, and
/// yields nothing more, exactly if the payload was complete and ended on a byte boundary.
const TRAILER: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];
/// Blocks with BFINAL = 1 in one message: each costs a new start with a dictionary of up to 32 KiB.
const FINAL_BLOCKS_MAX: usize = 64;
/// The first guess at the size of a message is its compressed size times this.
const EXPECTED_RATIO: usize = 4;
/// But at least this.
const FIRST_BYTES_MIN: usize = 512;

/// The state of the decompressor: made when first needed.
#[derive(Default)]
pub(crate) struct Decompressor {
    state: Option<Inflate>,
}

impl Decompressor {
    /// Decompresses the whole payload of a message behind `room` bytes of zero. Exactly `limit` bytes pass.
    pub(crate) fn decompress(
        &mut self,
        payload: &[u8],
        window: Option<&mut Window>,
        limit: usize,
        room: usize,
    ) -> Result<Vec<u8>, ProtocolError> {
        let state = self.state.get_or_insert_with(|| Inflate::new(false, WindowBits::MAX.get()));
        state.reset(false);
        let history = window.as_deref().map_or(&[][..], Window::as_bytes);
        set_dictionary(state, history)?;
        let mut output = Output::new(payload.len(), limit, room);
        let mut rest = payload;
        for _ in 0..FINAL_BLOCKS_MAX {
            let is_at_end = output.fill_from(state, &mut rest)?;
            if !is_at_end {
                output.check_end(state)?;
                let bytes = output.into_bytes();
                if let Some(window) = window {
                    window.push(&bytes[room..]);
                }
                return Ok(bytes);
            }
            // RFC 7692 §7.2.1: blocks with BFINAL = 1 are legal, and others may follow on the next byte.
            state.reset(false);
            set_dictionary(state, &output.history(history))?;
        }
        Err(ProtocolError::TooManyFinalBlocks { limit: FINAL_BLOCKS_MAX as u64 })
    }
}

fn set_dictionary(state: &mut Inflate, history: &[u8]) -> Result<(), ProtocolError> {
    if !history.is_empty() {
        state.set_dictionary(history).map_err(|_| ProtocolError::InvalidDeflate)?;
    }
    Ok(())
}

/// A message that is being decompressed: `bytes[..filled]` is done, the rest is room.
struct Output {
    bytes: Vec<u8>,
    filled: usize,
    room: usize,
    /// The largest size with the room and one byte beyond the limit.
    bytes_max: usize,
}

impl Output {
    fn new(payload_len: usize, limit: usize, room: usize) -> Self {
        let bytes_max = limit.saturating_add(room).saturating_add(1);
        let guess = payload_len.saturating_mul(EXPECTED_RATIO).max(FIRST_BYTES_MIN);
        Self { bytes: vec![0; guess.saturating_add(room).min(bytes_max)], filled: room, room, bytes_max }
    }

    /// Decompresses `rest`; returns whether a block with BFINAL = 1 ended before its end or at it.
    fn fill_from(&mut self, state: &mut Inflate, rest: &mut &[u8]) -> Result<bool, ProtocolError> {
        loop {
            let (status, is_full) = self.step(state, rest)?;
            if status == Status::StreamEnd {
                return Ok(true);
            }
            if !is_full {
                // All of the input was taken: the decompressor stops early only for want of room.
                return Ok(false);
            }
            self.grow();
        }
    }

    /// One call of the decompressor: what it said, and whether it used up the room.
    fn step(&mut self, state: &mut Inflate, rest: &mut &[u8]) -> Result<(Status, bool), ProtocolError> {
        let (taken, given) = (state.total_in(), state.total_out());
        let status = state
            .decompress(rest, &mut self.bytes[self.filled..], InflateFlush::SyncFlush)
            .map_err(|_| ProtocolError::InvalidDeflate)?;
        *rest = &rest[(state.total_in() - taken) as usize..];
        self.filled += (state.total_out() - given) as usize;
        if self.filled == self.bytes_max {
            let limit = (self.bytes_max - self.room - 1) as u64;
            return Err(ProtocolError::MessageTooBig { bytes: limit + 1, limit });
        }
        Ok((status, self.filled == self.bytes.len()))
    }

    fn grow(&mut self) {
        let size = self.bytes.len().saturating_mul(2).min(self.bytes_max);
        self.bytes.resize(size, 0);
    }

    /// The payload must have ended on a byte boundary between two blocks, with the header of an empty one.
    fn check_end(&mut self, state: &mut Inflate) -> Result<(), ProtocolError> {
        if self.filled == self.bytes.len() {
            self.grow();
        }
        let filled = self.filled;
        let mut rest = &TRAILER[..];
        let (status, _) = self.step(state, &mut rest)?;
        if status == Status::StreamEnd && rest.is_empty() && self.filled == filled {
            Ok(())
        } else {
            Err(ProtocolError::InvalidDeflate)
        }
    }

    /// The last bytes before what comes next.
    fn history(&self, before: &[u8]) -> Vec<u8> {
        let message = &self.bytes[self.room..self.filled];
        let max = WindowBits::MAX.bytes();
        let message = &message[message.len().saturating_sub(max)..];
        let before = &before[(before.len() + message.len()).saturating_sub(max).min(before.len())..];
        [before, message].concat()
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("is_made", &self.state.is_some()).finish_non_exhaustive()
    }
}
