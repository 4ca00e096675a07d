//! One connection of the epoll driver: its socket, what is known of its readiness, its send in flight.
//!
//! Invariant: a readiness flag is cleared only by a system call that showed the opposite, since the kernel announces
//! each change once. The line and the order of connections are the driver's; nothing here looks at another connection.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;

use crate::buffer::ReceiveBuffer;
use crate::{CloseMode, Completion, ReceiveEnd, SendOutcome, Token};

/// Facts about one connection, a bit each, so that a slot stays small.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flag {
    /// The caller wants to receive.
    Armed = 1,
    /// Bytes or an end of stream may wait in the kernel.
    ReadReady = 2,
    /// `ReceiveEnded` was delivered.
    Ended = 4,
    /// The last send was short: the socket takes no more until the kernel says so.
    WriteBlocked = 8,
    /// The kernel has announced an end of stream or an error behind the bytes that wait.
    EndAnnounced = 16,
    /// The connection stands in line.
    InLine = 32,
}

/// A send that the kernel has not taken whole.
#[derive(Debug)]
struct InFlight {
    buffer: Vec<u8>,
    sent: usize,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// `None` once closed, until `Closed` is delivered.
    stream: Option<TcpStream>,
    flags: u8,
    in_flight: Option<Box<InFlight>>,
}

impl Slot {
    /// A connection on which receiving is armed.
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), flags: Flag::Armed as u8, in_flight: None }
    }

    /// The socket, until it is closed.
    pub(super) const fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    pub(super) const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) const fn is(&self, flag: Flag) -> bool {
        self.flags & flag as u8 != 0
    }

    pub(super) const fn set(&mut self, flag: Flag) {
        self.flags |= flag as u8;
    }

    pub(super) const fn clear(&mut self, flag: Flag) {
        self.flags &= !(flag as u8);
    }

    /// Notes what the kernel has announced.
    pub(super) fn note(&mut self, event: &Event) {
        let ends = event.is_read_closed() || event.is_error();
        if ends {
            self.set(Flag::EndAnnounced);
        }
        if ends || event.is_readable() {
            self.set(Flag::ReadReady);
        }
        if event.is_writable() {
            self.clear(Flag::WriteBlocked);
        }
    }

    /// Whether the caller wants to receive and something may wait.
    pub(super) const fn can_receive(&self) -> bool {
        self.is(Flag::Armed) && self.is(Flag::ReadReady) && !self.is(Flag::Ended)
    }

    /// Reads once if it can. [`Flag::ReadReady`] stays set if more may wait.
    pub(super) fn receive(&mut self, token: Token, buffer: &mut ReceiveBuffer) -> Option<Completion> {
        if !self.can_receive() {
            return None;
        }
        let stream = self.stream.as_mut()?;
        let space = buffer.space();
        let room = space.len();
        let received = loop {
            match stream.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match received {
            Ok(0) => Some(self.end_receiving(token, ReceiveEnd::EndOfStream)),
            Ok(bytes) => {
                buffer.set_received(bytes);
                if bytes < room && !self.is(Flag::EndAnnounced) {
                    self.clear(Flag::ReadReady);
                }
                Some(Completion::Received { token, bytes })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flag::ReadReady);
                None
            }
            Err(error) => Some(self.end_receiving(token, ReceiveEnd::Failed(error.kind()))),
        }
    }

    fn end_receiving(&mut self, token: Token, end: ReceiveEnd) -> Completion {
        self.set(Flag::Ended);
        Completion::ReceiveEnded { token, end }
    }

    /// Sends `buffer[from..]`, or parks it while the socket is full.
    pub(super) fn send(&mut self, buffer: Vec<u8>, from: usize) -> SendOutcome {
        match self.write(&buffer[from..]) {
            Ok(written) if from + written == buffer.len() => SendOutcome::Sent(buffer),
            Ok(written) => self.park(buffer, from + written),
            Err(_) => SendOutcome::Failed,
        }
    }

    /// Sends borrowed bytes; only what the socket does not take is copied.
    pub(super) fn send_borrowed(&mut self, bytes: &[u8]) -> SendOutcome {
        match self.write(bytes) {
            Ok(written) if written == bytes.len() => SendOutcome::Sent(Vec::new()),
            Ok(written) => self.park(bytes[written..].to_vec(), 0),
            Err(_) => SendOutcome::Failed,
        }
    }

    /// Sends more of what is in flight if the socket takes bytes again.
    pub(super) fn finish_send(&mut self, token: Token) -> Option<Completion> {
        let mut in_flight = self.in_flight.take()?;
        let sent = match self.write(&in_flight.buffer[in_flight.sent..]) {
            Ok(0) => {
                self.in_flight = Some(in_flight);
                return None;
            }
            Ok(written) => {
                in_flight.sent += written;
                Ok(in_flight.sent)
            }
            Err(error) => Err(error.kind()),
        };
        Some(Completion::Sent { token, buffer: in_flight.buffer, sent })
    }

    /// Writes once, unless the socket is known to be full; `Ok` with less than all means that it is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is(Flag::WriteBlocked) {
            return Ok(0);
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let written = loop {
            match stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                other => break other?,
            }
        };
        if written < bytes.len() {
            self.set(Flag::WriteBlocked);
        }
        Ok(written)
    }

    fn park(&mut self, buffer: Vec<u8>, sent: usize) -> SendOutcome {
        debug_assert!(self.in_flight.is_none(), "at most one send is in flight");
        let bytes = buffer.len() - sent;
        self.in_flight = Some(Box::new(InFlight { buffer, sent }));
        SendOutcome::InFlight { bytes }
    }

    /// Closes the write side.
    pub(super) fn shutdown_write(&self) {
        debug_assert!(self.in_flight.is_none(), "what is in flight would be lost");
        if let Some(stream) = &self.stream {
            // It fails only when the connection is broken already, which `ReceiveEnded` reports.
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    /// Closes the socket and drops what is in flight.
    pub(super) fn close(&mut self, mode: CloseMode) {
        if let Some(stream) = self.stream.take()
            && mode == CloseMode::Reset
        {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).ok();
        }
        self.in_flight = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_takes_16_bytes() {
        // With debug assertions mio adds the identity of the selector to each socket.
        let selector_id = if cfg!(debug_assertions) { 16 } else { 0 };
        assert_eq!(size_of::<Slot>(), 16 + selector_id);
    }
}
