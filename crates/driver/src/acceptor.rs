//! Accepting: listening sockets with a budget per turn that neither spin nor stall at the descriptor limit.
//!
//! Invariant: while clients may be waiting in the accept queue of a listener, it is either `ready` (it is accepted from in
//! this turn or the next) or `resting` (it is accepted from when a timer says so). The kernel announces a waiting client
//! once (mio registers edge-triggered), so an accept that failed must never wait for another event.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use mio::Registry;
use mio::net::TcpStream;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::PeerAddress;
use crate::listener::{LISTENERS_MAX, Listening};

/// Connections accepted per turn, from all listeners together, so that a storm of them does not starve the open ones.
const ACCEPTS_PER_TURN: u32 = 64;
/// How long a listener rests after it met the descriptor limit.
const BACKOFF: Duration = Duration::from_millis(50);
/// How much of the request of a client that is turned away is read.
const REFUSED_REQUEST_BYTES_MAX: usize = 4096;

/// A bit per listener.
type Listeners = u16;
const _: () = assert!(Listeners::BITS as usize == LISTENERS_MAX);

/// A client that was let in.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: PeerAddress,
    pub(crate) listener: u8,
}

/// The listening sockets of a driver and when to accept from which.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listening: Vec<Listening>,
    /// Somebody may wait there. Where neither this nor `resting` holds nobody does; the kernel will tell.
    ready: Listeners,
    /// Somebody may wait there, but no descriptor was left a moment ago. Those whose rest ends first come first.
    resting: VecDeque<(usize, Instant)>,
    /// The listener that was asked last: its turn comes again after the others.
    last: usize,
    budget: u32,
    /// A descriptor held back, so that at the limit a client can be accepted and told instead of left waiting.
    spare: Option<OwnedFd>,
    connections_max: usize,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
}

impl Acceptor {
    /// At most [`LISTENERS_MAX`] sockets, which [`EpollParts::open`](crate::EpollParts::open) has checked.
    pub(crate) fn new(listening: Vec<Listening>, connections_max: usize) -> Self {
        let ready = (0..listening.len()).fold(0, |ready, listener| ready | 1 << listener);
        Self {
            listening,
            ready,
            resting: VecDeque::new(),
            last: LISTENERS_MAX - 1,
            budget: ACCEPTS_PER_TURN,
            spare: open_spare(),
            connections_max,
            refused: 0,
            errors: 0,
        }
    }

    /// The kernel announced a waiting client.
    pub(crate) fn on_ready(&mut self, listener: usize) {
        let is_resting = self.resting.iter().any(|&(resting, _)| resting == listener);
        if listener < self.listening.len() && !is_resting {
            self.ready |= 1 << listener;
        }
    }

    /// How long a wait for events may last at most for the sake of accepting.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if self.ready != 0 {
            return Some(Duration::ZERO);
        }
        let (_, until) = self.resting.front()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Opens a new turn: the budget is full again and a rest that is over ends.
    pub(crate) fn start_turn(&mut self) {
        self.budget = ACCEPTS_PER_TURN;
        if self.resting.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((listener, _)) = self.resting.pop_front_if(|(_, until)| *until <= now) {
            self.ready |= 1 << listener;
            if self.spare.is_none() {
                self.spare = open_spare();
            }
        }
    }

    /// Accepts one connection, within the budget of the turn; the listeners take turns. `connections` is how many the
    /// driver holds already.
    pub(crate) fn accept(&mut self, connections: usize) -> Option<Accepted> {
        while self.ready != 0 && self.budget > 0 {
            let listener = self.next_ready();
            let has_room = connections < self.connections_max;
            if !has_room && self.listening[listener].is_shared {
                // Another driver may have room. The client stays in the queue, where it is seen again after the rest.
                self.rest(listener);
                continue;
            }
            self.budget -= 1;
            match self.listening[listener].accept() {
                Ok((stream, _)) if !has_room => self.refuse(stream, listener),
                Ok((stream, peer)) => return Some(Accepted { stream, peer, listener: listener as u8 }),
                Err(error) => self.on_error(listener, &error),
            }
        }
        None
    }

    /// The ready listener behind the one that was asked last, in a circle.
    const fn next_ready(&mut self) -> usize {
        let behind = self.ready & (Listeners::MAX << self.last << 1);
        let first = if behind == 0 { self.ready } else { behind };
        self.last = first.trailing_zeros() as usize;
        self.last
    }

    /// Closes the listening sockets. Clients still in their queues are reset by the kernel, unless another driver or
    /// process holds the same queue.
    pub(crate) fn stop(&mut self, registry: &Registry) {
        for listening in &mut self.listening {
            listening.deregister(registry);
        }
        self.listening.clear();
        self.resting.clear();
        self.ready = 0;
        self.spare = None;
    }

    fn on_error(&mut self, listener: usize, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.ready &= !(1 << listener);
            return;
        }
        self.errors += 1;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => self.refuse_with_spare(listener),
            // The client went away while it waited: the next one may be fine.
            Some(Errno::CONNABORTED | Errno::PROTO | Errno::PERM | Errno::INTR) => {}
            // No memory, or something unknown that may last: accepting at once again could spin.
            _ => self.rest(listener),
        }
    }

    /// At the descriptor limit: gives up the spare descriptor for the moment it takes to tell one client.
    fn refuse_with_spare(&mut self, listener: usize) {
        drop(self.spare.take());
        match self.listening[listener].accept() {
            Ok((stream, _)) => self.refuse(stream, listener),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready &= !(1 << listener),
            Err(_) => self.rest(listener),
        }
        self.spare = open_spare();
        if self.spare.is_none() || self.budget == 0 {
            // The limit is that of all listeners.
            while self.ready != 0 {
                self.rest(self.ready.trailing_zeros() as usize);
            }
        }
    }

    fn rest(&mut self, listener: usize) {
        self.ready &= !(1 << listener);
        self.resting.push_back((listener, Instant::now() + BACKOFF));
    }

    /// Best effort: the answer is small and the socket is new, so it fits; the peer reads it before the end of stream.
    fn refuse(&mut self, mut stream: TcpStream, listener: usize) {
        self.refused += 1;
        // A close with unread bytes is a reset, which can overtake the answer: take the request that came already.
        let _taken = stream.read(&mut [0; REFUSED_REQUEST_BYTES_MAX]);
        if stream.write(self.listening[listener].refusal).is_ok() {
            stream.shutdown(Shutdown::Write).ok();
        }
    }
}

fn open_spare() -> Option<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok()
}

/// The numbers of the descriptors of listening sockets.
pub(crate) fn descriptors(listening: &[Listening]) -> impl Iterator<Item = RawFd> {
    listening.iter().map(|listening| listening.as_fd().as_raw_fd())
}
