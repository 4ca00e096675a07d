//! What a backend has to offer to the suite: a driver, and peers that do as they are told.

use gannet_driver::{Driver, PeerAddress};

/// The name of a peer in a harness: how many connected before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(pub(crate) usize);

/// How the stream of a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerEnd {
    EndOfStream,
    Reset,
}

/// A driver and its peers.
pub(crate) trait Harness {
    type Driver: Driver;

    /// More bytes than a send can leave with a peer that does not read.
    const MORE_THAN_FITS_BYTES: usize;

    /// Whether a reset is more than the end of the stream: it is not over a Unix socket.
    const HAS_RESETS: bool = true;

    fn driver(&mut self) -> &mut Self::Driver;

    /// Lets the peers go on with what they could not finish; called before each turn.
    fn pump(&mut self);

    /// Connects a peer, or says that it was refused.
    fn connect(&mut self) -> Option<Peer>;

    /// The address that the driver is to report for a peer.
    fn address(&self, peer: Peer) -> PeerAddress;

    /// Sends bytes; what does not fit leaves during later turns.
    fn send(&mut self, peer: Peer, bytes: &[u8]);

    /// Ends the stream of the peer, behind everything that it sends.
    fn end_stream(&mut self, peer: Peer);

    /// Resets the connection, behind everything that has left.
    fn reset(&mut self, peer: Peer);

    /// Reads what has arrived at the peer.
    fn read(&mut self, peer: Peer) -> Vec<u8>;

    /// The end of the stream to the peer, once reading has come to it.
    fn end(&self, peer: Peer) -> Option<PeerEnd>;
}
