//! The end of a shard, and its cap on connections.

use gannet_proto::CloseCode;

use super::peer::{Peer, Seen, request};
use super::rig::Rig;
use crate::shard::ShardStatus;
use crate::shared::Drain;

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

#[test]
fn the_close_frames_of_a_drain_are_spread_evenly_over_its_window_and_new_requests_are_refused() {
    let mut rig = Rig::new(|_| {});
    let mut peers: Vec<Peer> = (0..100).map(|_| Peer::open(&mut rig, "/")).collect();
    rig.drain(Drain { code: CloseCode::SERVICE_RESTART, window_ms: 10_000 });
    let mut closed = Vec::new();
    for tenth in 1..=10 {
        rig.run(1000);
        let seen: Vec<Seen> = peers.iter_mut().flat_map(Peer::read).collect();
        assert!(seen.iter().all(|seen| *seen == Seen::Close(1012)), "{seen:?}");
        closed.push(seen.len());
        if tenth == 5 {
            let mut late = Peer::connect(&rig.network);
            rig.turn(0);
            assert_eq!(late.read_one(), Seen::Status(503));
            rig.network.end_stream(late.id);
            peers.last_mut().unwrap().text("still served");
            rig.turn(0);
            let seen = peers.last_mut().unwrap().read_one();
            assert_eq!(seen, Seen::Text(b"still served".to_vec()));
        }
    }
    assert!(closed.iter().all(|count| (9..=11).contains(count)), "{closed:?}");
    rig.run(100);
    for peer in &mut peers {
        peer.read();
    }
    rig.run(1_500);
    assert_eq!(rig.status, ShardStatus::Finished);
    let summary = rig.summary();
    assert_eq!((summary.drained_cleanly, summary.drained_cut), (100, 0));
}

#[test]
fn a_shard_told_to_end_now_cuts_what_is_left() {
    let mut rig = Rig::new(|_| {});
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::open(&mut rig, "/")).collect();
    rig.drain(Drain { code: CloseCode::GOING_AWAY, window_ms: 10_000 });
    rig.run(5_100);
    let told = peers.iter_mut().flat_map(Peer::read).count();
    assert_eq!(told, 5);
    rig.shared.cut();
    rig.run(20);
    assert_eq!(rig.status, ShardStatus::Finished);
    let summary = rig.summary();
    assert_eq!((summary.drained_cleanly, summary.drained_cut), (5, 5));
}
