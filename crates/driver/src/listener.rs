//! Accepting: a listening socket with a budget per turn that neither spins nor stalls at the descriptor limit.
//!
//! Invariant: while clients may be waiting in the accept queue, the acceptor is either `Ready` (it accepts again in the
//! next turn) or in `Backoff` (it accepts again when a timer says so). The kernel announces a waiting client once (mio
//! registers edge-triggered), so an accept that failed must never wait for another event.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections waiting to be accepted, per listener. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Connections accepted per turn, so that a storm of them does not starve the open ones.
const ACCEPTS_PER_TURN: u32 = 64;
/// How long the acceptor rests after it met the descriptor limit.
const BACKOFF: Duration = Duration::from_millis(50);
/// How much of the request of a client that is turned away is read.
const REFUSED_REQUEST_BYTES_MAX: usize = 4096;

/// How to listen.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// The address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// What a client is told that the driver has to turn away before it could even become a connection.
    pub refusal: &'static [u8],
    /// The most connections of this driver, in sockets. A further one is turned away.
    pub connections_max: usize,
}

/// Opens a listening socket with `SO_REUSEADDR`, `SO_REUSEPORT` and `TCP_NODELAY` (which accepted sockets inherit).
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Nobody waits; the kernel will tell.
    Idle,
    /// Somebody may wait.
    Ready,
    /// Somebody may wait, but no descriptor was left a moment ago.
    Backoff { until: Instant },
}

/// What one attempt to accept gave.
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// Nothing for this turn.
    None,
}

/// A listening socket and when to accept from it.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Option<TcpListener>,
    readiness: Readiness,
    budget: u32,
    /// A descriptor held back, so that at the limit a client can be accepted and told instead of left waiting.
    spare: Option<OwnedFd>,
    options: ListenOptions,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, options: ListenOptions) -> Self {
        Self {
            listener: Some(listener),
            readiness: Readiness::Ready,
            budget: ACCEPTS_PER_TURN,
            spare: open_spare(),
            options,
            refused: 0,
            errors: 0,
        }
    }

    /// The kernel announced a waiting client.
    pub(crate) fn on_ready(&mut self) {
        if self.readiness == Readiness::Idle {
            self.readiness = Readiness::Ready;
        }
    }

    /// How long a wait for events may last at most for the sake of accepting.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match (&self.listener, self.readiness) {
            (None, _) | (_, Readiness::Idle) => None,
            (_, Readiness::Ready) => Some(Duration::ZERO),
            (_, Readiness::Backoff { until }) => Some(until.saturating_duration_since(Instant::now())),
        }
    }

    /// Opens a new turn: the budget is full again and a back-off that is over ends.
    pub(crate) fn start_turn(&mut self) {
        self.budget = ACCEPTS_PER_TURN;
        if let Readiness::Backoff { until } = self.readiness
            && Instant::now() >= until
        {
            self.readiness = Readiness::Ready;
            if self.spare.is_none() {
                self.spare = open_spare();
            }
        }
    }

    /// Accepts one connection, within the budget of the turn. `connections` is how many the driver holds already.
    pub(crate) fn accept(&mut self, connections: usize) -> Accepted {
        while self.readiness == Readiness::Ready && self.budget > 0 {
            let Some(listener) = &self.listener else { return Accepted::None };
            self.budget -= 1;
            match listener.accept() {
                Ok((stream, _)) if connections >= self.options.connections_max => self.refuse(stream),
                Ok((stream, peer)) => return Accepted::Connection(stream, peer),
                Err(error) => self.on_error(&error),
            }
        }
        Accepted::None
    }

    /// Closes the listening socket. Clients still in its queue are reset by the kernel.
    pub(crate) fn stop(&mut self) {
        self.listener = None;
        self.spare = None;
    }

    fn on_error(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.readiness = Readiness::Idle;
            return;
        }
        self.errors += 1;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => self.refuse_with_spare(),
            // The client went away while it waited: the next one may be fine.
            Some(Errno::CONNABORTED | Errno::PROTO | Errno::PERM | Errno::INTR) => {}
            // No memory, or something unknown that may last: accepting at once again could spin.
            _ => self.back_off(),
        }
    }

    /// At the descriptor limit: gives up the spare descriptor for the moment it takes to tell one client.
    fn refuse_with_spare(&mut self) {
        drop(self.spare.take());
        let Some(listener) = &self.listener else { return };
        match listener.accept() {
            Ok((stream, _)) => self.refuse(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readiness = Readiness::Idle,
            Err(_) => self.back_off(),
        }
        self.spare = open_spare();
        if self.readiness == Readiness::Ready && (self.spare.is_none() || self.budget == 0) {
            self.back_off();
        }
    }

    fn back_off(&mut self) {
        self.readiness = Readiness::Backoff { until: Instant::now() + BACKOFF };
    }

    /// Best effort: the answer is small and the socket is new, so it fits; the peer reads it before the end of stream.
    fn refuse(&mut self, mut stream: TcpStream) {
        self.refused += 1;
        // A close with unread bytes is a reset, which can overtake the answer: take the request that came already.
        let _taken = stream.read(&mut [0; REFUSED_REQUEST_BYTES_MAX]);
        if stream.write(self.options.refusal).is_ok() {
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    pub(crate) const fn listener_mut(&mut self) -> Option<&mut TcpListener> {
        self.listener.as_mut()
    }
}

fn open_spare() -> Option<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok()
}
