//! Sockets as completions: accept, receive, send and close behind one trait, on epoll or simulated.
//!
//! # The contract
//!
//! A shard owns one driver and calls it from one thread. It gives *commands* for tokens and gets *completions* back:
//! [`Driver::reap`] asks the kernel what happened, [`Driver::poll_completion`] hands it out piece by piece. Every
//! backend obeys these rules, and `tests/conformance` runs all of them against the same suite:
//!
//! 1. Every command yields exactly one terminal completion. A send that the kernel takes at once completes as the
//!    return value of the command ([`SendOutcome`]), otherwise as one [`Completion::Sent`]. Receiving is armed from
//!    the start: it yields many [`Completion::Received`] and then one [`Completion::ReceiveEnded`].
//! 2. Per connection at most one send is in flight. A second one before the completion of the first is a bug of the
//!    caller (a debug assertion).
//! 3. [`Completion::Closed`] is the last completion of a token. Its slot is reused only afterwards, under a new
//!    generation.
//! 4. A stale token (its slot has moved on) is ignored and counted, never a panic.
//! 5. A turn never runs the caller's code while it reaps: `reap` only collects.
//! 6. Closing does not end ownership: a buffer that is in flight belongs to the driver until its completion, or until
//!    `Closed`.
//! 7. The same commands give the same kinds of completion on every backend, up to how bytes are split.
//!
//! # Who owns the bytes
//!
//! An idle connection owns no buffer. [`Completion::Received`] speaks of *the* receive buffer of the driver, which
//! holds those bytes until the next call of `poll_completion`; [`Driver::received`] lends it, and
//! [`Driver::send_received`] sends a part of it back without a copy. What else is sent is an owned `Vec<u8>` that
//! the driver gives back when it is done with it.
//!
//! The crate knows nothing of WebSockets. It is the only one besides one SIMD file of `gannet-proto` that may hold
//! `unsafe` code.

mod acceptor;
mod buffer;
mod epoll;
mod limits;
mod listener;
mod peer;
pub mod sim;
mod slots;
mod tables;

use std::io;
use std::ops::Range;
use std::time::Duration;

pub use buffer::{HEADROOM_BYTES, RECEIVE_BYTES_MAX, ReceiveBuffer};
pub use epoll::{EpollDriver, EpollParts, Waker};
pub use limits::{
    DESCRIPTORS_PER_SHARD, DescriptorPlan, LimitError, PlanRequest, Tables, available_descriptors,
    plan_descriptors, raise_descriptor_limit,
};
pub use listener::{LISTENERS_MAX, ListenAddress, ListenSocket};
pub use peer::{PeerAddress, SocketStats};
pub use slots::Token;
pub use tables::{OwnDescriptors, close_in_this_table, part_with_own_table};

/// What a driver reports. See the contract at the top of the crate.
#[derive(Debug)]
pub enum Completion {
    /// A connection was accepted. Receiving is armed.
    Accepted {
        /// The name of the connection from now on.
        token: Token,
        /// The remote end.
        peer: PeerAddress,
        /// Which of the driver's listeners accepted it, counted from 0 in the order they were given.
        listener: u8,
    },
    /// A layer above the socket (the PROXY protocol) has learned for whom the peer speaks. At most once for a token, and
    /// before its first [`Completion::Received`]; a backend itself never reports it.
    PeerNamed {
        /// The connection.
        token: Token,
        /// The end that the proxy speaks for.
        peer: PeerAddress,
    },
    /// Bytes arrived and lie in the receive buffer until the next `poll_completion`.
    Received {
        /// The connection.
        token: Token,
        /// How many bytes arrived, at least 1.
        bytes: usize,
    },
    /// Nothing more will arrive on this connection.
    ReceiveEnded {
        /// The connection.
        token: Token,
        /// Why.
        end: ReceiveEnd,
    },
    /// A send that was in flight has made progress and is no longer in flight. It may be short: what is left is the
    /// caller's to send again.
    Sent {
        /// The connection.
        token: Token,
        /// The buffer of the send, given back.
        buffer: Vec<u8>,
        /// How many bytes of `buffer` have left in all, or why none ever will.
        sent: Result<usize, io::ErrorKind>,
    },
    /// The connection is gone. The last completion of this token.
    Closed {
        /// The connection.
        token: Token,
    },
    /// [`Waker::wake`] was called.
    Woken,
}

