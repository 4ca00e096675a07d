//! How a shard ends: new requests are refused, the open connections are closed over a window, what is left is cut.
//!
//! Invariant: each connection gets its Close frame behind everything that was sent to it, and has the drain deadline to
//! take it; nothing is cut before, unless the engine is told to.

use std::time::Duration;

use gannet_driver::{Driver, Token};
use gannet_proto::CloseCode;
use gannet_proto::handshake::HandshakeError;

use super::{Shard, ShardStatus, Stage};
use crate::connection::{End, Phase, Served};
use crate::handler::Handler;
use crate::shared::Drain;

/// The longest time between two turns of a shard that drains.
pub(super) const STEP: Duration = Duration::from_millis(20);

impl<D: Driver, H: Handler> Shard<D, H> {
    /// One step of the end, if the engine was told to end.
    pub(super) fn drain(&mut self) -> ShardStatus {
        match self.stage {
            Stage::Serving => {
                let Some(drain) = self.shared.draining() else { return ShardStatus::Running };
                self.stage = Stage::Draining { drain, since_ms: self.clock.now_ms(), cursor: 0 };
                self.for_each_connection(Self::refuse_handshake);
                self.close_due();
            }
            Stage::Draining { drain, since_ms, .. } => {
                self.close_due();
                let deadline_ms = drain.window_ms.saturating_add(self.config.drain_timeout_ms);
                if self.shared.is_cut() || self.clock.elapsed_ms(since_ms) >= deadline_ms {
                    self.driver.stop_accepting();
                    self.for_each_connection(Self::cut);
                }
            }
        }
        if self.connections.len() == 0 && self.window_is_over() {
            self.driver.stop_accepting();
            return ShardStatus::Finished;
        }
        ShardStatus::Running
    }

    /// Nobody is left to be closed, or the time for it is over.
    fn window_is_over(&self) -> bool {
        match self.stage {
            Stage::Serving => false,
            Stage::Draining { cursor, .. } => cursor >= self.connections.slots(),
        }
    }

    /// Closes the connections whose share of the window has come.
    fn close_due(&mut self) {
        let Stage::Draining { drain: Drain { code, window_ms }, since_ms, cursor } = self.stage else {
            return;
        };
        let slots = self.connections.slots();
        let elapsed_ms = self.clock.elapsed_ms(since_ms);
        let end = match elapsed_ms >= window_ms || self.counts.sessions == 0 {
            true => slots,
            false => (slots as u64 * u64::from(elapsed_ms) / u64::from(window_ms)) as usize,
        };
        for slot in cursor..end {
            if let Some((token, _)) = self.connections.at_slot(slot) {
                self.go_away(token, code);
            }
        }
        let cursor = end.max(cursor);
        self.stage = Stage::Draining { drain: Drain { code, window_ms }, since_ms, cursor };
        if cursor == slots {
            self.driver.stop_accepting();
        }
    }

    fn for_each_connection(&mut self, act: impl Fn(&mut Self, Token)) {
        for slot in 0..self.connections.slots() {
            if let Some((token, _)) = self.connections.at_slot(slot) {
                act(self, token);
            }
        }
    }

    /// A request that is not complete yet is not waited for.
    fn refuse_handshake(&mut self, token: Token) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        if let Phase::Handshaking { .. } = entry.phase {
            self.refuse(token, HandshakeError::Unavailable);
        }
    }

    fn go_away(&mut self, token: Token, code: CloseCode) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Open(session) = &mut entry.phase else { return };
        // An error means that the closing handshake was under way already.
        if session.protocol.close(Some(code), "", &mut self.cork).is_ok() {
            entry.since_ms = self.clock.now_ms();
            self.finish(token, Served { replies: 0..0, end: None });
        }
    }

    fn cut(&mut self, token: Token) {
        self.end_session(token, End::lost());
        self.reset(token);
    }
}
