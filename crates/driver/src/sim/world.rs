//! What the driver and the peers of a simulation share: every connection, and chance.
//!
//! Invariant: chance is drawn only here, in an order that follows from the calls of driver and peers.

use std::collections::VecDeque;

use super::faults::Faults;
use super::link::{InFlight, Link};
use super::network::PeerId;
use super::rng::Rng;
use crate::SendOutcome;

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    /// Every connection there ever was, by [`PeerId`].
    pub(super) links: Vec<Link>,
    /// Connections that wait to be accepted.
    pub(super) backlog: VecDeque<PeerId>,
    pub(super) is_listening: bool,
}

impl World {
    pub(super) const fn new(seed: u64, faults: Faults) -> Self {
        Self { rng: Rng::new(seed), faults, links: Vec::new(), backlog: VecDeque::new(), is_listening: true }
    }

    pub(super) fn connect(&mut self) -> PeerId {
        let peer = PeerId(self.links.len());
        let mut link = Link::new();
        if self.is_listening {
            self.backlog.push_back(peer);
        } else {
            link.refuse();
        }
        self.links.push(link);
        peer
    }

    pub(super) fn stop_listening(&mut self) {
        self.is_listening = false;
        for peer in self.backlog.drain(..) {
            self.links[peer.0].refuse();
        }
    }

    /// Breaks the connection of `peer` or its stream, if it is their turn.
    pub(super) fn disturb(&mut self, peer: PeerId) {
        let link = &mut self.links[peer.0];
        if self.rng.chance(self.faults.reset_per_mille) {
            let kept = self.rng.below(link.unread_bytes() + 1);
            link.break_off(kept);
        } else if self.rng.chance(self.faults.end_of_stream_per_mille) {
            let kept = self.rng.below(link.unread_bytes() + 1);
            link.end_early(kept);
        }
    }

    /// How many of the bytes waiting for `peer`'s connection one receive gives, at most `bytes_max`.
    pub(super) fn receive_bytes(&mut self, peer: PeerId, bytes_max: usize) -> usize {
        let bytes = self.links[peer.0].unread_bytes().min(bytes_max);
        if bytes > 0 && self.rng.chance(self.faults.short_receive_per_mille) {
            return self.rng.part_of(bytes);
        }
        bytes
    }

    /// Sends `buffer[sent..]`, whole or in part; the rest is in flight.
    pub(super) fn send(&mut self, peer: PeerId, buffer: Vec<u8>, sent: usize) -> SendOutcome {
        let link = &mut self.links[peer.0];
        debug_assert!(link.in_flight.is_none(), "at most one send is in flight");
        if link.is_send_broken() {
            return SendOutcome::Failed;
        }
        let is_parked = sent < buffer.len() && self.rng.chance(self.faults.parked_send_per_mille);
        let sent = if is_parked { sent } else { sent + self.deliver(peer, &buffer[sent..]) };
        if sent == buffer.len() {
            return SendOutcome::Sent(buffer);
        }
        let bytes = buffer.len() - sent;
        self.links[peer.0].in_flight = Some(InFlight { buffer, sent });
        SendOutcome::InFlight { bytes }
    }

    /// Gives `peer` what its window takes of `bytes`, and says how much that was.
    pub(super) fn deliver(&mut self, peer: PeerId, bytes: &[u8]) -> usize {
        let link = &mut self.links[peer.0];
        let mut taken = link.room_bytes().min(bytes.len());
        if taken > 0 && self.rng.chance(self.faults.short_send_per_mille) {
            taken = self.rng.part_of(taken);
        }
        link.deliver(&bytes[..taken]);
        taken
    }
}
