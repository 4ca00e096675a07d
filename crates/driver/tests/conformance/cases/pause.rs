//! A paused connection receives nothing, and nothing is lost.

use gannet_driver::{Driver, RECEIVE_BYTES_MAX};

use crate::harness::Harness;
use crate::rig::{Event, Kind, Rig, pattern};

pub(crate) fn pause_stops_receiving_and_resume_delivers_what_waited<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.driver().pause_receive(token);
    rig.harness.send(peer, b"waiting");
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted]);
    rig.driver().resume_receive(token);
    rig.until("what waited", |rig| rig.received(token) == b"waiting");
    rig.harness.send(peer, b", and more");
    rig.until("what came later", |rig| rig.received(token) == b"waiting, and more");
}

pub(crate) fn pause_holds_back_the_end_of_the_stream_too<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let (silent, silent_token) = rig.connect();
    rig.driver().pause_receive(token);
    rig.driver().pause_receive(silent_token);
    rig.harness.send(peer, b"waiting");
    rig.harness.end_stream(peer);
    rig.harness.end_stream(silent);
    rig.settle();
    assert_eq!((rig.kinds(token), rig.kinds(silent_token)), (vec![Kind::Accepted], vec![Kind::Accepted]));
    rig.driver().resume_receive(token);
    rig.driver().resume_receive(silent_token);
    rig.until("both ends", |rig| {
        rig.has(token, Kind::EndOfStream) && rig.has(silent_token, Kind::EndOfStream)
    });
    assert_eq!(rig.received(token), b"waiting");
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received, Kind::EndOfStream]);
    assert_eq!(rig.kinds(silent_token), [Kind::Accepted, Kind::EndOfStream]);
}

pub(crate) fn resuming_twice_delivers_nothing_twice<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.driver().pause_receive(token);
    rig.harness.send(peer, b"once");
    rig.settle();
    for _time in 0..3 {
        rig.driver().resume_receive(token);
        rig.driver().pause_receive(token);
        rig.driver().resume_receive(token);
    }
    rig.until("the bytes", |rig| rig.received(token).len() >= 4);
    rig.settle();
    assert_eq!(rig.received(token), b"once");
}

pub(crate) fn pausing_between_two_receives_keeps_the_rest_back<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(4 * RECEIVE_BYTES_MAX);
    rig.harness.send(peer, &bytes);
    rig.until_event("a receive", |rig, event| {
        let is_received = matches!(event, Event::Received(..));
        if is_received {
            rig.driver().pause_receive(token);
        }
        is_received
    });
    rig.settle();
    assert_eq!(rig.count(token, Kind::Received), 1);
    assert!(rig.received(token).len() < bytes.len());
    rig.driver().resume_receive(token);
    rig.until("the rest", |rig| rig.received(token).len() >= bytes.len());
    assert!(rig.received(token) == bytes);
}
