//! Reaching connections from other threads and other shards.
//!
//! A [`Remote`] puts mail into the mailbox of the shard that owns the connection, and wakes it. Invariant: nothing else of a
//! shard is touched from outside, and a mailbox has a limit: a sender learns at once that it is full.

mod mailbox;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use gannet_driver::Token;
use gannet_proto::CloseCode;

pub(crate) use mailbox::{Mail, Mailbox, Waiter};

use crate::inspect::{ConnectionInfo, Inspect};
use crate::metrics::Counts;

/// How long shards have to answer a question. One that does not is stuck in a call of its handler.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of a connection for as long as it lives; it is not used again in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    shard: u32,
    slot: u32,
    generation: u32,
}

impl ConnectionId {
    pub(crate) const fn new(shard: u32, token: Token) -> Self {
        Self { shard, slot: token.slot() as u32, generation: token.generation() }
    }

    pub(crate) const fn token(self) -> Token {
        Token::new(self.slot, self.generation)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.slot, self.generation)
    }
}

/// A text that names no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a connection: it is three numbers with hyphens, as in 0-17-42")]
pub struct ConnectionIdError;

impl FromStr for ConnectionId {
    type Err = ConnectionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split('-').map(|number| number.parse().map_err(|_| ConnectionIdError));
        let mut next = || numbers.next().ok_or(ConnectionIdError)?;
        let id = Self { shard: next()?, slot: next()?, generation: next()? };
        if numbers.next().is_none() { Ok(id) } else { Err(ConnectionIdError) }
    }
}

/// A message from outside a shard; its bytes are shared, however many connections get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text message.
    Text(Arc<str>),
    /// A binary message.
    Binary(Arc<[u8]>),
}

impl Outgoing {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// Why mail was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The mailbox holds as much as it may.
    #[error("the mailbox of the shard holds {bytes} bytes and its limit is {limit}: send less, or later")]
    Full {
        /// Bytes in the mailbox.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The engine is not running (any more), or has no such shard.
    #[error("the engine does not run, or has no such shard")]
    Gone,
    /// The code may not be sent in a Close frame (RFC 6455 §7.4), or the reason is longer than 123 bytes.
    #[error(
        "close code {code} with a reason of {reason_bytes} bytes cannot be sent: use 1000 to 1014 or 3000 to 4999, and 123 bytes"
    )]
    Close {
        /// The code.
        code: u16,
        /// The length of the reason.
        reason_bytes: usize,
    },
}

/// Reaches the connections of an engine from any thread. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    mailboxes: Arc<OnceLock<Vec<Arc<Mailbox>>>>,
}

impl Remote {
    pub(crate) fn open(&self, mailboxes: Vec<Arc<Mailbox>>) {
        // Once, by the engine that this was made for.
        self.mailboxes.set(mailboxes).ok();
    }

    /// The mailbox of a shard of the engine that this was made for.
    pub(crate) fn mailbox_of(&self, shard: usize) -> Arc<Mailbox> {
        self.mailboxes.get().expect("opened before the shards start")[shard].clone()
    }

    /// Sends a message to a connection. If it is gone by then, or closing, that is counted
    /// ([`Counts::undeliverable`]); if its outbox is full, the [`OutboxPolicy`](crate::OutboxPolicy) decides.
    ///
    /// # Errors
    /// [`RemoteError::Full`] or [`RemoteError::Gone`]; nothing was sent then.
    pub fn send(&self, id: ConnectionId, message: Outgoing) -> Result<(), RemoteError> {
        self.send_to_all(&[id], message)
    }

    /// Sends a message to many connections; see [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send), for one or more of the shards; the connections of the others get the message.
    pub fn send_to_all(&self, ids: &[ConnectionId], message: Outgoing) -> Result<(), RemoteError> {
        let mut result = Ok(());
        for (shard, mailbox) in self.shards_of().enumerate() {
            let here = ids.iter().filter(|id| id.shard as usize == shard);
            let to: Vec<Token> = here.map(|id| id.token()).collect();
            if !to.is_empty() {
                let mail = Mail::Send { to, message: message.clone(), waiter: None };
                let put = mailbox.put(mail, message.len());
                result = result.and(put);
            }
        }
        match ids.iter().all(|id| self.mailbox(*id).is_ok()) {
            true => result,
            false => Err(RemoteError::Gone),
        }
    }

