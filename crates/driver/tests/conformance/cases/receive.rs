//! What a peer sends comes as many `Received`, in order, and then one `ReceiveEnded` (rule 1).

use gannet_driver::{Driver, RECEIVE_BYTES_MAX, Token};

use crate::harness::Harness;
use crate::rig::{Event, Kind, Rig, Sending, pattern};

pub(crate) fn bytes_arrive_in_order_however_they_are_split<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(200_000);
    let mut rest = bytes.as_slice();
    for length in [1, 2, 3, 100, 1, 4096, 65_536, 7, 100_000, 30_254] {
        let (part, behind) = rest.split_at(length);
        rig.harness.send(peer, part);
        rig.turn();
        rest = behind;
    }
    assert!(rest.is_empty());
    rig.until("all bytes", |rig| rig.received(token).len() >= bytes.len());
    assert!(rig.received(token) == bytes);
}

pub(crate) fn a_connection_with_much_waiting_gets_one_receive_per_turn_and_others_are_served_in_between<
    H: Harness,
>(
    rig: &mut Rig<H>,
) {
    let (busy, busy_token) = rig.connect();
    let (quiet, quiet_token) = rig.connect();
    rig.driver().pause_receive(busy_token);
    let bytes = pattern(8 * RECEIVE_BYTES_MAX);
    rig.harness.send(busy, &bytes);
    rig.harness.send(quiet, b"!");
    rig.driver().resume_receive(busy_token);
    let mut turn_start = rig.log.len();
    rig.until("all bytes", |rig| {
        let of_this_turn = rig.log[turn_start..].iter().filter(|event| is_received(event, busy_token));
        assert!(of_this_turn.count() <= 1);
        turn_start = rig.log.len();
        rig.received(busy_token).len() >= bytes.len()
    });
    assert!(rig.received(busy_token) == bytes);
    let place = |found: Option<usize>| found.expect("received");
    let quiet_at = place(rig.log.iter().position(|event| is_received(event, quiet_token)));
    let busy_end_at = place(rig.log.iter().rposition(|event| is_received(event, busy_token)));
    assert!(quiet_at < busy_end_at, "{quiet_at} is not before {busy_end_at}");
}

/// Whether this is a receive of `token`; none may be longer than the most.
fn is_received(event: &Event, token: Token) -> bool {
    match event {
        Event::Received(of, bytes) => {
            assert!((1..=RECEIVE_BYTES_MAX).contains(&bytes.len()));
            *of == token
        }
        _ => false,
    }
}

pub(crate) fn a_tail_is_put_in_front_of_the_received_bytes<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"world");
    let mut seen = Vec::new();
    rig.until_event("world", |rig, event| {
        if let Event::Received(_, bytes) = event {
            let lent = rig.driver().received(b"hello ").to_vec();
            assert_eq!(lent, [b"hello ", bytes.as_slice()].concat());
            seen.extend_from_slice(&lent[6..]);
        }
        seen == b"world"
    });
    assert_eq!(rig.received(token), b"world");
}

pub(crate) fn an_end_of_stream_that_is_there_with_the_last_bytes_is_reported_after_them<H: Harness>(
    rig: &mut Rig<H>,
) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"last words");
    rig.harness.end_stream(peer);
    rig.until("the end of the stream", |rig| rig.has(token, Kind::EndOfStream));
    assert_eq!(rig.received(token), b"last words");
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received, Kind::EndOfStream]);
}

pub(crate) fn an_end_of_stream_that_comes_later_is_reported<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"words");
    rig.until("the bytes", |rig| rig.received(token) == b"words");
    rig.harness.end_stream(peer);
    rig.until("the end of the stream", |rig| rig.has(token, Kind::EndOfStream));
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received, Kind::EndOfStream]);
    assert_eq!(rig.count(token, Kind::EndOfStream), 1);
}

pub(crate) fn a_reset_is_reported_and_sends_fail_from_then_on<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"words");
    rig.until("the bytes", |rig| rig.received(token) == b"words");
    rig.harness.reset(peer);
    let end = if H::HAS_RESETS { Kind::Broken } else { Kind::EndOfStream };
    rig.until("the reset", |rig| rig.has(token, end));
    assert_eq!(rig.send(token, b"into the void"), Sending::Failed);
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received, end]);
    assert_eq!(rig.count(token, end), 1);
}

pub(crate) fn receiving_ends_once_even_if_a_reset_follows_the_end_of_the_stream<H: Harness>(
    rig: &mut Rig<H>,
) {
    let (peer, token) = rig.connect();
    rig.harness.end_stream(peer);
    rig.until("the end of the stream", |rig| rig.has(token, Kind::EndOfStream));
    rig.harness.reset(peer);
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::EndOfStream]);
    assert_eq!(rig.count(token, Kind::EndOfStream), 1);
}
