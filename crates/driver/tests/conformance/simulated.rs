//! The suite on the simulated driver.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gannet_driver::PeerAddress;
use gannet_driver::sim::{Faults, Network, PeerId, SimDriver, simulate};

use crate::harness::{Harness, Peer, PeerEnd};
use crate::rig::Rig;

/// Seeds per case.
const SEEDS: u64 = 40;

pub(crate) struct SimHarness {
    driver: SimDriver,
    network: Network,
    peers: Vec<PeerId>,
}

/// Runs a case without faults.
pub(crate) fn run(case: impl FnOnce(&mut Rig<SimHarness>)) {
    case(&mut rig(0, Faults::none()));
}

/// Runs a case under many seeds; a failure names its seed.
pub(crate) fn run_with_faults(case: impl Fn(&mut Rig<SimHarness>)) {
    for seed in 0..SEEDS {
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut rig(seed, Faults::lossless()))));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

fn rig(seed: u64, faults: Faults) -> Rig<SimHarness> {
    let (driver, network) = simulate(seed, faults);
    Rig::new(SimHarness { driver, network, peers: Vec::new() })
}

impl Harness for SimHarness {
    type Driver = SimDriver;

    const MORE_THAN_FITS_BYTES: usize = 1024 * 1024;

    fn driver(&mut self) -> &mut SimDriver {
        &mut self.driver
    }

    fn pump(&mut self) {}

    fn connect(&mut self) -> Option<Peer> {
        let peer = self.network.connect();
        if self.network.is_reset(peer) {
            return None;
        }
        self.peers.push(peer);
        Some(Peer(self.peers.len() - 1))
    }

    fn address(&self, peer: Peer) -> PeerAddress {
        self.peers[peer.0].address().into()
    }

    fn send(&mut self, peer: Peer, bytes: &[u8]) {
        self.network.send(self.peers[peer.0], bytes);
    }

    fn end_stream(&mut self, peer: Peer) {
        self.network.end_stream(self.peers[peer.0]);
    }

    fn reset(&mut self, peer: Peer) {
        self.network.reset(self.peers[peer.0]);
    }

    fn read(&mut self, peer: Peer) -> Vec<u8> {
        self.network.received(self.peers[peer.0])
    }

    fn end(&self, peer: Peer) -> Option<PeerEnd> {
        let peer = self.peers[peer.0];
        match (self.network.is_ended(peer), self.network.is_reset(peer)) {
            (_, true) => Some(PeerEnd::Reset),
            (true, false) => Some(PeerEnd::EndOfStream),
            (false, false) => None,
        }
    }
}
