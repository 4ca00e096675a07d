//! A shard: one thread's driver, its connections and its handler, generic over both.
//!
//! [`Shard::reap`] waits for the kernel, [`Shard::turn`] does everything else. Invariant: a turn never waits and never
//! reads a clock, so on the simulated driver a whole shard runs in virtual time. Everything that one completion causes
//! leaves in one send.

mod drain;
mod lifecycle;
mod opening;
mod outside;
mod place;
mod pressure;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet_driver::{Completion, Driver, ReceiveEnd, Token};
use gannet_proto::Codec;

use crate::config::Config;
use crate::connection::{Account, Caller, Connections, End, Phase, Served, Session};
use crate::context::Context;
use crate::edge::Edge;
use crate::guard::Guard;
use crate::handler::Handler;
use crate::metrics::Counts;
use crate::outbox::{Broken, Outbox};
use crate::rates::{Gate, Mark};
use crate::remote::{ConnectionId, Mailbox};
use crate::shared::{Drain, Shared};
use crate::timers::{Clock, Sweep};

pub(crate) use place::Place;

/// Whether a shard has more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardStatus {
    /// It serves, or drains.
    Running,
    /// It was stopped and every connection is gone.
    Finished,
}

/// What the shard is doing as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Told to end: new requests are refused, the open connections are being closed.
    Draining {
        drain: Drain,
        since_ms: u32,
        /// The first slot whose connection was not closed yet.
        cursor: usize,
    },
}

/// One event loop with its connections.
#[derive(Debug)]
pub(crate) struct Shard<D, H: Handler> {
    driver: D,
    handler: Guard<H>,
    connections: Connections<H::State>,
    /// Connections refused because the engine is full. They are not counted, so they take nobody's place.
    over_cap: HashSet<Token>,
    number: u32,
    config: Arc<Config>,
    edges: Arc<[Edge]>,
    /// The limits of messages and the state of their compression, for all connections.
    codec: Codec,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    counts: Counts,
    /// When the counts were published.
    published_ms: u32,
    /// What waits in outboxes and unfinished messages.
    account: Account,
    /// The part of it that the other shards know of.
    shared_bytes: usize,
    gate: Gate,
    /// Where frames are put together that do not leave from the received bytes. Empty between completions.
    cork: Vec<u8>,
    /// Connections for which a message was refused although everything left at once: no completion will tell, so their
    /// handler is called in the next turn.
    drained: Vec<Token>,
    clock: Clock,
    sweep: Sweep,
    stage: Stage,
}

impl<D: Driver, H: Handler> Shard<D, H> {
    /// A shard that starts its clock at `now`.
    pub(crate) fn new(driver: D, handler: H, place: Place, now: Instant) -> Self {
        let Place { number, shards, config, edges, shared, mailbox } = place;
        let handshakes_per_s = config.handshakes_per_s_max.div_ceil(shards as u32);
        Self {
            driver,
            handler: Guard::new(handler, shared.clone()),
            connections: Connections::new(),
            over_cap: HashSet::new(),
            number: number as u32,
            codec: Codec::new(config.to_protocol()),
            config,
            edges,
            shared,
            mailbox,
            counts: Counts::default(),
            published_ms: 0,
            account: Account::default(),
            shared_bytes: 0,
            gate: Gate::new(handshakes_per_s),
            cork: Vec::new(),
            drained: Vec::new(),
            clock: Clock::new(now),
            sweep: Sweep::default(),
            stage: Stage::Serving,
        }
    }

    /// Waits until something happens or a timer is due.
    ///
    /// # Errors
    /// What makes the driver unusable.
    pub(crate) fn reap(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        self.driver.reap(timeout)
    }

    /// How long nothing is due; `None` without connections.
    fn timeout(&self) -> Option<Duration> {
        if !self.drained.is_empty() {
            return Some(Duration::ZERO);
        }
        let wait = || self.sweep.wait(self.clock.now_ms(), self.connections.slots());
        match self.stage {
            Stage::Serving => (self.connections.len() > 0).then(wait),
            Stage::Draining { .. } => Some(wait().min(drain::STEP)),
        }
    }

    /// Handles everything that was reaped, then the timers.
    pub(crate) fn turn(&mut self, now: Instant) -> ShardStatus {
        self.clock.advance(now);
        self.call_drained();
        self.take_mail();
        while let Some(completion) = self.driver.poll_completion() {
            self.on_completion(completion);
        }
        for slot in self.sweep.due(self.clock.now_ms(), self.connections.slots()) {
            self.expire(slot);
        }
        self.relieve();
        let status = self.drain();
        self.publish();
        status
    }

