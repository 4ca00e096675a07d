//! What compression costs a shard: nothing per connection without context takeover, windows within a budget with it.

use gannet_driver::sim::Network;
use gannet_proto::deflate::{Offer, PerMessageDeflate, WindowBits};

use super::peer::{Peer, Seen, frame, request_with};
use super::rig::Rig;
use crate::compression::Compression;
use crate::config::Config;

/// "Hello" as in RFC 7692 §7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const FIN_RSV1_TEXT: u8 = 0xc1;

fn dedicated(budget_bytes: usize) -> impl FnOnce(&mut Config) {
    move |config| {
        config.compression = Compression::Dedicated;
        config.compression_window_bits = 10;
        config.compression_window_bytes_max = budget_bytes;
    }
}

/// A peer that offers both windows, and what it was answered.
fn open(rig: &mut Rig) -> Peer {
    let offer = Offer(PerMessageDeflate::dedicated(WindowBits::MAX));
    let mut peer = Peer::connect(&rig.network);
    peer.write(&request_with("/", Some(offer)));
    rig.turn(0);
    rig.turn(0);
    peer
}

fn answer(network: &Network, peer: &Peer) -> String {
    let head = String::from_utf8(network.received(peer.id)).expect("only a head has come");
    let value =
        head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: permessage-deflate"));
    value.expect("compression was agreed on").to_owned()
}

#[test]
fn a_connection_without_takeover_is_as_small_as_a_plain_one_after_every_message() {
    let mut rig = Rig::new(|config| config.compression = Compression::Shared);
    let mut peer = Peer::open_compressed(&mut rig, "/", PerMessageDeflate::SHARED);
    for _ in 0..3 {
        // That an idle session keeps no memory is checked after every turn.
        peer.write(&frame(FIN_RSV1_TEXT, &HELLO));
        rig.turn(0);
        rig.turn(0);
        assert_eq!(peer.read_one(), Seen::Text(b"Hello".to_vec()));
    }
    assert_eq!(rig.shared.summary().window_bytes, 0);
}

#[test]
fn windows_are_reserved_released_and_refused_beyond_the_budget() {
    // Two windows of 1 KiB each: two connections fit, and a half.
    let mut rig = Rig::new(dedicated(5 * 1024));
    let network = rig.network.clone();
    let windows = "; server_max_window_bits=10; client_max_window_bits=10";
    let none = "; server_no_context_takeover; client_no_context_takeover";
    let peers = [open(&mut rig), open(&mut rig), open(&mut rig)];
    assert_eq!([0, 1, 2].map(|at| answer(&network, &peers[at])), [windows, windows, none]);
    let summary = rig.shared.summary();
    assert_eq!((summary.window_bytes, summary.takeovers_refused), (4 * 1024, 1));
    for gone in &peers {
        network.reset(gone.id);
    }
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.shared.summary().window_bytes, 0);
    let next = open(&mut rig);
    assert_eq!(answer(&network, &next), windows);
}

#[test]
fn a_refused_upgrade_gives_its_windows_back() {
    let mut rig = Rig::new(dedicated(1 << 20));
    let mut peer = Peer::connect(&rig.network);
    // The handler chooses a subprotocol that was not offered, so its answer cannot be sent.
    peer.write(&request_with("/bad-subprotocol", Some(Offer(PerMessageDeflate::SHARED))));
    rig.turn(0);
    rig.turn(0);
    assert_eq!((peer.read_one(), rig.shared.summary().window_bytes), (Seen::Status(500), 0));
}
