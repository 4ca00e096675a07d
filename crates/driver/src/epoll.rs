//! The epoll backend, over mio.
//!
//! mio registers edge-triggered, for reading and writing at once, so a connection costs one `epoll_ctl` in its life.
//! Invariant: what the kernel holds for a connection is never forgotten, since it is announced only once. A receive
//! shorter than the buffer has drained the socket, unless the end of the stream was announced too. A receive that
//! filled the buffer, one in front of an announced end, and one put off by `pause_receive` leave [`Flag::ReadReady`]
//! set, and the connection stands in line again without waiting for an event. It stands in line at most once, so that
//! no connection gets more than one receive per turn.

mod slot;
mod stats;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll};

use crate::acceptor::{self, Accepted, Acceptor};
use crate::buffer::{HEADROOM_BYTES, ReceiveBuffer};
use crate::listener::{LISTENERS_MAX, ListenSocket, Listening};
use crate::slots::{Slots, Token};
use crate::tables::OwnDescriptors;
use crate::{CloseMode, Completion, Driver, DriverCounters, SendOutcome, SocketStats};
use slot::{Flag, Slot};

/// Events taken from the kernel per turn; fewer cost more turns under load.
const EVENTS_PER_TURN: usize = 1024;
/// Whose generation no connection has: see [`Slots`].
const FIRST_LISTENER: usize = usize::MAX - LISTENERS_MAX;
const WAKER: mio::Token = mio::Token(usize::MAX);

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

/// Everything of a driver that has to be opened before descriptor tables part: the listeners (so that a port in use is
/// found at start), the poll descriptor and the waker.
#[derive(Debug)]
pub struct EpollParts {
    poll: Poll,
    waker: Waker,
    listening: Vec<Listening>,
}

impl EpollParts {
    /// Opens the poll descriptor and the waker, and puts the listeners into the poll. A [`Completion::Accepted`] names a
    /// listener by its index in `sockets`.
    ///
    /// # Errors
    /// Whatever the kernel says: no descriptor left, no memory. [`io::ErrorKind::InvalidInput`] for more than
    /// [`LISTENERS_MAX`] sockets.
    pub fn open(sockets: Vec<ListenSocket>) -> io::Result<Self> {
        if sockets.len() > LISTENERS_MAX {
            let text =
                format!("{} listeners, at most {LISTENERS_MAX} allowed; listen on fewer", sockets.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let poll = Poll::new()?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        let register = |(index, socket): (usize, ListenSocket)| {
            socket.register(poll.registry(), mio::Token(FIRST_LISTENER + index))
        };
        let listening = sockets.into_iter().enumerate().map(register).collect::<io::Result<_>>()?;
        Ok(Self { poll, waker, listening })
    }

    /// A handle that wakes the driver from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The descriptors that only the thread of the driver needs.
    #[must_use]
    pub fn descriptors(&self) -> OwnDescriptors {
        OwnDescriptors(acceptor::descriptors(&self.listening).chain([self.poll.as_raw_fd()]).collect())
    }
}

/// The epoll driver of one shard.
#[derive(Debug)]
pub struct EpollDriver {
    poll: Poll,
    /// Kept so that the event descriptor lives as long as the driver: closing it would take back a wake not yet seen.
    waker: Waker,
    events: Events,
    acceptor: Acceptor,
    slots: Slots<Slot>,
    buffer: ReceiveBuffer,
    /// Connections to look at, each at most once; the first `turn` of them in this turn.
    line: VecDeque<Token>,
    turn: usize,
    /// Completions that need no system call.
    queue: VecDeque<Completion>,
    stale_tokens: u64,
}

impl EpollDriver {
    /// Makes a driver of its parts; to be called on the thread that will own it. It holds at most `connections_max`
    /// sockets and turns a further one away.
    #[must_use]
    pub fn new(parts: EpollParts, connections_max: usize) -> Self {
        Self {
            poll: parts.poll,
            waker: parts.waker,
            events: Events::with_capacity(EVENTS_PER_TURN),
            acceptor: Acceptor::new(parts.listening, connections_max),
            slots: Slots::new(),
            buffer: ReceiveBuffer::new(),
            line: VecDeque::with_capacity(EVENTS_PER_TURN),
            turn: 0,
            queue: VecDeque::new(),
            stale_tokens: 0,
        }
    }

    /// A handle that wakes this driver from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn collect_events(&mut self) {
        for event in &self.events {
            match event.token() {
                mio::Token(bits) if bits < FIRST_LISTENER => {
                    let token = Token::from_bits(bits);
                    match self.slots.get_mut(token) {
                        Some(slot) => {
                            slot.note(event);
                            stand_in_line(&mut self.line, slot, token);
                        }
                        None => self.stale_tokens += 1,
                    }
                }
                WAKER => self.queue.push_back(Completion::Woken),
                mio::Token(listener) => self.acceptor.on_ready(listener - FIRST_LISTENER),
            }
        }
        self.turn = self.line.len();
        self.acceptor.start_turn();
    }

    /// Looks at the first connection in line; `None` if it gave no completion.
    fn progress(&mut self) -> Option<Completion> {
        let token = *self.line.front()?;
        if let Some(sent) = self.slots.get_mut(token).and_then(|slot| slot.finish_send(token)) {
            // It stays in front: bytes may have arrived as well.
            return Some(sent);
        }
        self.line.pop_front();
        self.turn -= 1;
        let slot = self.slots.get_mut(token)?;
        slot.clear(Flag::InLine);
        let completion = slot.receive(token, &mut self.buffer);
        if slot.can_receive() {
            stand_in_line(&mut self.line, slot, token);
        }
        completion
    }

    fn accept(&mut self) -> Option<Completion> {
        loop {
            let Accepted { mut stream, peer, listener } = self.acceptor.accept(self.slots.len())?;
            let token = self.slots.next_token();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, mio::Token(token.to_bits()), interest).is_err() {
                // No memory for the epoll item: the socket is dropped, which the client sees as a close.
                self.acceptor.errors += 1;
                continue;
            }
            self.slots.insert(Slot::new(stream));
            return Some(Completion::Accepted { token, peer, listener });
        }
    }
}