    /// Tells how long a turn took; not every turn is timed.
    pub(crate) fn count_turn_time(&mut self, time: Duration) {
        self.counts.count_turn_time(time);
    }

    /// Lets others read the counts, at most once in a millisecond, and always before the shard may sleep for long.
    fn publish(&mut self) {
        self.counts.turns += 1;
        let now_ms = self.clock.now_ms();
        if now_ms == self.published_ms && self.connections.len() > 0 {
            return;
        }
        self.published_ms = now_ms;
        self.counts.connections = self.connections.len() as u64;
        self.counts.buffered_bytes = self.account.bytes() as u64;
        self.counts.take_driver(self.driver.counters());
        self.mailbox.counts.set(&self.counts);
    }

    fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Received { token, .. } => self.on_received(token),
            Completion::Sent { token, buffer, sent } => self.on_sent(token, buffer, sent),
            Completion::Accepted { token, peer, listener } => self.on_accepted(token, peer, listener),
            Completion::PeerNamed { token, peer } => self.on_peer_named(token, peer),
            Completion::ReceiveEnded { token, end } => self.on_receive_ended(token, end),
            Completion::Closed { token } => {
                if self.connections.remove(token).is_some() {
                    self.leave(token);
                }
            }
            Completion::Woken => {}
        }
    }

    fn on_received(&mut self, token: Token) {
        let now_ms = self.clock.now_ms();
        let Some(entry) = self.connections.get_mut(token) else { return };
        match &mut entry.phase {
            Phase::Open(session) => {
                if session.is_open() {
                    entry.since_ms = now_ms;
                    session.rates.marks.clear(Mark::AwaitingPong);
                }
                let tail = session.take_tail();
                let bytes = self.driver.received(&tail);
                let arrived = bytes.len() - tail.len();
                let caller = Caller {
                    handler: &mut self.handler,
                    config: &self.config,
                    codec: &mut self.codec,
                    counts: &mut self.counts,
                    id: ConnectionId::new(self.number, token),
                    now_ms,
                };
                let served = session.serve(caller, &mut self.cork, bytes, arrived);
                self.finish(token, served);
            }
            Phase::Handshaking { .. } => self.on_head(token),
            Phase::Ending(_) => self.discard(token),
            Phase::Vacant | Phase::Closing => {}
        }
    }

    /// Calls the handler for an open session; what it sends is in the cork.
    fn call(
        &mut self,
        token: Token,
        call: impl FnOnce(&mut H, &mut Context<'_>, &mut H::State),
    ) -> Option<Served> {
        let Phase::Open(session) = &mut self.connections.get_mut(token)?.phase else { return None };
        let caller = Caller {
            handler: &mut self.handler,
            config: &self.config,
            codec: &mut self.codec,
            counts: &mut self.counts,
            id: ConnectionId::new(self.number, token),
            now_ms: self.clock.now_ms(),
        };
        let end = session.call(caller, &mut self.cork, call);
        Some(Served { replies: 0..0, end })
    }

    /// Sends what serving left, and acts on how it ended.
    fn finish(&mut self, token: Token, served: Served) {
        if self.flush(token, served.replies).is_err() {
            self.end_session(token, served.end.map_or_else(End::lost, End::unsent));
            self.close(token);
        } else if let Some(end) = served.end {
            self.end_session(token, end);
            self.step_ending(token);
        }
    }

    /// Hands the replies of this completion to the driver, in one send, and pauses a connection that is ahead of its peer
    /// or of its limits.
    #[inline]
    fn flush(&mut self, token: Token, replies: Range<usize>) -> Result<(), Broken> {
        let Some(entry) = self.connections.get_mut(token) else { return Ok(()) };
        let rare = match &mut entry.phase {
            Phase::Open(session) => &mut session.rare,
            Phase::Ending(ending) => &mut ending.rare,
            _ => return Ok(()),
        };
        if !replies.is_empty() || !self.cork.is_empty() {
            self.counts.bytes_sent += (replies.len() + self.cork.len()) as u64;
            let mut fresh = Outbox::default();
            let outbox = rare.as_mut().map_or(&mut fresh, |rare| &mut rare.outbox);
            outbox.send(&mut self.driver, token, replies, &mut self.cork)?;
            if !fresh.is_empty() {
                rare.get_or_insert_default().outbox = fresh;
            }
        }
        let Phase::Open(session) = &mut entry.phase else { return Ok(()) };
        if session.rare.is_some() {
            session.charge(&self.account);
            if session.outbox_bytes() >= self.config.outbox_pause_bytes
                && !session.rates.marks.is(Mark::OutboxPaused)
            {
                pause(&mut self.driver, token, session, Mark::OutboxPaused);
            }
        }
        if session.rates.marks.is(Mark::Refused) && session.outbox_bytes() == 0 {
            self.drained.push(token);
        }
        if session.rates.is_used_up(&self.config) && !session.rates.marks.is(Mark::RatePaused) {
            self.counts.rate_pauses += 1;
            pause(&mut self.driver, token, session, Mark::RatePaused);
        }
        Ok(())
    }

    fn on_sent(&mut self, token: Token, buffer: Vec<u8>, sent: Result<usize, io::ErrorKind>) {
        let now_ms = self.clock.now_ms();
        let Some(entry) = self.connections.get_mut(token) else { return };
        let rare = match &mut entry.phase {
            Phase::Open(session) => {
                if session.is_open() {
                    entry.since_ms = now_ms;
                }
                &mut session.rare
            }
            Phase::Ending(ending) => {
                if ending.is_download {
                    entry.since_ms = now_ms;
                }
                &mut ending.rare
            }
            _ => return,
        };
        let Some(outbox) = rare.as_mut().map(|rare| &mut rare.outbox) else { return };
        let sent = sent.map_err(|_| Broken);
        if sent.and_then(|sent| outbox.on_sent(&mut self.driver, token, buffer, sent)).is_err() {
            self.end_session(token, End::lost());
            self.close(token);
            return;
        }
        let waiting = outbox.bytes();
        if let Some(rare) = rare.as_mut().filter(|_| waiting == 0) {
            rare.waiters.clear();
        }
        if rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            *rare = None;
        }
        if matches!(entry.phase, Phase::Ending(_)) {
            self.step_ending(token);
        } else {
            self.after_progress(token, waiting);
        }
    }

    /// An open connection has sent some of what waited.
    fn after_progress(&mut self, token: Token, waiting: usize) {
        let now_ms = self.clock.now_ms();
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        session.charge(&self.account);
        if session.rates.marks.is(Mark::OutboxPaused) && waiting < self.config.outbox_pause_bytes {
            resume(&mut self.driver, token, session, Mark::OutboxPaused, now_ms);
        }
        if waiting == 0 {
            session.rates.marks.clear(Mark::Refused);
            if let Some(served) = self.call(token, H::on_drain) {
                self.finish(token, served);
            }
        }
    }

    /// Calls `on_drain` where a message was refused and no completion follows.
    fn call_drained(&mut self) {
        for token in std::mem::take(&mut self.drained) {
            let Some(entry) = self.connections.get_mut(token) else { continue };
            let Phase::Open(session) = &entry.phase else { continue };
            // Otherwise what has come to wait since then will lead to the call.
            if session.rates.marks.is(Mark::Refused) && session.outbox_bytes() == 0 {
                self.after_progress(token, 0);
            }
        }
    }

    fn on_receive_ended(&mut self, token: Token, end: ReceiveEnd) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        match &mut entry.phase {
            Phase::Handshaking { .. } => self.close(token),
            Phase::Open(_) => {
                self.end_session(token, End::lost());
                self.read_ended(token, end);
            }
            Phase::Ending(_) => self.read_ended(token, end),
            Phase::Vacant | Phase::Closing => {}
        }
    }
}

/// Receives nothing more from an open connection.
fn pause<D: Driver, S>(driver: &mut D, token: Token, session: &mut Session<S>, reason: Mark) {
    if !session.rates.marks.is_paused() {
        driver.pause_receive(token);
    }
    session.rates.marks.set(reason);
}

/// A reason to receive nothing is gone.
fn resume<D: Driver, S>(driver: &mut D, token: Token, session: &mut Session<S>, reason: Mark, now_ms: u32) {
    session.rates.marks.clear(reason);
    if session.rates.marks.is_paused() {
        return;
    }
    // While nothing was received the peer could not finish its message.
    if let Some(rare) = &mut session.rare {
        rare.message_since_ms = rare.message_since_ms.map(|_| now_ms);
    }
    driver.resume_receive(token);
}
