//! What other threads want of a shard: messages to its connections, their closing, and a look at them.
//!
//! Invariant: mail for a connection that is gone or closing is counted, never an error of the shard.

use std::cmp::Reverse;

use gannet_driver::{Driver, Token};
use gannet_proto::CloseCode;

use super::Shard;
use crate::connection::{Entry, Phase, Served, Session};
use crate::handler::Handler;
use crate::inspect::{ConnectionInfo, Inspect};
use crate::remote::{ConnectionId, Mail, Outgoing, Waiter};

impl<D: Driver, H: Handler> Shard<D, H> {
    /// Does what the mail of this turn asks for.
    #[inline]
    pub(super) fn take_mail(&mut self) {
        for mail in self.mailbox.take() {
            self.on_mail(mail);
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Send { to, message, mut waiter } => {
                for token in to {
                    self.deliver(token, &message, &mut waiter);
                }
            }
            Mail::IsOpen { token, reply } => drop(reply.send(self.is_open(token))),
            Mail::Close { token, code, reason } => self.close_from_outside(token, code, &reason),
            // Nobody waits for the answer any more if it cannot be sent.
            Mail::Inspect { shard, query, reply } => drop(reply.send((shard, self.inspect(&query)))),
        }
    }

    fn deliver(&mut self, token: Token, message: &Outgoing, waiter: &mut Option<Waiter>) {
        if !self.is_open(token) {
            self.counts.undeliverable += 1;
            return;
        }
        let served = self.call(token, |_, context, _| {
            // A full outbox is counted, and the policy says what follows.
            let sent = match message {
                Outgoing::Text(text) => context.send_text(text),
                Outgoing::Binary(bytes) => context.send_binary(bytes),
            };
            sent.ok();
        });
        if let Some(served) = served {
            self.finish(token, served);
        }
        if let Some(entry) = self.connections.get_mut(token)
            && let Phase::Open(Session { rare: Some(rare), .. }) = &mut entry.phase
            && !rare.outbox.is_empty()
        {
            rare.waiters.extend(waiter.take());
        }
    }

    fn is_open(&mut self, token: Token) -> bool {
        let is_open =
            |entry: &mut Entry<H::State>| matches!(&entry.phase, Phase::Open(session) if session.is_open());
        self.connections.get_mut(token).is_some_and(is_open)
    }

    fn close_from_outside(&mut self, token: Token, code: CloseCode, reason: &str) {
        let now_ms = self.clock.now_ms();
        let entry = self.connections.get_mut(token);
        let Some(Entry { phase: Phase::Open(session), since_ms, .. }) = entry else {
            self.counts.undeliverable += 1;
            return;
        };
        match session.protocol.close(Some(code), reason, &mut self.cork) {
            Ok(()) => {
                *since_ms = now_ms;
                self.finish(token, Served { replies: 0..0, end: None });
            }
            Err(_) => self.counts.undeliverable += 1,
        }
    }

    /// The connections that come first.
    fn inspect(&mut self, query: &Inspect) -> Vec<ConnectionInfo> {
        let now_s = self.clock.now_ms() / 1000;
        let rank = |session: &Session<H::State>| {
            let buffered_bytes = session.rare.as_ref().map_or(0, |rare| rare.charged_bytes());
            query.rank(buffered_bytes, age_ms(now_s, session), session.rates.messages())
        };
        let mut ranked: Vec<(u64, Token)> = Vec::new();
        if query.limit > 0 {
            ranked.extend(self.connections.iter().filter_map(|(token, entry)| match &entry.phase {
                Phase::Open(session) => Some((rank(session), token)),
                _ => None,
            }));
        }
        let limit = query.limit.min(ranked.len());
        if limit > 0 {
            ranked.select_nth_unstable_by_key(limit - 1, |&(rank, token)| (Reverse(rank), token.slot()));
        }
        ranked.truncate(limit);
        ranked.into_iter().filter_map(|(_, token)| self.describe(token, now_s)).collect()
    }

    fn describe(&mut self, token: Token, now_s: u32) -> Option<ConnectionInfo> {
        let stats = self.driver.socket_stats(token);
        let counted = self.connections.place(token).and_then(|place| self.shared.admission.address(place));
        let Phase::Open(session) = &self.connections.get_mut(token)?.phase else { return None };
        // A panic was counted.
        let described = self.handler.call(|handler| {
            let description = handler.describe(&session.state);
            (description.path.to_owned(), description.subprotocol.to_owned())
        });
        let (path, subprotocol) = described.unwrap_or_default();
        let peer = stats.map_or_else(String::new, |stats| stats.peer.to_string());
        Some(ConnectionInfo {
            id: ConnectionId::new(self.number, token),
            client: counted.map_or_else(|| peer.clone(), |address| address.to_string()),
            peer,
            path,
            subprotocol,
            age_ms: age_ms(now_s, session),
            messages: session.rates.messages(),
            buffered_bytes: session.rare.as_ref().map_or(0, |rare| rare.charged_bytes()),
            rtt_us: stats.and_then(|stats| stats.rtt_us),
            unsent_bytes: stats.map(|stats| stats.unsent_bytes),
        })
    }
}

fn age_ms<S>(now_s: u32, session: &Session<S>) -> u64 {
    u64::from(now_s.wrapping_sub(session.opened_s)) * 1000
}
