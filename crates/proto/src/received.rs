//! The bytes that one receive lends to a connection, and the replies written over them.

use std::ops::Range;

use crate::frame::{self, Header, Opcode};
use crate::mask;

/// Size of a masking key in bytes.
const KEY_LEN: usize = 4;

/// Pings of one receive that are answered each; of those that follow only the last is (RFC 6455 §5.5.3).
pub(crate) const PINGS_ANSWERED_MAX: usize = 16;

/// Where replies begin. The header of a reply is shorter by the masking key, so with this much left out in front the
/// payload of the first frame can stay where it is.
const REPLIES_START: usize = KEY_LEN;

/// The bytes that one receive lends to a connection. Replies are written over what was already parsed, so
/// they leave from the same memory.
///
/// Invariant: once a frame was parsed, `REPLIES_START <= replies_end <= parsed <= bytes.len()`.
/// `bytes[REPLIES_START..replies_end]` are finished reply frames, `bytes[parsed..]` is not parsed yet. The replies go on
/// the wire *before* everything in `out`; once `out` is not empty, replies are appended to `out`.
#[derive(Debug)]
pub struct Received<'b> {
    bytes: &'b mut [u8],
    replies_end: usize,
    parsed: usize,
    pings: usize,
}

/// Where a payload lies in the lent bytes, and the reply header's room in front of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    room_start: usize,
    payload_start: usize,
    payload_len: usize,
}

/// The room for the header of a reply, in front of a lent payload: as long as the header is. Empty if the reply cannot
/// be in place.
#[derive(Debug)]
pub(crate) struct ReplyRoom<'a> {
    room: &'a mut [u8],
    replies_end: &'a mut usize,
}

impl<'b> Received<'b> {
    /// Lends `bytes`: what was kept of earlier bytes, followed by what was received.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, replies_end: REPLIES_START, parsed: 0, pings: 0 }
    }

    /// Where in the lent bytes the reply frames are, to be sent before everything in `out`; empty without replies.
    #[must_use]
    #[inline]
    pub fn reply_range(&self) -> Range<usize> {
        if self.replies_end == REPLIES_START { 0..0 } else { REPLIES_START..self.replies_end }
    }

    /// The reply frames.
    #[must_use]
    #[inline]
    pub fn replies(&self) -> &[u8] {
        &self.bytes[self.reply_range()]
    }

    /// The tail that waits for more bytes: a cut header or a cut control frame. The caller keeps it and puts it
    /// in front of the next bytes.
    #[must_use]
    #[inline]
    pub fn unparsed(&self) -> &[u8] {
        &self.bytes[self.parsed..]
    }

    /// Whether the next `len` bytes are here.
    #[inline]
    pub(crate) fn has(&self, len: usize) -> bool {
        self.parsed + len <= self.bytes.len()
    }

    /// Drops all bytes that are not parsed.
    pub(crate) fn skip_all(&mut self) {
        self.parsed = self.bytes.len();
    }

    /// Parses past a header.
    pub(crate) fn skip_header(&mut self, header_len: usize) {
        self.parsed += header_len;
    }

    /// Takes up to `len_max` bytes of a payload that is cut.
    pub(crate) fn take_payload(&mut self, len_max: u64) -> &mut [u8] {
        let available = &mut self.bytes[self.parsed..];
        let len = usize::try_from(len_max).map_or(available.len(), |len_max| len_max.min(available.len()));
        self.parsed += len;
        &mut available[..len]
    }

    /// Counts a Ping; returns whether so few came in this receive that each is answered.
    pub(crate) fn admits_ping(&mut self) -> bool {
        self.pings += 1;
        self.pings <= PINGS_ANSWERED_MAX
    }

    /// Parses past a frame that is here as a whole; what it was masked with is undone.
    pub(crate) fn place(&mut self, header_len: usize, payload_len: usize, key: Option<[u8; 4]>) -> Placed {
        let Some(key) = key else {
            let start = self.parsed + header_len;
            self.parsed = start + payload_len;
            return Placed { room_start: start, payload_start: start, payload_len };
        };
        let room_start = self.replies_end;
        self.take_masked(header_len, payload_len, key);
        Placed { room_start, payload_start: room_start + header_len - KEY_LEN, payload_len }
    }

    /// Takes a masked frame that is here as a whole. The payload is unmasked and moved to where it lies right behind
    /// the header of its own reply, so that the replies of many frames are contiguous.
    #[inline]
    pub(crate) fn take_masked(
        &mut self,
        header_len: usize,
        payload_len: usize,
        key: [u8; 4],
    ) -> (&[u8], ReplyRoom<'_>) {
        let end = self.parsed + header_len + payload_len;
        let place = &mut self.bytes[self.replies_end..end];
        self.parsed = end;
        // A reply has no key, so its header is four bytes shorter and a later payload moves left.
        let (room, window) = place.split_at_mut(header_len - KEY_LEN);
        // Strict, so that this one check serves all slices of the window.
        let shift = window.len().strict_sub(payload_len);
        mask::unmask_left(window, shift, key);
        (&window[..payload_len], ReplyRoom { room, replies_end: &mut self.replies_end })
    }

    /// Lends a placed payload and the room in front of it.
    pub(crate) fn lend(&mut self, placed: Placed) -> (&[u8], ReplyRoom<'_>) {
        let (front, back) = self.bytes.split_at_mut(placed.payload_start);
        let room = &mut front[placed.room_start..];
        (&back[..placed.payload_len], ReplyRoom { room, replies_end: &mut self.replies_end })
    }
}

impl ReplyRoom<'_> {
    /// Makes a reply of the payload by writing its header in front of it. Returns whether there was room.
    #[inline]
    pub(crate) fn reply(self, opcode: Opcode, payload_len: usize) -> bool {
        // Two bytes of room are in front of a payload of less than 126 bytes only.
        if let [first, second] = &mut *self.room {
            *first = frame::FIN | opcode as u8;
            *second = payload_len as u8;
            *self.replies_end += 2 + payload_len;
            return true;
        }
        let header = Header {
            fin: true,
            compressed: false,
            opcode,
            masking_key: None,
            payload_len: payload_len as u64,
        };
        if self.room.len() != frame::header_len(header.payload_len, false) {
            return false;
        }
        frame::encode_header(self.room, &header);
        *self.replies_end += self.room.len() + payload_len;
        true
    }
}
