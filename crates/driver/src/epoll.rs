//! The epoll backend, over mio.
//!
//! mio registers edge-triggered, for reading and writing at once, so a connection costs one `epoll_ctl` in its life.
//! Invariant: bytes that the kernel may hold for a connection are never forgotten. A receive that was shorter than the
//! buffer has drained the socket; one that filled it, one that was put off by `pause_receive`, and one with an end of
//! stream behind it leaves [`Flag::ReadReady`] set and the connection is looked at again without waiting for an event.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll};

use crate::buffer::{HEADROOM_BYTES, ReceiveBuffer};
use crate::listener::{Accepted, Acceptor, ListenOptions, listen};
use crate::slots::{Slots, Token};
use crate::{CloseMode, Completion, Driver, DriverCounters, ReceiveEnd, SendOutcome};

/// Events taken from the kernel per turn; fewer cost more turns under load.
const EVENTS_PER_TURN: usize = 1024;
const LISTENER: mio::Token = mio::Token(usize::MAX);
const WAKER: mio::Token = mio::Token(usize::MAX - 1);

/// Wakes the driver from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Makes the next or the current `reap` return, with a [`Completion::Woken`].
    ///
    /// # Errors
    /// If the kernel refuses to write to the event descriptor.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// Everything of a driver that has to be opened before descriptor tables part: the listener (so that a port in use is
/// found at start), the poll descriptor and the waker.
#[derive(Debug)]
pub struct EpollParts {
    poll: Poll,
    waker: Waker,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl EpollParts {
    /// Opens the listener, the poll descriptor and the waker.
    ///
    /// # Errors
    /// Whatever the kernel says to `bind` and the rest: address in use, no permission, no descriptor left.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        let mut listener = listen(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let local_addr = listener.local_addr()?;
        Ok(Self { poll, waker, listener, local_addr })
    }

    /// The address really bound (a port 0 resolved).
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle that wakes the driver from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The descriptors that only the thread of the driver needs, by number.
    #[must_use]
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.poll.as_raw_fd(), self.listener.as_raw_fd()]
    }
}

/// What is to be done for a connection in this turn.
#[derive(Debug, Clone, Copy)]
struct Ready {
    token: Token,
    readable: bool,
    read_closed: bool,
    writable: bool,
}

impl Ready {
    /// Bytes may still wait although no new event announces them.
    const fn to_read_on(token: Token) -> Self {
        Self { token, readable: true, read_closed: false, writable: false }
    }
}

/// A send that the kernel has not taken whole.
#[derive(Debug)]
struct InFlight {
    buffer: Vec<u8>,
    sent: usize,
}

/// Facts about one connection, a bit each, so that a slot stays small.
#[derive(Debug, Clone, Copy)]
enum Flag {
    /// The caller wants to receive.
    Armed = 1,
    /// Bytes or an end of stream may wait in the kernel.
    ReadReady = 2,
    /// `ReceiveEnded` was delivered.
    Ended = 4,
    /// The last send was short: the socket takes no more until the kernel says so.
    WriteBlocked = 8,
    /// The peer ended the stream: the kernel says so once, perhaps together with the last bytes.
    ReadClosed = 16,
}

#[derive(Debug)]
struct Slot {
    /// `None` once closed, until `Closed` is delivered.
    stream: Option<TcpStream>,
    flags: u8,
    in_flight: Option<Box<InFlight>>,
}

impl Slot {
    const fn is(&self, flag: Flag) -> bool {
        self.flags & flag as u8 != 0
    }

    const fn set(&mut self, flag: Flag) {
        self.flags |= flag as u8;
    }

    const fn clear(&mut self, flag: Flag) {
        self.flags &= !(flag as u8);
    }

    /// Writes once; `Ok` with less than all means that the socket is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
}

/// The epoll driver of one shard.
#[derive(Debug)]
pub struct EpollDriver {
    poll: Poll,
    events: Events,
    acceptor: Acceptor,
    slots: Slots<Slot>,
    buffer: ReceiveBuffer,
    /// The work of this turn; `next` is the first entry not done.
    ready: Vec<Ready>,
    next: usize,
    /// Connections to look at again in the next turn.
    again: Vec<Ready>,
    /// Completions that need no system call.
    queue: VecDeque<Completion>,
    stale_tokens: u64,
}

