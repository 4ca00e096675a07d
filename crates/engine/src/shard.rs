//! A shard: one thread's driver, its connections and its handler, generic over both.
//!
//! [`Shard::reap`] waits for the kernel, [`Shard::turn`] does everything else. Invariant: a turn never waits and never
//! reads a clock, so on the simulated driver a whole shard runs in virtual time. Everything that one completion causes
//! leaves in one send.

mod lifecycle;
mod opening;
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
use crate::connection::{Connections, End, Phase, Served};
use crate::guard::Guard;
use crate::handler::Handler;
use crate::shared::Shared;
use crate::timers::{Clock, Sweep};

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
    /// Stopped: no new connections, the open ones are closing.
    Draining {
        since_ms: u32,
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
    config: Arc<Config>,
    /// The limits of messages and the state of their compression, for all connections.
    codec: Codec,
    shared: Arc<Shared>,
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
    pub(crate) fn new(driver: D, handler: H, config: Arc<Config>, shared: Arc<Shared>, now: Instant) -> Self {
        let codec = Codec::new(config.to_protocol());
        Self {
            driver,
            handler: Guard::new(handler, shared.clone()),
            connections: Connections::new(),
            over_cap: HashSet::new(),
            config,
            codec,
            shared,
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
        (self.connections.len() > 0 || self.stage != Stage::Serving)
            .then(|| self.sweep.wait(self.clock.now_ms(), self.connections.slots()))
    }

    /// Handles everything that was reaped, then the timers.
    pub(crate) fn turn(&mut self, now: Instant) -> ShardStatus {
        self.clock.advance(now);
        self.call_drained();
        while let Some(completion) = self.driver.poll_completion() {
            self.on_completion(completion);
        }
        for slot in self.sweep.due(self.clock.now_ms(), self.connections.slots()) {
            self.expire(slot);
        }
        self.drain()
    }

    fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Received { token, .. } => self.on_received(token),
            Completion::Sent { token, buffer, sent } => self.on_sent(token, buffer, sent),
            Completion::Accepted { token, peer, listener } => self.on_accepted(token, peer, listener),
            Completion::PeerNamed { token, peer } => self.on_peer_named(token, peer),
            Completion::ReceiveEnded { token, end } => self.on_receive_ended(token, end),
            Completion::Closed { token } => {
                if self.connections.remove(token).is_some() && !self.over_cap.remove(&token) {
                    self.shared.connection_closed();
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
                    session.awaiting_pong = false;
                }
                let tail = session.begin_receive(now_ms);
                let bytes = self.driver.received(&tail);
                let handler = &mut self.handler;
                let served =
                    session.serve(handler, &self.config, &mut self.codec, now_ms, &mut self.cork, bytes);
                self.finish(token, served);
            }
            Phase::Handshaking { .. } => self.on_head(token),
            Phase::Ending(_) => self.discard(token),
            Phase::Vacant | Phase::Closing => {}
        }
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

    /// Hands the replies of this completion to the driver, in one send.
    #[inline]
    fn flush(&mut self, token: Token, replies: Range<usize>) -> Result<(), crate::outbox::Broken> {
        let Some(entry) = self.connections.get_mut(token) else { return Ok(()) };
        let rare = match &mut entry.phase {
            Phase::Open(session) => &mut session.rare,
            Phase::Ending(ending) => &mut ending.rare,
            _ => return Ok(()),
        };
        if replies.is_empty() && self.cork.is_empty() {
            return Ok(());
        }
        let mut fresh = crate::outbox::Outbox::default();
        let outbox = rare.as_mut().map_or(&mut fresh, |rare| &mut rare.outbox);
        outbox.send(&mut self.driver, token, replies, &mut self.cork)?;
        let waiting = outbox.bytes();
        if !fresh.is_empty() {
            rare.get_or_insert_default().outbox = fresh;
        }
        let Phase::Open(session) = &mut entry.phase else { return Ok(()) };
        if waiting >= self.config.outbox_pause_bytes && !session.paused {
            session.paused = true;
            self.driver.pause_receive(token);
        }
        if waiting == 0 && session.refused {
            self.drained.push(token);
        }
        Ok(())
    }

    fn on_sent(&mut self, token: Token, buffer: Vec<u8>, sent: Result<usize, io::ErrorKind>) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let rare = match &mut entry.phase {
            Phase::Open(session) => {
                if session.is_open() {
                    entry.since_ms = self.clock.now_ms();
                }
                &mut session.rare
            }
            Phase::Ending(ending) => &mut ending.rare,
            _ => return,
        };
        let Some(outbox) = rare.as_mut().map(|rare| &mut rare.outbox) else { return };
        let sent = sent.map_err(|_| crate::outbox::Broken);
        if sent.and_then(|sent| outbox.on_sent(&mut self.driver, token, buffer, sent)).is_err() {
            self.end_session(token, End::lost());
            self.close(token);
            return;
        }
        let waiting = outbox.bytes();
        if waiting == 0 && rare.as_ref().is_some_and(|rare| rare.tail.is_empty()) {
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
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        if session.paused && waiting < self.config.outbox_pause_bytes {
            session.paused = false;
            // While nothing was received the peer could not finish its message.
            session.message_since_ms = self.clock.now_ms();
            self.driver.resume_receive(token);
        }
        if waiting == 0 {
            session.refused = false;
            let end =
                session.call(&mut self.handler, &self.config, &mut self.codec, &mut self.cork, H::on_drain);
            self.finish(token, Served { replies: 0..0, end });
        }
    }

    /// Calls `on_drain` where a message was refused and no completion follows.
    fn call_drained(&mut self) {
        for token in std::mem::take(&mut self.drained) {
            let Some(entry) = self.connections.get_mut(token) else { continue };
            let Phase::Open(session) = &entry.phase else { continue };
            // Otherwise what has come to wait since then will lead to the call.
            if session.refused && session.outbox_bytes() == 0 {
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
