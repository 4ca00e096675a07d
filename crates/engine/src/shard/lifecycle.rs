//! How connections of a shard end: closing, lingering and deadlines.
//!
//! Invariant: `on_close` is called once for each session, and the socket is closed only when the peer has had its time.

use gannet_driver::{CloseMode, Driver, ReceiveEnd, Token};
use gannet_proto::handshake::HandshakeError;
use gannet_proto::{CloseCode, ProtocolError, ReadyState};

use super::{Shard, resume};
use crate::connection::{End, Ending, Phase, Served};
use crate::handler::Handler;
use crate::rates::Mark;
use crate::timers::{close_after_ms, ping_after_ms};

/// After our end of the stream, the peer's is awaited so long, so that closing the socket does not reset what the peer
/// has not read yet.
const LINGER_MS: u32 = 1_000;
/// And so many bytes of the peer are read and thrown away in that time.
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// What is due for a connection.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// The request head did not come in time.
    HandshakeTimeout,
    /// The message that is arriving did not come whole in time.
    MessageTimeout,
    /// The peer is silent: ask whether it is there.
    Ping,
    /// The second is over for which nothing more was received.
    NextSecond,
    /// The connection was open as long as it may.
    LifetimeOver,
    /// The peer did not answer, did not close or did not read: it is cut.
    Cut,
    /// The peer had its time to end the stream.
    LingerOver,
}

