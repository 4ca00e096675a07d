//! More frames or messages in one second than a connection may send.

use super::peer::{Peer, Seen, frame};
use super::rig::Rig;
use crate::config::RatePolicy;

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn pongs(count: usize) -> Vec<Seen> {
    vec![Seen::Pong(b"p".to_vec()); count]
}

#[test]
fn exactly_the_control_frames_of_the_limit_pass_in_each_second() {
    let mut rig = Rig::new(|config| config.control_frames_per_s_max = 10);
    let mut peer = Peer::open(&mut rig, "/");
    for _second in 0..3 {
        peer.write(&[frame(PING, b"p").repeat(6), frame(PONG, b"").repeat(4)].concat());
        rig.turn(0);
        assert_eq!(peer.read(), pongs(6));
        rig.run(1000);
    }
    peer.write(&frame(PONG, b"").repeat(10));
    rig.run(900);
    assert_eq!(peer.read(), []);
    peer.send(PONG, b"");
    rig.turn(0);
    assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1008), vec![(1008, false)]));
}

#[test]
fn one_control_frame_over_the_limit_ends_the_connection_and_what_follows_is_not_delivered() {
    let mut rig = Rig::new(|config| config.control_frames_per_s_max = 10);
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&[frame(0x81, b"before"), frame(PING, b"p").repeat(500), frame(0x81, b"behind")].concat());
    rig.turn(0);
    let seen = peer.read();
    // A ping is answered before the engine hears of it.
    assert_eq!(seen[0], Seen::Text(b"before".to_vec()));
    assert_eq!(seen[1..], [pongs(11), vec![Seen::Close(1008)]].concat());
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (1, vec![(1008, false)]));
    assert!(peer.is_ended() && !peer.is_reset());
}

#[test]
fn a_close_is_still_answered_when_the_control_frames_of_the_second_are_used_up() {
    let mut rig = Rig::new(|config| config.control_frames_per_s_max = 10);
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&[frame(PONG, b"").repeat(10), frame(0x88, &1000_u16.to_be_bytes())].concat());
    rig.turn(0);
    assert_eq!((peer.read_one(), rig.record(peer.id).closed), (Seen::Close(1000), vec![(1000, true)]));
}

#[test]
fn a_ping_flood_of_a_peer_that_never_reads_is_ended_with_1008_and_a_bounded_outbox() {
    let mut rig = Rig::new(|_| {});
    let mut other = Peer::open(&mut rig, "/");
    let mut flooding = Peer::open(&mut rig, "/");
    rig.network.set_window(flooding.id, 0);
    flooding.write(&frame(PING, &[b'p'; 125]).repeat(100_000));
    rig.turn(0);
    // What waits is checked by the rig after every turn; here it is 1001 pongs and the Close.
    assert_eq!(rig.record(flooding.id).closed, [(1008, false)]);
    other.text("served");
    rig.turn(0);
    assert_eq!(other.read_one(), Seen::Text(b"served".to_vec()));
    rig.run(6000);
    assert_eq!((rig.network.open_connections(), flooding.is_reset()), (1, true));
}

#[test]
fn messages_are_not_limited_unless_asked_for() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&frame(0x82, b"").repeat(40_000));
    rig.turn(0);
    assert_eq!((peer.read().len(), rig.record(peer.id).closed), (40_000, vec![]));
}

#[test]
fn exactly_the_messages_of_the_limit_are_delivered_in_each_second_and_one_more_is_answered_1008() {
    let mut rig = Rig::new(|config| {
        config.messages_per_s_max = Some(10);
        config.rate_policy = RatePolicy::Close;
    });
    let mut peer = Peer::open(&mut rig, "/");
    for second in 1..=3 {
        // Fragments and control frames are no messages.
        let message = [frame(0x01, b"a"), frame(PONG, b""), frame(0x80, b"b")].concat();
        peer.write(&message.repeat(10));
        rig.run(1000);
        assert_eq!((peer.read().len(), rig.record(peer.id).messages), (10, second * 10));
    }
    peer.write(&frame(0x81, b"m").repeat(12));
    rig.turn(0);
    let mut seen = peer.read();
    assert_eq!((seen.pop(), seen.len()), (Some(Seen::Close(1008)), 10));
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (40, vec![(1008, false)]));
}