impl EpollDriver {
    /// Makes a driver of its parts; to be called on the thread that will own it.
    #[must_use]
    pub fn new(parts: EpollParts, options: ListenOptions) -> Self {
        Self {
            poll: parts.poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            acceptor: Acceptor::new(parts.listener, options),
            slots: Slots::new(),
            buffer: ReceiveBuffer::new(),
            ready: Vec::with_capacity(EVENTS_PER_TURN),
            next: 0,
            again: Vec::new(),
            queue: VecDeque::new(),
            stale_tokens: 0,
        }
    }

    fn collect_events(&mut self) {
        self.next = 0;
        self.ready.clear();
        self.ready.append(&mut self.again);
        for event in &self.events {
            match event.token() {
                LISTENER => self.acceptor.on_ready(),
                WAKER => self.queue.push_back(Completion::Woken),
                mio::Token(bits) => self.ready.push(Ready {
                    token: Token::from_bits(bits),
                    readable: event.is_readable() || event.is_error(),
                    read_closed: event.is_read_closed(),
                    writable: event.is_writable(),
                }),
            }
        }
        self.acceptor.start_turn();
    }

    /// Does the work of `self.ready[self.next]`; `None` if it gave no completion.
    fn progress(&mut self) -> Option<Completion> {
        let Ready { token, readable, read_closed, writable } = self.ready[self.next];
        let Some(slot) = self.slots.get_mut(token) else {
            self.stale_tokens += 1;
            self.next += 1;
            return None;
        };
        if writable {
            slot.clear(Flag::WriteBlocked);
            if slot.in_flight.is_some() {
                self.ready[self.next].writable = false;
                return finish_send(slot, token);
            }
        }
        self.next += 1;
        if read_closed {
            slot.set(Flag::ReadClosed);
        }
        if readable || read_closed {
            slot.set(Flag::ReadReady);
        }
        self.receive(token)
    }

    fn receive(&mut self, token: Token) -> Option<Completion> {
        let slot = self.slots.get_mut(token)?;
        if !slot.is(Flag::Armed) || !slot.is(Flag::ReadReady) || slot.is(Flag::Ended) {
            return None;
        }
        let stream = slot.stream.as_mut()?;
        let space = self.buffer.space();
        let room = space.len();
        let received = loop {
            match stream.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match received {
            Ok(0) => Some(end_receiving(slot, token, ReceiveEnd::EndOfStream)),
            Ok(bytes) => {
                self.buffer.set_received(bytes);
                if bytes == room || slot.is(Flag::ReadClosed) {
                    self.again.push(Ready::to_read_on(token));
                } else {
                    slot.clear(Flag::ReadReady);
                }
                Some(Completion::Received { token, bytes })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.clear(Flag::ReadReady);
                None
            }
            Err(error) => Some(end_receiving(slot, token, ReceiveEnd::Failed(error.kind()))),
        }
    }

    fn accept(&mut self) -> Option<Completion> {
        loop {
            let Accepted::Connection(mut stream, peer) = self.acceptor.accept(self.slots.len()) else {
                return None;
            };
            let token = self.slots.next_token();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, mio::Token(token.to_bits()), interest).is_err() {
                // No memory for the epoll item: the socket is dropped, which the client sees as a close.
                self.acceptor.errors += 1;
                continue;
            }
            self.slots.insert(Slot { stream: Some(stream), flags: Flag::Armed as u8, in_flight: None });
            return Some(Completion::Accepted { token, peer });
        }
    }

    /// Resolves the token of a command, counting a stale one.
    fn command(&mut self, token: Token) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(token).filter(|slot| slot.stream.is_some());
        if slot.is_none() {
            self.stale_tokens += 1;
        }
        slot
    }
}

fn end_receiving(slot: &mut Slot, token: Token, end: ReceiveEnd) -> Completion {
    slot.set(Flag::Ended);
    Completion::ReceiveEnded { token, end }
}