/// Why receiving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveEnd {
    /// The peer closed its write side (FIN).
    EndOfStream,
    /// The connection broke (RST, timeout, …).
    Failed(io::ErrorKind),
}

/// What became of a send.
#[derive(Debug)]
#[must_use]
pub enum SendOutcome {
    /// The kernel took every byte. The buffer comes back for reuse (empty for `send_received`).
    Sent(Vec<u8>),
    /// The kernel took a part or nothing; one [`Completion::Sent`] will follow.
    InFlight {
        /// Bytes that the kernel has not taken yet.
        bytes: usize,
    },
    /// The connection cannot send any more. Also the answer to a stale token.
    Failed,
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseMode {
    /// `close(2)`: what was sent is still delivered by the kernel, unless bytes of the peer wait that were not
    /// received: then the kernel resets the connection. Whoever cares receives until the end first.
    Orderly,
    /// Reset (RST): the kernel forgets what was not delivered yet.
    Reset,
}

/// Things that a driver counts instead of losing them silently.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DriverCounters {
    /// Commands or kernel events for a token whose slot has moved on.
    pub stale_tokens: u64,
    /// Connections refused by the driver itself because no descriptor or slot was left.
    pub refused: u64,
    /// Failed `accept` calls, the descriptor limit included.
    pub accept_errors: u64,
}

/// One backend: tokens in, completions out. The rules are at the top of the crate.
pub trait Driver {
    /// Waits for events for at most `timeout` (`None`: until something happens) and collects them. What the caller left
    /// of the last turn is not lost: it comes in this one.
    ///
    /// # Errors
    /// Only what makes the backend unusable; an interrupted wait is not an error.
    fn reap(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// The next completion of this turn, or `None` when the turn is done.
    fn poll_completion(&mut self) -> Option<Completion>;

    /// Lends the bytes of the last [`Completion::Received`], with `tail` (at most [`HEADROOM_BYTES`], kept by the
    /// caller from an earlier receive) put in front of them.
    ///
    /// # Panics
    /// If `tail` is longer than [`HEADROOM_BYTES`].
    fn received(&mut self, tail: &[u8]) -> &mut [u8];

    /// Sends a part of what [`Driver::received`] lent last.
    fn send_received(&mut self, token: Token, range: Range<usize>) -> SendOutcome;

    /// Sends `buffer[from..]`. The driver owns the buffer until the outcome or the completion gives it back.
    fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> SendOutcome;

    /// Stops receiving until [`Driver::resume_receive`]; bytes stay in the kernel and the peer feels it.
    fn pause_receive(&mut self, token: Token);

    /// Receives again after [`Driver::pause_receive`].
    fn resume_receive(&mut self, token: Token);

    /// Closes the write side: the peer reads the end of the stream after everything that was sent. No send may be in
    /// flight (a debug assertion): its rest would be lost.
    fn shutdown_write(&mut self, token: Token);

    /// Closes the connection. One [`Completion::Closed`] follows, and nothing after it.
    fn close(&mut self, token: Token, mode: CloseMode);

    /// Stops listening: no connection is accepted any more.
    fn stop_accepting(&mut self);

    /// What the kernel knows of a connection now; `None` for a stale token, for a connection that is broken already, and
    /// where there is no kernel.
    fn socket_stats(&self, token: Token) -> Option<SocketStats>;

    /// What was counted since the start.
    fn counters(&self) -> DriverCounters;
}
