//! Runs turns on a harness and writes down what the driver reports.
//!
//! Invariant: the rig obeys the contract as a caller has to: it never sends while a send is in flight, and it sends the
//! rest after a short [`Completion::Sent`]. Everything reported is in the log, in order.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use gannet_driver::{Completion, Driver, PeerAddress, ReceiveEnd, SendOutcome, Token};

use crate::harness::{Harness, Peer, PeerEnd};

/// Turns after which a condition that does not hold never will. A turn without events takes 5 ms on a real backend.
const TURNS_MAX: usize = 4000;
/// Turns in which anything that could happen has happened, once the kernel knows of it.
const SETTLED_TURNS: usize = 30;

/// What the driver reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Accepted(Token, PeerAddress),
    Received(Token, Vec<u8>),
    Ended(Token, ReceiveEnd),
    /// A send in flight completed: how much of its buffer has left, or why not.
    Sent(Token, Result<usize, io::ErrorKind>),
    /// A buffer has left whole, at once or in the end.
    SentAll(Token),
    Closed(Token),
}

impl Event {
    pub(crate) const fn token(&self) -> Token {
        match self {
            Self::Accepted(token, _)
            | Self::Received(token, _)
            | Self::Ended(token, _)
            | Self::Sent(token, _)
            | Self::SentAll(token)
            | Self::Closed(token) => *token,
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Accepted(..) => Kind::Accepted,
            Self::Received(..) => Kind::Received,
            Self::Ended(_, ReceiveEnd::EndOfStream) => Kind::EndOfStream,
            Self::Ended(_, ReceiveEnd::Failed(_)) => Kind::Broken,
            Self::Sent(_, Ok(_)) => Kind::Sent,
            Self::Sent(_, Err(_)) => Kind::SendFailed,
            Self::SentAll(_) => Kind::SentAll,
            Self::Closed(_) => Kind::Closed,
        }
    }
}

/// The kind of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Accepted,
    Received,
    EndOfStream,
    /// Receiving ended with an error.
    Broken,
    Sent,
    SendFailed,
    SentAll,
    Closed,
}

/// What became of a send, without its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    Done,
    InFlight,
    Failed,
}

/// A harness, and the log.
pub(crate) struct Rig<H> {
    pub(crate) harness: H,
    pub(crate) log: Vec<Event>,
    /// How often a send was in flight, per token.
    pub(crate) in_flight: HashMap<Token, usize>,
    read: HashMap<Peer, Vec<u8>>,
}

impl<H: Harness> Rig<H> {
    pub(crate) fn new(harness: H) -> Self {
        Self { harness, log: Vec::new(), in_flight: HashMap::new(), read: HashMap::new() }
    }

    pub(crate) fn driver(&mut self) -> &mut H::Driver {
        self.harness.driver()
    }

    /// A turn.
    pub(crate) fn turn(&mut self) {
        self.turn_with(|_, _| {});
    }

    /// A turn in which `act` sees each event as the driver hands it out.
    fn turn_with(&mut self, act: impl FnMut(&mut Self, &Event)) {
        self.harness.pump();
        self.driver().reap(Some(Duration::from_millis(5))).unwrap();
        self.drain(act);
    }

    /// The part of a turn after reaping.
    pub(crate) fn drain(&mut self, mut act: impl FnMut(&mut Self, &Event)) {
        while let Some(completion) = self.driver().poll_completion() {
            if let Some(event) = self.note(completion) {
                self.log.push(event.clone());
                act(self, &event);
            }
        }
    }

    fn note(&mut self, completion: Completion) -> Option<Event> {
        Some(match completion {
            Completion::Accepted { token, peer, .. } => Event::Accepted(token, peer),
            Completion::PeerNamed { .. } => panic!("a backend names no peers"),
            Completion::Received { token, bytes } => {
                let received = self.driver().received(&[]).to_vec();
                assert_eq!(received.len(), bytes);
                Event::Received(token, received)
            }
            Completion::ReceiveEnded { token, end } => Event::Ended(token, end),
            Completion::Sent { token, buffer, sent } => {
                self.log.push(Event::Sent(token, sent));
                match sent {
                    Ok(sent) if sent < buffer.len() => {
                        self.send_from(token, buffer, sent);
                        return None;
                    }
                    Ok(_) => Event::SentAll(token),
                    Err(_) => return None,
                }
            }
            Completion::Closed { token } => Event::Closed(token),
            Completion::Woken => return None,
        })
    }

    pub(crate) fn send(&mut self, token: Token, bytes: &[u8]) -> Sending {
        self.send_from(token, bytes.to_vec(), 0)
    }

