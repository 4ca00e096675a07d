//! Every deadline of a connection, to the millisecond and the period of the sweep.

use super::peer::{Peer, Seen, frame, request};
use super::rig::Rig;
use crate::timers::SWEEP_PERIOD_MS;

/// A deadline is met at most so much late.
const LATE_MS: u64 = SWEEP_PERIOD_MS as u64;

#[test]
fn a_request_that_is_not_whole_is_answered_408_at_the_handshake_deadline() {
    let mut rig = Rig::new(|config| config.handshake_timeout_ms = 10_000);
    let mut silent = Peer::connect(&rig.network);
    let mut dripping = Peer::connect(&rig.network);
    rig.turn(0);
    for byte in &request("/")[..99] {
        dripping.write(&[*byte]);
        rig.run(100);
    }
    assert_eq!((silent.read(), dripping.read()), (vec![], vec![]));
    rig.run(100 + LATE_MS);
    assert_eq!((silent.read_one(), dripping.read_one()), (Seen::Status(408), Seen::Status(408)));
    assert!(silent.is_ended() && !silent.is_reset());
    assert_eq!((rig.shared.summary().refused, rig.shared.summary().opened), (2, 0));
}

#[test]
fn silent_peers_are_pinged_after_three_quarters_to_all_of_the_interval_and_not_together() {
    let mut rig = Rig::new(|config| config.ping_interval_ms = 40_000);
    let mut peers: Vec<Peer> = (0..40).map(|_| Peer::open(&mut rig, "/")).collect();
    rig.run(29_990);
    assert!(peers.iter_mut().all(|peer| peer.read().is_empty()));
    let mut pinged = Vec::new();
    for _period in 0..=40 {
        rig.run(LATE_MS);
        pinged.push(peers.iter_mut().map(|peer| peer.read().len()).sum::<usize>());
    }
    assert_eq!(pinged.iter().sum::<usize>(), 40);
    assert!(pinged.iter().all(|&pings| pings <= 5), "{pinged:?}");
}

#[test]
fn a_peer_that_does_not_answer_a_ping_is_cut_at_the_pong_deadline_and_one_that_does_stays() {
    let mut rig = Rig::new(|config| {
        config.ping_interval_ms = 1_000;
        config.pong_timeout_ms = 20_000;
    });
    let mut alive = Peer::open(&mut rig, "/");
    let mut vanished = Peer::open(&mut rig, "/");
    vanished.answers = false;
    rig.run(1_000 + LATE_MS);
    assert_eq!((alive.read_one(), vanished.read_one()), (Seen::Ping, Seen::Ping));
    for _second in 0..18 {
        rig.run(1_000);
        alive.read();
    }
    assert_eq!((rig.record(vanished.id).closed, vanished.read()), (vec![], vec![]));
    rig.run(2_000 + LATE_MS);
    assert_eq!((rig.record(vanished.id).closed, vanished.is_reset()), (vec![(1006, false)], true));
    assert_eq!((rig.record(alive.id).closed, alive.is_ended()), (vec![], false));
}

#[test]
fn any_bytes_of_the_peer_put_the_ping_off() {
    let mut rig = Rig::new(|config| config.ping_interval_ms = 4_000);
    let mut peer = Peer::open(&mut rig, "/");
    for _round in 0..10 {
        rig.run(2_900);
        peer.text("here");
        rig.turn(0);
        assert_eq!(peer.read_one(), Seen::Text(b"here".to_vec()));
    }
}

#[test]
fn a_shard_that_was_held_up_pings_before_it_cuts() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.answers = false;
    // Longer than ping interval and pong deadline together: nobody had a chance to answer.
    rig.turn(600_000);
    assert_eq!(peer.read_one(), Seen::Ping);
    rig.run(19_990);
    assert_eq!((rig.record(peer.id).closed, peer.read()), (vec![], vec![]));
    rig.run(10 + LATE_MS);
    assert_eq!(rig.record(peer.id).closed, [(1006, false)]);
}

#[test]
fn a_peer_that_does_not_read_is_cut_ping_interval_and_pong_timeout_after_its_last_progress() {
    let mut rig = Rig::new(|config| {
        config.ping_interval_ms = 12_000;
        config.pong_timeout_ms = 8_000;
    });
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.text("/large");
    rig.run(19_000);
    assert_eq!(peer.read(), []);
    rig.run(19_000);
    assert_eq!(rig.record(peer.id).closed, []);
    rig.run(1_000 + LATE_MS);
    assert_eq!((rig.record(peer.id).closed, peer.is_reset()), (vec![(1006, false)], true));
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_cut_at_the_close_deadline() {
    let mut rig = Rig::new(|config| config.close_timeout_ms = 5_000);
    let mut peer = Peer::open(&mut rig, "/");
    peer.answers = false;
    peer.text("/close");
    rig.turn(0);
    assert_eq!(peer.read_one(), Seen::Close(4000));
    // Bytes that are no Close frame do not put the deadline off.
    rig.run(4_000);
    peer.text("not delivered");
    rig.run(990);
    assert_eq!((rig.record(peer.id).closed, peer.is_ended()), (vec![], false));
    rig.run(10 + LATE_MS);
    assert_eq!((rig.record(peer.id).closed, peer.is_reset()), (vec![(1006, false)], true));
    assert_eq!(rig.record(peer.id).messages, 1);
}

#[test]
fn a_peer_that_does_not_end_its_stream_has_one_second_after_the_end_of_ours() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.send(0x88, &1000_u16.to_be_bytes());
    rig.turn(0);
    assert_eq!((peer.read_one(), peer.is_ended()), (Seen::Close(1000), true));
    rig.run(990);
    assert_eq!(rig.network.open_connections(), 1);
    rig.run(10 + LATE_MS);
    assert_eq!((rig.network.open_connections(), peer.is_reset()), (0, false));
}