/// The socket takes bytes again: sends more of what is in flight.
fn finish_send(slot: &mut Slot, token: Token) -> Option<Completion> {
    let mut in_flight = slot.in_flight.take()?;
    match slot.write(&in_flight.buffer[in_flight.sent..]) {
        Ok(0) => {
            slot.in_flight = Some(in_flight);
            None
        }
        Ok(written) => {
            in_flight.sent += written;
            Some(Completion::Sent { token, buffer: in_flight.buffer, sent: Ok(in_flight.sent) })
        }
        Err(error) => Some(Completion::Sent { token, buffer: in_flight.buffer, sent: Err(error.kind()) }),
    }
}

impl Driver for EpollDriver {
    fn reap(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let work_waits = !self.again.is_empty() || !self.queue.is_empty();
        let timeout =
            if work_waits { Some(Duration::ZERO) } else { shorter(timeout, self.acceptor.timeout()) };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            other => other?,
        }
        self.collect_events();
        Ok(())
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        if let Some(completion) = self.queue.pop_front() {
            if let Completion::Closed { token } = completion {
                self.slots.remove(token);
            }
            return Some(completion);
        }
        while self.next < self.ready.len() {
            if let Some(completion) = self.progress() {
                return Some(completion);
            }
        }
        self.accept()
    }

    fn received(&mut self, tail: &[u8]) -> &mut [u8] {
        assert!(
            tail.len() <= HEADROOM_BYTES,
            "a tail of {} bytes does not fit in {HEADROOM_BYTES}",
            tail.len()
        );
        self.buffer.view(tail)
    }

    fn send_received(&mut self, token: Token, bytes: usize) -> SendOutcome {
        let Some(slot) = self.slots.get_mut(token) else {
            self.stale_tokens += 1;
            return SendOutcome::Failed;
        };
        let front = self.buffer.front(bytes);
        if slot.is(Flag::WriteBlocked) {
            return slot.park(front.to_vec(), 0);
        }
        match slot.write(front) {
            Ok(sent) if sent == bytes => SendOutcome::Sent(Vec::new()),
            Ok(sent) => slot.park(front[sent..].to_vec(), 0),
            Err(_) => SendOutcome::Failed,
        }
    }

    fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> SendOutcome {
        let Some(slot) = self.command(token) else { return SendOutcome::Failed };
        if slot.is(Flag::WriteBlocked) {
            return slot.park(buffer, from);
        }
        match slot.write(&buffer[from..]) {
            Ok(sent) if from + sent == buffer.len() => SendOutcome::Sent(buffer),
            Ok(sent) => slot.park(buffer, from + sent),
            Err(_) => SendOutcome::Failed,
        }
    }

    fn pause_receive(&mut self, token: Token) {
        if let Some(slot) = self.command(token) {
            slot.clear(Flag::Armed);
        }
    }

    fn resume_receive(&mut self, token: Token) {
        let Some(slot) = self.command(token) else { return };
        slot.set(Flag::Armed);
        if slot.is(Flag::ReadReady) {
            self.again.push(Ready::to_read_on(token));
        }
    }

    fn shutdown_write(&mut self, token: Token) {
        if let Some(slot) = self.command(token)
            && let Some(stream) = &slot.stream
        {
            // It fails only when the connection is broken already, which `ReceiveEnded` reports.
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    fn close(&mut self, token: Token, mode: CloseMode) {
        let Some(slot) = self.command(token) else { return };
        if let Some(stream) = slot.stream.take() {
            if mode == CloseMode::Reset {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).ok();
            }
            drop(stream);
        }
        slot.in_flight = None;
        self.queue.push_back(Completion::Closed { token });
    }

    fn stop_accepting(&mut self) {
        if let Some(listener) = self.acceptor.listener_mut() {
            self.poll.registry().deregister(listener).ok();
        }
        self.acceptor.stop();
    }

    fn counters(&self) -> DriverCounters {
        DriverCounters {
            stale_tokens: self.stale_tokens,
            refused: self.acceptor.refused,
            accept_errors: self.acceptor.errors,
        }
    }
}

fn shorter(first: Option<Duration>, second: Option<Duration>) -> Option<Duration> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
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
