//! The end of a shard, and its cap on connections.

use super::peer::{Peer, Seen, request};
use super::rig::Rig;
use crate::shard::ShardStatus;

#[test]
fn a_stopped_shard_says_1001_or_503_and_finishes_once_all_are_gone() {
    let mut rig = Rig::new(|_| {});
    let mut open = Peer::open(&mut rig, "/");
    let mut handshaking = Peer::connect(&rig.network);
    handshaking.write(&request("/")[..50]);
    rig.turn(0);
    rig.turn(0);
    rig.stop();
    rig.turn(0);
    assert_eq!((open.read_one(), handshaking.read_one()), (Seen::Close(1001), Seen::Status(503)));
    let late = Peer::connect(&rig.network);
    rig.turn(0);
    assert!(late.is_reset());
    assert_eq!(rig.record(open.id).closed, [(1001, true)]);
    for peer in [&open, &handshaking] {
        rig.network.end_stream(peer.id);
    }
    rig.turn(0);
    rig.turn(0);
    assert_eq!((rig.status, rig.network.open_connections()), (ShardStatus::Finished, 0));
}

#[test]
fn peers_that_do_not_go_are_cut_at_the_drain_deadline_of_the_shard() {
    let mut rig = Rig::new(|config| {
        config.drain_timeout_ms = 10_000;
        config.close_timeout_ms = 60_000;
    });
    let mut mute = Peer::open(&mut rig, "/");
    mute.answers = false;
    let mut stalled = Peer::open(&mut rig, "/");
    rig.network.set_window(stalled.id, 10);
    stalled.text("/large");
    rig.turn(0);
    rig.stop();
    rig.turn(0);
    rig.run(9_990);
    assert_eq!((rig.status, rig.network.open_connections()), (ShardStatus::Running, 2));
    rig.run(20);
    assert_eq!((rig.status, rig.network.open_connections()), (ShardStatus::Finished, 0));
    for peer in [&mute, &stalled] {
        assert_eq!((rig.record(peer.id).closed, peer.is_reset()), (vec![(1006, false)], true));
    }
    assert_eq!(rig.network.sends_in_flight(), 0);
    assert_eq!(mute.read_one(), Seen::Close(1001));
}

#[test]
fn a_shard_without_connections_finishes_in_the_turn_that_notices_the_stop() {
    let mut rig = Rig::new(|_| {});
    rig.turn(0);
    rig.stop();
    rig.turn(0);
    assert_eq!(rig.status, ShardStatus::Finished);
}

#[test]
fn a_refused_connection_that_lingers_takes_nobodys_place() {
    let mut rig = Rig::new(|config| config.connections_max = Some(1));
    let first = Peer::open(&mut rig, "/");
    let mut refused = Peer::connect(&rig.network);
    rig.turn(0);
    assert_eq!(refused.read_one(), Seen::Status(503));
    rig.network.reset(first.id);
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.network.open_connections(), 1, "the refused one has not ended its stream yet");
    Peer::open(&mut rig, "/");
}
