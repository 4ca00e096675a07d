//! The receive buffer: one per driver, lent to one connection at a time.
//!
//! ```text
//!   | … headroom … | tail | received …            | spare |
//!                  ^ view ^ receive point
//! ```
//! Invariant: the receive point never moves, so the kernel copies to an address that is 64-byte aligned and lies in the
//! middle of a page. Zen 3 and 4 copy with `rep movsb` 15 to 25 times slower when the offsets of source and destination
//! inside their pages differ by 1 to 15 bytes; a tail therefore goes in front of the receive point instead of moving it.

use std::ops::Range;

/// The most that one receive takes, in bytes: a 64 KiB message with its header fits, and it is the read budget of a
/// connection in one turn.
pub const RECEIVE_BYTES_MAX: usize = 256 * 1024;

/// The longest tail that fits in front of the received bytes, in bytes: a TLS record that lacks its last byte, and more.
/// Pages that no tail needs are never touched.
pub const HEADROOM_BYTES: usize = 20 * 1024;

const PAGE_BYTES: usize = 4096;
/// Where in its page the receive point lies.
const POINT_IN_PAGE: usize = 1024;

/// A receive buffer with room for a tail in front.
#[derive(Debug)]
pub struct ReceiveBuffer {
    memory: Vec<u8>,
    point: usize,
    space_bytes: usize,
    received: usize,
    tail: usize,
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiveBuffer {
    /// An empty buffer for [`RECEIVE_BYTES_MAX`] bytes; the kernel gives it memory as it is touched.
    #[must_use]
    pub fn new() -> Self {
        Self::with_space(RECEIVE_BYTES_MAX)
    }

    /// An empty buffer for `space_bytes` behind the receive point.
    #[must_use]
    pub fn with_space(space_bytes: usize) -> Self {
        let memory = vec![0; HEADROOM_BYTES + space_bytes + 2 * PAGE_BYTES];
        let point = memory.as_ptr().align_offset(PAGE_BYTES) + HEADROOM_BYTES + POINT_IN_PAGE;
        Self { memory, point, space_bytes, received: 0, tail: 0 }
    }

    /// Where the kernel may write: [`RECEIVE_BYTES_MAX`] bytes, unless it was made with another number.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.memory[self.point..self.point + self.space_bytes]
    }

    /// Notes that `bytes` were written to the front of [`Self::space`], and forgets the tail.
    pub fn set_received(&mut self, bytes: usize) {
        self.received = bytes;
        self.tail = 0;
    }

    /// Puts `bytes` behind what was received, and forgets the tail.
    ///
    /// # Panics
    /// If there is no space left for them.
    pub fn append(&mut self, bytes: &[u8]) {
        let start = self.received;
        self.space()[start..start + bytes.len()].copy_from_slice(bytes);
        self.set_received(start + bytes.len());
    }

    /// How many bytes were received.
    #[must_use]
    pub const fn received_bytes(&self) -> usize {
        self.received
    }

    /// `tail` and the received bytes behind it.
    ///
    /// # Panics
    /// If `tail` is longer than [`HEADROOM_BYTES`].
    pub fn view(&mut self, tail: &[u8]) -> &mut [u8] {
        let start = self.point - tail.len();
        self.memory[start..self.point].copy_from_slice(tail);
        self.tail = tail.len();
        &mut self.memory[start..self.point + self.received]
    }

    /// A part of the last [`view`](Self::view).
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> &[u8] {
        debug_assert!(range.end <= self.tail + self.received, "only what was received can be sent back");
        let start = self.point - self.tail;
        &self.memory[start + range.start..start + range.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receive_point_is_aligned_whatever_tail_is_put_in_front() {
        let mut buffer = ReceiveBuffer::new();
        assert_eq!(buffer.space().as_ptr() as usize % PAGE_BYTES, POINT_IN_PAGE);
        buffer.space()[..3].copy_from_slice(b"def");
        buffer.set_received(3);
        assert_eq!(buffer.view(b"abc"), b"abcdef");
        assert_eq!(buffer.space().as_ptr() as usize % PAGE_BYTES, POINT_IN_PAGE);
        assert_eq!(buffer.part(1..4), b"bcd");
    }

    #[test]
    fn what_is_appended_lies_behind_what_was_received_up_to_the_end_of_the_space() {
        let mut buffer = ReceiveBuffer::with_space(5);
        buffer.append(b"ab");
        buffer.view(b"tail");
        buffer.append(b"cde");
        assert_eq!(buffer.view(b""), b"abcde");
        assert_eq!(buffer.received_bytes(), 5);
    }

    #[test]
    fn a_new_receive_forgets_the_tail_of_the_last() {
        let mut buffer = ReceiveBuffer::new();
        buffer.set_received(1);
        buffer.view(b"xy");
        buffer.space()[..2].copy_from_slice(b"ab");
        buffer.set_received(2);
        assert_eq!(buffer.part(0..2), b"ab");
    }
}