    pub(crate) fn send_from(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> Sending {
        let outcome = self.driver().send(token, buffer, from);
        self.note_outcome(token, &outcome)
    }

    /// Writes down what became of a send.
    pub(crate) fn note_outcome(&mut self, token: Token, outcome: &SendOutcome) -> Sending {
        match outcome {
            SendOutcome::Sent(_) => {
                self.log.push(Event::SentAll(token));
                Sending::Done
            }
            SendOutcome::InFlight { bytes } => {
                assert!(*bytes > 0, "a send in flight has bytes left");
                *self.in_flight.entry(token).or_default() += 1;
                Sending::InFlight
            }
            SendOutcome::Failed => Sending::Failed,
        }
    }

    /// Runs turns until `condition` holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        for _turn in 0..TURNS_MAX {
            if condition(self) {
                return;
            }
            self.turn();
        }
        let last: Vec<_> = self.log.iter().rev().take(8).map(|event| (event.token(), event.kind())).collect();
        panic!("not in {TURNS_MAX} turns: {what}; the last events, newest first: {last:?}");
    }

    /// Runs turns until `act`, which sees each event as the driver hands it out, says that it has seen enough.
    pub(crate) fn until_event(&mut self, what: &str, mut act: impl FnMut(&mut Self, &Event) -> bool) {
        for _turn in 0..TURNS_MAX {
            let mut is_enough = false;
            self.turn_with(|rig, event| is_enough = is_enough || act(rig, event));
            if is_enough {
                return;
            }
        }
        panic!("not in {TURNS_MAX} turns: {what}");
    }

    /// Runs turns until everything that was done before has come through: a new connection has sent a byte, which the
    /// kernel has delivered after what came before, and then some turns more.
    pub(crate) fn settle(&mut self) {
        let (bystander, token) = self.connect();
        self.harness.send(bystander, b"!");
        self.until("a byte of the bystander", |rig| rig.received(token) == b"!");
        for _turn in 0..SETTLED_TURNS {
            self.harness.pump();
            self.driver().reap(Some(Duration::ZERO)).unwrap();
            self.drain(|_, _| {});
        }
    }

    /// Connects a peer and waits until it is accepted.
    pub(crate) fn connect(&mut self) -> (Peer, Token) {
        let peer = self.harness.connect().expect("the connection is refused");
        (peer, self.accepted(peer))
    }

    /// The token of a peer that has connected.
    pub(crate) fn accepted(&mut self, peer: Peer) -> Token {
        let address = self.harness.address(peer);
        let find = |rig: &Self| {
            let mut accepted = rig.log.iter().filter_map(|event| match event {
                Event::Accepted(token, peer) if *peer == address => Some(*token),
                _ => None,
            });
            match address {
                // A port may be used again.
                PeerAddress::Ip(_) => accepted.next_back(),
                // All have the same address; the queue keeps their order.
                PeerAddress::Unix => accepted.nth(peer.0),
            }
        };
        self.until("the accept", |rig| find(rig).is_some());
        find(self).expect("found a moment ago")
    }

    /// All bytes that were received for a token.
    pub(crate) fn received(&self, token: Token) -> Vec<u8> {
        let parts = self.log.iter().filter_map(|event| match event {
            Event::Received(of, bytes) if *of == token => Some(bytes.as_slice()),
            _ => None,
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// All bytes that the peer has read.
    pub(crate) fn read(&mut self, peer: Peer) -> &[u8] {
        let bytes = self.harness.read(peer);
        let all = self.read.entry(peer).or_default();
        all.extend(bytes);
        all
    }

    /// The end of the stream to the peer, behind everything that it has read.
    pub(crate) fn peer_end(&mut self, peer: Peer) -> Option<PeerEnd> {
        self.read(peer);
        self.harness.end(peer)
    }

    /// The kinds of all completions of a token, in order; runs of the same kind count once.
    pub(crate) fn kinds(&self, token: Token) -> Vec<Kind> {
        let mut kinds: Vec<_> =
            self.log.iter().filter(|event| event.token() == token).map(Event::kind).collect();
        kinds.dedup();
        kinds
    }

    /// How often the log has an event of this kind for a token.
    pub(crate) fn count(&self, token: Token, kind: Kind) -> usize {
        self.log.iter().filter(|event| event.token() == token && event.kind() == kind).count()
    }

    /// Whether the log has an event of this kind for a token.
    pub(crate) fn has(&self, token: Token, kind: Kind) -> bool {
        self.count(token, kind) > 0
    }
}

/// `length` bytes in which no place looks like its neighbours.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31) ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}