#[test]
fn a_peer_that_takes_its_close_too_slowly_is_cut_at_the_close_deadline() {
    let mut rig = Rig::new(|config| {
        config.close_timeout_ms = 5_000;
        config.outbox_bytes_max = 64 * 1024;
    });
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.text("/flood");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1013, false)]);
    rig.run(4_990);
    assert_eq!(rig.network.open_connections(), 1);
    rig.run(10 + LATE_MS);
    assert_eq!((rig.network.open_connections(), peer.is_reset()), (0, true));
}

/// A message of which a peer sends a byte now and then: the payload of one frame, or empty fragments, or a header.
fn trickles() -> [Vec<u8>; 3] {
    [frame(0x82, &[1; 200]), frame(0x02, b"").into_iter().chain(frame(0x00, b"").repeat(20)).collect(), {
        let mut endless = frame(0x82, &[1; 65_536]);
        endless.truncate(13);
        endless
    }]
}

#[test]
fn a_peer_that_trickles_a_message_is_answered_1008_at_the_message_deadline() {
    for bytes in trickles() {
        let mut rig = Rig::new(|config| config.message_timeout_ms = 10_000);
        let mut peer = Peer::open(&mut rig, "/");
        rig.run(5_000);
        for byte in &bytes[..10] {
            peer.write(&[*byte]);
            rig.run(999);
        }
        assert_eq!((rig.record(peer.id).closed, peer.read()), (vec![], vec![]), "{bytes:?}");
        rig.run(10 + LATE_MS);
        assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1008), vec![(1008, false)]));
        assert!(peer.is_ended() && !peer.is_reset());
    }
}

#[test]
fn a_cut_ping_has_the_same_deadline_as_a_message() {
    let mut rig = Rig::new(|config| config.message_timeout_ms = 10_000);
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&frame(0x89, b"cut")[..8]);
    rig.run(9_990);
    assert_eq!(peer.read(), []);
    rig.run(10 + LATE_MS);
    assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1008), vec![(1008, false)]));
}

#[test]
fn pings_inside_a_message_do_not_put_its_deadline_off() {
    let mut rig = Rig::new(|config| config.message_timeout_ms = 10_000);
    let mut peer = Peer::open(&mut rig, "/");
    peer.send(0x02, b"begun");
    for _second in 0..9 {
        peer.send(0x89, b"");
        rig.run(1_000);
        assert_eq!(peer.read_one(), Seen::Pong(vec![]));
    }
    rig.run(1_000 + LATE_MS);
    assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1008), vec![(1008, false)]));
}

#[test]
fn each_message_has_the_whole_time_even_if_none_ends_at_the_end_of_a_receive() {
    for unit in [frame(0x82, &[1; 100]), frame(0x89, &[1; 100])] {
        let mut rig = Rig::new(|config| config.message_timeout_ms = 10_000);
        let mut peer = Peer::open(&mut rig, "/");
        let (front, back) = unit.split_at(50);
        peer.write(front);
        for _round in 0..5 {
            rig.run(9_000);
            peer.write(&[back, front].concat());
            rig.turn(0);
            assert_eq!(peer.read().len(), 1);
        }
        rig.run(9_990);
        assert_eq!(rig.record(peer.id).closed, []);
        rig.run(10 + LATE_MS);
        assert_eq!(rig.record(peer.id).closed, [(1008, false)]);
    }
}

#[test]
fn the_time_of_a_message_begins_again_when_its_peer_is_received_from_again() {
    let mut rig = Rig::new(|config| {
        config.message_timeout_ms = 10_000;
        config.outbox_pause_bytes = 1000;
        config.ping_interval_ms = 60_000;
    });
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 0);
    peer.write(&[frame(0x82, &[1; 2000]), frame(0x02, b"begun")].concat());
    rig.run(30_000);
    assert_eq!((rig.paused(), rig.record(peer.id).closed), (1, vec![]));
    rig.network.set_window(peer.id, 10_000);
    rig.turn(0);
    assert_eq!((rig.paused(), peer.read().len()), (0, 1));
    rig.run(9_990);
    assert_eq!(rig.record(peer.id).closed, []);
    rig.run(10 + LATE_MS);
    assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1008), vec![(1008, false)]));
}
