//! One simulated connection, seen from both ends: the bytes on their way in each direction and how each direction ends.
//!
//! Invariant: bytes leave a direction in the order they entered it, and its end comes after them. A link takes no
//! decision by chance; how much moves at a time is an argument.

use std::collections::VecDeque;
use std::io;

use crate::ReceiveEnd;

/// What the receive window of a peer holds at first, in bytes.
const WINDOW_BYTES: usize = 128 * 1024;

/// How a connection ends that was reset.
const RESET: ReceiveEnd = ReceiveEnd::Failed(io::ErrorKind::ConnectionReset);

/// Who holds the server's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody yet: the connection waits to be accepted.
    Waiting,
    /// The driver.
    Open,
    /// Nobody any more.
    Closed,
}

/// Whether the driver receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Armed,
    Paused,
    /// `ReceiveEnded` was delivered.
    Ended,
}

/// A send that the peer's window has not taken whole.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) buffer: Vec<u8>,
    pub(super) sent: usize,
}

#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    receiving: Receiving,
    /// Sent by the peer and not received by the driver.
    unread: VecDeque<u8>,
    /// How the peer's stream ends behind `unread`.
    peer_end: Option<ReceiveEnd>,
    /// The send of the driver that is in flight.
    pub(super) in_flight: Option<InFlight>,
    /// Sent by the driver and not taken by the peer.
    arrived: Vec<u8>,
    /// How many bytes `arrived` may hold.
    window_bytes: usize,
    /// How the stream to the peer ends behind `arrived`.
    server_end: Option<ReceiveEnd>,
}

/// The end of the driver.
impl Link {
    /// A connection that waits to be accepted.
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Waiting,
            receiving: Receiving::Armed,
            unread: VecDeque::new(),
            peer_end: None,
            in_flight: None,
            arrived: Vec::new(),
            window_bytes: WINDOW_BYTES,
            server_end: None,
        }
    }

    pub(super) const fn accept(&mut self) {
        self.phase = Phase::Open;
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn can_receive(&self) -> bool {
        self.receiving == Receiving::Armed && (!self.unread.is_empty() || self.peer_end.is_some())
    }

    pub(super) fn unread_bytes(&self) -> usize {
        self.unread.len()
    }

    /// Moves bytes of the peer to `space`, as many as it takes.
    pub(super) fn receive(&mut self, space: &mut [u8]) {
        let bytes = space.len();
        for (place, byte) in space.iter_mut().zip(self.unread.drain(..bytes)) {
            *place = byte;
        }
    }

    /// The end of the peer's stream, once, if it is all that is left.
    pub(super) fn end_receiving(&mut self) -> Option<ReceiveEnd> {
        let end = self.peer_end.filter(|_| self.unread.is_empty())?;
        self.receiving = Receiving::Ended;
        Some(end)
    }

    pub(super) fn set_armed(&mut self, is_armed: bool) {
        if self.receiving != Receiving::Ended {
            self.receiving = if is_armed { Receiving::Armed } else { Receiving::Paused };
        }
    }

    /// Whether bytes can no longer reach the peer.
    pub(super) const fn is_send_broken(&self) -> bool {
        self.server_end.is_some()
    }

    /// How many bytes the peer takes now.
    pub(super) const fn room_bytes(&self) -> usize {
        self.window_bytes.saturating_sub(self.arrived.len())
    }

    /// Whether the send in flight can make progress or fail.
    pub(super) const fn can_finish_send(&self) -> bool {
        self.in_flight.is_some() && (self.is_send_broken() || self.room_bytes() > 0)
    }

    pub(super) fn deliver(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room_bytes(), "more than the window takes");
        self.arrived.extend_from_slice(bytes);
    }

    pub(super) fn shutdown_write(&mut self) {
        debug_assert!(self.in_flight.is_none(), "what is in flight would be lost");
        self.server_end.get_or_insert(ReceiveEnd::EndOfStream);
    }

    /// Gives up the end of the driver.
    pub(super) fn close(&mut self, with_reset: bool) {
        self.phase = Phase::Closed;
        self.in_flight = None;
        // RFC 9293 §3.10.4 has a close with unread bytes reset the connection, and so do kernels.
        if with_reset || !self.unread.is_empty() {
            self.server_end = Some(RESET);
        }
        self.shutdown_write();
        self.unread = VecDeque::new();
    }

    /// Ends the connection before it was accepted.
    pub(super) fn refuse(&mut self) {
        self.close(true);
    }

    /// The connection breaks: both ends learn of it, the driver after the first `kept` bytes of what is unread.
    pub(super) fn break_off(&mut self, kept: usize) {
        self.unread.truncate(kept);
        self.peer_end = Some(RESET);
        self.server_end = Some(RESET);
    }

    /// The peer's stream ends after the first `kept` bytes of what is unread.
    pub(super) fn end_early(&mut self, kept: usize) {
        if self.peer_end.is_none() {
            self.unread.truncate(kept);
            self.peer_end = Some(ReceiveEnd::EndOfStream);
        }
    }
}

/// The end of the peer.
impl Link {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.peer_end.is_some() {
            return;
        }
        match self.phase {
            Phase::Waiting | Phase::Open => self.unread.extend(bytes),
            // Nobody will ever read it, which the kernel answers with a reset.
            Phase::Closed => self.server_end = Some(RESET),
        }
    }

    pub(super) fn take_arrived(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.arrived)
    }

    pub(super) fn end_stream(&mut self) {
        self.peer_end.get_or_insert(ReceiveEnd::EndOfStream);
    }

    pub(super) fn reset(&mut self) {
        self.break_off(self.unread.len());
    }

    pub(super) const fn set_window(&mut self, bytes: usize) {
        self.window_bytes = bytes;
    }

    pub(super) const fn server_end(&self) -> Option<ReceiveEnd> {
        self.server_end
    }
}