    /// As [`send`](Self::send), and waits until everything that waits for that connection has left, or it is gone. Not to
    /// be called on the thread of a shard, which would wait for itself.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_and_wait(&self, id: ConnectionId, message: Outgoing) -> Result<(), RemoteError> {
        let (waiter, left) = Waiter::new();
        let bytes = message.len();
        let mail = Mail::Send { to: vec![id.token()], message, waiter: Some(waiter) };
        self.mailbox(id)?.put(mail, bytes)?;
        // It ends with an error: the waiter says nothing, it is dropped.
        left.recv().ok();
        Ok(())
    }

    /// Starts the closing handshake of a connection (RFC 6455 §7.1.2); see [`send`](Self::send).
    ///
    /// # Errors
    /// A code or a reason that cannot be sent, or as [`send`](Self::send).
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), RemoteError> {
        if !code.is_sendable() || reason.len() > 123 {
            return Err(RemoteError::Close { code: code.into(), reason_bytes: reason.len() });
        }
        let mail = Mail::Close { token: id.token(), code, reason: reason.into() };
        self.mailbox(id)?.put(mail, reason.len())
    }

    /// Whether a connection is open, neither gone nor closing; `None` if its shard does not answer within a second. Not to be
    /// called on the thread of a shard.
    #[must_use]
    pub fn is_open(&self, id: ConnectionId) -> Option<bool> {
        let Ok(mailbox) = self.mailbox(id) else { return Some(false) };
        let (reply, answer) = mpsc::channel();
        // A full mailbox is that of a shard that is stuck.
        mailbox.put(Mail::IsOpen { token: id.token(), reply }, 0).ok()?;
        answer.recv_timeout(ANSWER_TIMEOUT).ok()
    }

    /// The connections that come first in an order, of all shards. A shard that does not answer within a second is left out.
    #[must_use]
    pub fn connections(&self, query: &Inspect) -> Vec<ConnectionInfo> {
        let mut found: Vec<_> = self.ask(query).into_iter().flat_map(|(_, answer)| answer).collect();
        query.order(&mut found);
        found
    }

    /// The shards that do not answer within a second, by number: they are stuck in a call of their handler.
    #[must_use]
    pub fn stuck(&self) -> Vec<usize> {
        let answered = self.ask(&Inspect::default());
        let all = 0..self.shards_of().count();
        all.filter(|shard| answered.iter().all(|(answering, _)| answering != shard)).collect()
    }

    /// The counts of each shard.
    #[must_use]
    pub fn shards(&self) -> Vec<Counts> {
        self.shards_of().map(|mailbox| mailbox.counts.get()).collect()
    }

    /// Asks every shard, and collects what comes in time.
    fn ask(&self, query: &Inspect) -> Vec<(usize, Vec<ConnectionInfo>)> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let (reply, answers) = mpsc::channel();
        for (shard, mailbox) in self.shards_of().enumerate() {
            let mail = Mail::Inspect { shard, query: *query, reply: reply.clone() };
            // A full mailbox is that of a shard that is stuck: it shows as one that does not answer.
            mailbox.put(mail, 0).ok();
        }
        drop(reply);
        let in_time = || answers.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(in_time).collect()
    }

    fn shards_of(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.mailboxes.get().into_iter().flatten()
    }

    fn mailbox(&self, id: ConnectionId) -> Result<&Mailbox, RemoteError> {
        let mailboxes = self.mailboxes.get().ok_or(RemoteError::Gone)?;
        Ok(mailboxes.get(id.shard as usize).ok_or(RemoteError::Gone)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = ConnectionId::new(3, Token::new(17, 42));
        assert_eq!(id.to_string(), "3-17-42");
        assert_eq!("3-17-42".parse(), Ok(id));
        for text in ["", "3-17", "3-17-42-1", "3--42", "-3-17-42", "3-17-x", "3-17-4294967296"] {
            assert_eq!(text.parse::<ConnectionId>(), Err(ConnectionIdError), "{text}");
        }
    }

    #[test]
    fn before_the_engine_runs_nothing_is_taken() {
        let id = ConnectionId::new(0, Token::new(0, 0));
        let remote = Remote::default();
        assert_eq!(remote.send(id, Outgoing::Text("a".into())), Err(RemoteError::Gone));
        assert_eq!(remote.close(id, CloseCode::NORMAL, ""), Err(RemoteError::Gone));
        let unsendable = RemoteError::Close { code: 1006, reason_bytes: 0 };
        assert_eq!(remote.close(id, CloseCode::ABNORMAL, ""), Err(unsendable));
    }
}
