//! What the shards of one engine share: how it ends, the connection cap, the addresses and the counts.
//!
//! Invariant: nothing here is touched per message.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gannet_proto::CloseCode;

use crate::admission::Admission;
use crate::config::Config;

/// State shared by all shards.
#[derive(Debug)]
pub(crate) struct Shared {
    connections_max: usize,
    connections: AtomicUsize,
    drain: OnceLock<Drain>,
    cut: AtomicBool,
    pub(crate) admission: Admission,
    buffered_bytes: AtomicUsize,
    drained_cleanly: AtomicU64,
    drained_cut: AtomicU64,
    sessions_opened: AtomicU64,
    sessions_closed_cleanly: AtomicU64,
    sessions_cut: AtomicU64,
    handshakes_refused: AtomicU64,
    window_bytes: AtomicUsize,
    takeovers_refused: AtomicU64,
    handler_panics: AtomicU64,
}

/// What an engine has done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Connections that are open now, handshakes and endings included; not those refused because it is full.
    pub connections: usize,
    /// Opening handshakes completed.
    pub opened: u64,
    /// Connections closed with Close frames both ways.
    pub closed_cleanly: u64,
    /// Connections that were lost, failed or cut.
    pub cut: u64,
    /// Upgrade requests answered with anything but 101.
    pub refused: u64,
    /// Bytes that compression windows of open connections may take (RFC 7692 §7.1.2).
    pub window_bytes: usize,
    /// Connections that were compressed without context takeover because the windows of others take the whole budget.
    pub takeovers_refused: u64,
    /// Calls of a handler that panicked.
    pub handler_panics: u64,
    /// Connections closed with Close frames both ways since the engine was told to stop.
    pub drained_cleanly: u64,
    /// Connections that were lost, failed or cut since then.
    pub drained_cut: u64,
}

/// How an engine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// What the connections are closed with: [`CloseCode::GOING_AWAY`], or [`CloseCode::SERVICE_RESTART`] if they may come
    /// back at once.
    pub code: CloseCode,
    /// The Close frames are spread evenly over so many milliseconds, so that the clients do not all come back together.
    /// Meanwhile new requests are answered 503.
    pub window_ms: u32,
}

impl Default for Drain {
    /// 1001, all at once.
    fn default() -> Self {
        Self { code: CloseCode::GOING_AWAY, window_ms: 0 }
    }
}

impl Shared {
    /// Shared state for at most `connections_max` connections.
    #[must_use]
    pub(crate) fn new(connections_max: usize, config: &Config) -> Self {
        Self {
            connections_max,
            connections: AtomicUsize::new(0),
            drain: OnceLock::new(),
            cut: AtomicBool::new(false),
            admission: Admission::new(config.connections_per_address_max, config.connections_per_prefix_max),
            buffered_bytes: AtomicUsize::new(0),
            drained_cleanly: AtomicU64::new(0),
            drained_cut: AtomicU64::new(0),
            sessions_opened: AtomicU64::new(0),
            sessions_closed_cleanly: AtomicU64::new(0),
            sessions_cut: AtomicU64::new(0),
            handshakes_refused: AtomicU64::new(0),
            window_bytes: AtomicUsize::new(0),
            takeovers_refused: AtomicU64::new(0),
            handler_panics: AtomicU64::new(0),
        }
    }

    /// Counts a new connection; false, and it is not counted, if there are as many as the engine may hold.
    pub(crate) fn connection_opened(&self) -> bool {
        let one_more = |connections| (connections < self.connections_max).then_some(connections + 1);
        self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn session_opened(&self) {
        self.sessions_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_closed(&self, was_clean: bool) {
        let count = if was_clean { &self.sessions_closed_cleanly } else { &self.sessions_cut };
        count.fetch_add(1, Ordering::Relaxed);
        if self.drain.get().is_some() {
            let count = if was_clean { &self.drained_cleanly } else { &self.drained_cut };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The bytes that wait in one shard were `before` and are `now`; gives those of all shards.
    pub(crate) fn change_buffered(&self, before: usize, now: usize) -> usize {
        // Wrapping, as the sum of all differences is never negative.
        let difference = now.wrapping_sub(before);
        self.buffered_bytes.fetch_add(difference, Ordering::Relaxed).wrapping_add(difference)
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }

    /// Whether there is no place for another connection.
    pub(crate) fn is_full(&self) -> bool {
        self.connections.load(Ordering::Relaxed) >= self.connections_max
    }

    pub(crate) fn handshake_refused(&self) {
        self.handshakes_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Reserves memory for the windows of a connection; false, and it is counted, if the budget does not allow it.
    pub(crate) fn reserve_windows(&self, bytes: usize, bytes_max: usize) -> bool {
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|&sum| sum <= bytes_max);
        let is_reserved = self.window_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !is_reserved {
            self.takeovers_refused.fetch_add(1, Ordering::Relaxed);
        }
        is_reserved
    }

    pub(crate) fn release_windows(&self, bytes: usize) {
        if bytes > 0 {
            self.window_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn handler_panicked(&self) {
        self.handler_panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells every shard to end so; they notice in their next turn. The first word counts.
    pub(crate) fn drain(&self, drain: Drain) {
        self.drain.set(drain).ok();
    }

    /// How the engine ends, once it was told to.
    pub(crate) fn draining(&self) -> Option<Drain> {
        self.drain.get().copied()
    }

    /// Tells every shard to end now.
    pub(crate) fn cut(&self) {
        self.drain(Drain::default());
        self.cut.store(true, Ordering::Release);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// The counts so far.
    #[must_use]
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            connections: self.connections.load(Ordering::Relaxed),
            opened: self.sessions_opened.load(Ordering::Relaxed),
            closed_cleanly: self.sessions_closed_cleanly.load(Ordering::Relaxed),
            cut: self.sessions_cut.load(Ordering::Relaxed),
            refused: self.handshakes_refused.load(Ordering::Relaxed),
            window_bytes: self.window_bytes.load(Ordering::Relaxed),
            takeovers_refused: self.takeovers_refused.load(Ordering::Relaxed),
            handler_panics: self.handler_panics.load(Ordering::Relaxed),
            drained_cleanly: self.drained_cleanly.load(Ordering::Relaxed),
            drained_cut: self.drained_cut.load(Ordering::Relaxed),
        }
    }
}