impl<D: Driver, H: Handler> Shard<D, H> {
    /// Ends the session of a connection, if it has one: `on_close`, and no more frames.
    pub(super) fn end_session(&mut self, token: Token, end: End) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(_) = entry.phase else { return };
        let ending = Phase::Ending(Ending::default());
        let Phase::Open(session) = std::mem::replace(&mut entry.phase, ending) else { return };
        let is_paused = session.rates.marks.is_paused();
        if let Phase::Ending(ending) = &mut entry.phase {
            ending.rare = session.rare;
        }
        entry.since_ms = self.clock.now_ms();
        self.shared.session_closed(end.was_clean());
        self.counts.sessions -= 1;
        self.counts.count_close(end.code());
        let compression = session.protocol.compression();
        self.shared.release_windows(compression.map_or(0, |deflate| deflate.window_bytes()));
        // A panic was counted; the session is over anyway.
        self.handler.call(|handler| handler.on_close(session.state, &end.as_closed())).ok();
        if is_paused {
            // What still comes is thrown away, but the end of the stream has to be seen.
            self.driver.resume_receive(token);
        }
    }

    /// Takes a connection that is ending as far as it can go now: written out, write side shut, peer's end seen.
    pub(super) fn step_ending(&mut self, token: Token) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Ending(ending) = &mut entry.phase else { return };
        if ending.rare.as_ref().is_some_and(|rare| !rare.outbox.is_empty()) {
            return;
        }
        ending.rare = None;
        if !ending.write_shut {
            // RFC 6455 §7.1.1: the server closes the TCP connection first.
            ending.write_shut = true;
            entry.since_ms = self.clock.now_ms();
            self.driver.shutdown_write(token);
        }
        if ending.read_ended {
            self.close(token);
        }
    }

    /// Throws away what a peer still sends.
    pub(super) fn discard(&mut self, token: Token) {
        let bytes = self.driver.received(&[]).len();
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Ending(ending) = &mut entry.phase else { return };
        ending.discarded += bytes;
        if ending.discarded > LINGER_BYTES_MAX && ending.write_shut {
            // Closing now would reset the connection, and the reset would overtake the Close frame: a peer in the middle of
            // a large message would not learn why. It is held up instead until its time is over.
            self.driver.pause_receive(token);
        }
    }

    /// The peer will send nothing more.
    pub(super) fn read_ended(&mut self, token: Token, end: ReceiveEnd) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Ending(ending) = &mut entry.phase else { return };
        ending.read_ended = true;
        match end {
            ReceiveEnd::EndOfStream => self.step_ending(token),
            ReceiveEnd::Failed(_) => self.close(token),
        }
    }

    /// Closes the socket; what was sent is still delivered by the kernel.
    pub(super) fn close(&mut self, token: Token) {
        self.close_with(token, CloseMode::Orderly);
    }

    /// Resets the connection: what was not delivered yet is lost.
    pub(super) fn reset(&mut self, token: Token) {
        self.close_with(token, CloseMode::Reset);
    }

    fn close_with(&mut self, token: Token, mode: CloseMode) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        if !matches!(entry.phase, Phase::Closing) {
            entry.phase = Phase::Closing;
            self.driver.close(token, mode);
        }
    }

    /// Looks at one connection for the timers.
    pub(super) fn expire(&mut self, slot: usize) {
        let Some((token, due)) = self.due(slot) else { return };
        match due {
            Due::Nothing => {}
            Due::HandshakeTimeout => self.refuse(token, HandshakeError::RequestTimeout),
            Due::MessageTimeout => self.fail(token, ProtocolError::MessageTimeout),
            Due::Ping => self.ping(token),
            Due::NextSecond => self.next_second(token),
            Due::LifetimeOver => self.close_for_age(token),
            Due::Cut => {
                self.end_session(token, End::lost());
                self.reset(token);
            }
            Due::LingerOver => self.close(token),
        }
    }

    fn due(&self, slot: usize) -> Option<(Token, Due)> {
        let (token, entry) = self.connections.at_slot(slot)?;
        let now_ms = self.clock.now_ms();
        let elapsed_ms = self.clock.elapsed_ms(entry.since_ms);
        let config = &self.config;
        let due = match &entry.phase {
            Phase::Handshaking { .. } if elapsed_ms >= config.handshake_timeout_ms => Due::HandshakeTimeout,
            Phase::Open(session) if session.protocol.ready_state() == ReadyState::Closing => {
                if elapsed_ms >= config.close_timeout_ms { Due::Cut } else { Due::Nothing }
            }
            Phase::Open(session)
                if session.rates.marks.is(Mark::RatePaused) && session.rates.is_over(now_ms) =>
            {
                Due::NextSecond
            }
            Phase::Open(session) if session.rates.marks.is(Mark::OutboxPaused) => {
                // A ping would wait behind what the peer does not read, so it has the time of both.
                let silence_ms_max = config.ping_interval_ms.saturating_add(config.pong_timeout_ms);
                if elapsed_ms >= silence_ms_max { Due::Cut } else { Due::Nothing }
            }
            Phase::Open(session)
                if session
                    .message_since_ms()
                    .is_some_and(|since_ms| self.clock.elapsed_ms(since_ms) >= config.message_timeout_ms) =>
            {
                Due::MessageTimeout
            }
            Phase::Open(session) if self.is_too_old(slot, session.opened_s) => Due::LifetimeOver,
            Phase::Open(session) if session.rates.marks.is(Mark::AwaitingPong) => {
                if elapsed_ms >= config.pong_timeout_ms { Due::Cut } else { Due::Nothing }
            }
            Phase::Open(_) if elapsed_ms >= ping_after_ms(slot, config.ping_interval_ms) => Due::Ping,
            Phase::Ending(ending) if ending.write_shut && elapsed_ms >= LINGER_MS => Due::LingerOver,
            Phase::Ending(ending) if !ending.write_shut && elapsed_ms >= config.close_timeout_ms => Due::Cut,
            _ => Due::Nothing,
        };
        Some((token, due))
    }

    fn is_too_old(&self, slot: usize, opened_s: u32) -> bool {
        self.config.lifetime_ms.is_some_and(|lifetime_ms| {
            let age_ms = u64::from(self.clock.now_s().wrapping_sub(opened_s)) * 1000;
            age_ms >= u64::from(close_after_ms(slot, lifetime_ms))
        })
    }

    /// Receives again from a connection that used up a second.
    fn next_second(&mut self, token: Token) {
        let now_ms = self.clock.now_ms();
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        // It could not show a sign of life.
        entry.since_ms = now_ms;
        resume(&mut self.driver, token, session, Mark::RatePaused, now_ms);
    }

    /// Closes a connection that was open as long as it may.
    fn close_for_age(&mut self, token: Token) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        let reason = "the connection was open as long as it may: connect again";
        if session.protocol.close(Some(CloseCode::GOING_AWAY), reason, &mut self.cork).is_ok() {
            entry.since_ms = self.clock.now_ms();
            self.finish(token, Served { replies: 0..0, end: None });
        }
    }

    /// Fails an open session for what the timers found.
    fn fail(&mut self, token: Token, error: ProtocolError) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        let end = session.fail(error, &mut self.cork);
        self.finish(token, Served { replies: 0..0, end: Some(end) });
    }

    fn ping(&mut self, token: Token) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        session.rates.marks.set(Mark::AwaitingPong);
        entry.since_ms = self.clock.now_ms();
        // It fails only once a Close frame was sent, and then a ping is not due.
        if session.protocol.send_ping(b"", &mut self.cork).is_ok() {
            self.finish(token, Served { replies: 0..0, end: None });
        }
    }
}