/// Resolves the token of a command, counting a stale one.
fn resolve<'a>(slots: &'a mut Slots<Slot>, stale_tokens: &mut u64, token: Token) -> Option<&'a mut Slot> {
    let slot = slots.get_mut(token).filter(|slot| slot.is_open());
    if slot.is_none() {
        *stale_tokens += 1;
    }
    slot
}

/// Puts a connection at the end of the line unless it stands there already.
fn stand_in_line(line: &mut VecDeque<Token>, slot: &mut Slot, token: Token) {
    if !slot.is(Flag::InLine) {
        slot.set(Flag::InLine);
        line.push_back(token);
    }
}

impl Driver for EpollDriver {
    fn reap(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let work_waits = !self.line.is_empty() || !self.queue.is_empty();
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
        while self.turn > 0 {
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

    fn send_received(&mut self, token: Token, range: Range<usize>) -> SendOutcome {
        let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) else {
            return SendOutcome::Failed;
        };
        slot.send_borrowed(self.buffer.part(range))
    }

    fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> SendOutcome {
        let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) else {
            return SendOutcome::Failed;
        };
        slot.send(buffer, from)
    }

    fn pause_receive(&mut self, token: Token) {
        if let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) {
            slot.clear(Flag::Armed);
        }
    }

    fn resume_receive(&mut self, token: Token) {
        let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) else { return };
        slot.set(Flag::Armed);
        if slot.can_receive() {
            stand_in_line(&mut self.line, slot, token);
        }
    }

    fn shutdown_write(&mut self, token: Token) {
        if let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) {
            slot.shutdown_write();
        }
    }

    fn close(&mut self, token: Token, mode: CloseMode) {
        if let Some(slot) = resolve(&mut self.slots, &mut self.stale_tokens, token) {
            slot.close(mode);
            self.queue.push_back(Completion::Closed { token });
        }
    }

    fn stop_accepting(&mut self) {
        self.acceptor.stop(self.poll.registry());
    }

    fn socket_stats(&self, token: Token) -> Option<SocketStats> {
        stats::socket_stats(self.slots.get(token)?.stream()?)
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
