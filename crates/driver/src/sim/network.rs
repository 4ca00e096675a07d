//! The other side of a simulation: the peers, as a test plays them.
//!
//! Invariant: nothing here runs the driver. What a peer does becomes visible to the driver in its next turn.

use std::cell::{RefCell, RefMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use super::link::Link;
use super::world::World;
use crate::ReceiveEnd;

/// The name of a peer. It stays valid after the connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(pub(super) usize);

impl PeerId {
    /// The address that the driver reports for this peer: another one for each of the first 2^24 peers.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        let [_, high, middle, low] = u32::to_be_bytes(self.0 as u32);
        SocketAddr::from((Ipv4Addr::new(10, high, middle, low), 40_000))
    }
}

/// The network of a simulation; clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Network {
    world: Rc<RefCell<World>>,
}

impl Network {
    pub(super) const fn new(world: Rc<RefCell<World>>) -> Self {
        Self { world }
    }

    fn link(&self, peer: PeerId) -> RefMut<'_, Link> {
        RefMut::map(self.world.borrow_mut(), |world| &mut world.links[peer.0])
    }

    /// Connects a peer. If the driver has stopped accepting, the peer finds itself reset.
    pub fn connect(&self) -> PeerId {
        self.world.borrow_mut().connect()
    }

    /// Sends bytes to the driver. Does nothing once the stream of this peer has ended.
    pub fn send(&self, peer: PeerId, bytes: &[u8]) {
        self.link(peer).push(bytes);
    }

    /// Takes what has arrived at a peer since the last call, which opens its window again.
    #[must_use]
    pub fn received(&self, peer: PeerId) -> Vec<u8> {
        self.link(peer).take_arrived()
    }

    /// Ends the stream of a peer (FIN). It can still receive.
    pub fn end_stream(&self, peer: PeerId) {
        self.link(peer).end_stream();
    }

    /// Resets the connection of a peer (RST), behind the bytes that it has sent.
    pub fn reset(&self, peer: PeerId) {
        self.link(peer).reset();
    }

    /// Sets how many bytes the receive window of a peer holds until the test takes them: 0 for a peer that does not
    /// read at all. At first it is 128 KiB.
    pub fn set_window(&self, peer: PeerId, bytes: usize) {
        self.link(peer).set_window(bytes);
    }

    /// Bytes that a peer has sent and the driver has not received: what the peer feels of `pause_receive`.
    #[must_use]
    pub fn unread_bytes(&self, peer: PeerId) -> usize {
        self.link(peer).unread_bytes()
    }

    /// Whether a peer, behind what has arrived, has come to the end of its stream or was reset.
    #[must_use]
    pub fn is_ended(&self, peer: PeerId) -> bool {
        self.link(peer).server_end().is_some()
    }

    /// Whether the connection of a peer was reset, by either side.
    #[must_use]
    pub fn is_reset(&self, peer: PeerId) -> bool {
        matches!(self.link(peer).server_end(), Some(ReceiveEnd::Failed(_)))
    }

    /// Connections that the driver was given and has not closed.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.world.borrow().links.iter().filter(|link| link.is_open()).count()
    }

    /// Sends that the driver has not completed.
    #[must_use]
    pub fn sends_in_flight(&self) -> usize {
        self.world.borrow().links.iter().filter(|link| link.in_flight.is_some()).count()
    }
}
