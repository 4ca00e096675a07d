//! A send completes at once or once later (rule 1), one at a time (rule 2), and the peer reads exactly its bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gannet_driver::{Driver, SendOutcome};

use crate::harness::{Harness, PeerEnd};
use crate::rig::{Event, Kind, Rig, Sending, pattern};

pub(crate) fn a_send_starts_at_its_offset_and_gives_the_buffer_back<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let outcome = rig.driver().send(token, b"not this, but this".to_vec(), 10);
    if let SendOutcome::Sent(buffer) = &outcome {
        assert_eq!(buffer, b"not this, but this");
    }
    rig.note_outcome(token, &outcome);
    rig.until("the bytes", |rig| rig.read(peer) == b"but this");
    assert_eq!(rig.count(token, Kind::SentAll), 1);
}

pub(crate) fn a_prefix_of_what_was_received_is_sent_back<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(1000);
    rig.harness.send(peer, &bytes);
    let mut expected = Vec::new();
    rig.until_event("a receive", |rig, event| {
        let Event::Received(_, received) = event else { return false };
        let front = received.len().div_ceil(2);
        expected.extend(received[..front].iter().map(|byte| !byte));
        // What is sent is the lent bytes as the caller has changed them.
        rig.driver().received(&[]).iter_mut().for_each(|byte| *byte = !*byte);
        let outcome = rig.driver().send_received(token, 0..front);
        rig.note_outcome(token, &outcome);
        true
    });
    rig.until("the prefix", |rig| rig.read(peer).len() >= expected.len());
    rig.settle();
    assert_eq!(rig.read(peer), expected);
}

pub(crate) fn a_tail_in_front_of_received_bytes_is_sent_back_with_them<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"d");
    rig.until_event("the byte", |rig, event| {
        let is_received = matches!(event, Event::Received(..));
        if is_received {
            rig.driver().received(b"abc");
            let outcome = rig.driver().send_received(token, 0..4);
            rig.note_outcome(token, &outcome);
        }
        is_received
    });
    rig.until("tail and byte", |rig| rig.read(peer) == b"abcd");
}

pub(crate) fn a_send_larger_than_the_socket_holds_is_in_flight_and_arrives_whole<H: Harness>(
    rig: &mut Rig<H>,
) {
    let (peer, token) = rig.connect();
    let bytes = pattern(H::MORE_THAN_FITS_BYTES);
    assert_eq!(rig.send(token, &bytes), Sending::InFlight);
    rig.settle();
    assert!(!rig.has(token, Kind::SentAll), "the peer has not read yet");
    rig.until("all bytes", |rig| rig.read(peer).len() >= bytes.len());
    rig.until("the completion", |rig| rig.has(token, Kind::SentAll));
    assert!(rig.read(peer) == bytes);
}

pub(crate) fn each_send_in_flight_completes_exactly_once<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(H::MORE_THAN_FITS_BYTES);
    for round in 1..=3 {
        let sending = rig.send(token, &bytes);
        assert_ne!(sending, Sending::Failed);
        rig.until("the end of the send", |rig| {
            rig.read(peer);
            rig.count(token, Kind::SentAll) == round
        });
    }
    rig.settle();
    // The rig sends the rest of a short send again: each time in flight ended with one completion.
    assert_eq!(rig.count(token, Kind::Sent), rig.in_flight[&token]);
    assert_eq!(rig.read(peer).len(), 3 * bytes.len());
}

pub(crate) fn a_peer_that_closed_its_write_side_still_receives<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.end_stream(peer);
    rig.until("the end of the stream", |rig| rig.has(token, Kind::EndOfStream));
    let bytes = pattern(H::MORE_THAN_FITS_BYTES);
    assert_ne!(rig.send(token, &bytes), Sending::Failed);
    rig.until("all bytes", |rig| rig.read(peer).len() >= bytes.len());
    assert!(rig.read(peer) == bytes);
}

pub(crate) fn after_shutdown_write_the_peer_reads_everything_then_the_end_and_can_still_send<H: Harness>(
    rig: &mut Rig<H>,
) {
    let (peer, token) = rig.connect();
    let bytes = pattern(50_000);
    assert_ne!(rig.send(token, &bytes), Sending::Failed);
    rig.until("the end of the send", |rig| rig.has(token, Kind::SentAll));
    rig.driver().shutdown_write(token);
    rig.until("the end of the stream at the peer", |rig| rig.peer_end(peer) == Some(PeerEnd::EndOfStream));
    assert!(rig.read(peer) == bytes);
    rig.harness.send(peer, b"thank you");
    rig.until("the answer of the peer", |rig| rig.received(token) == b"thank you");
}

pub(crate) fn a_send_in_flight_on_a_broken_connection_completes_with_the_error<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    assert_eq!(rig.send(token, &pattern(H::MORE_THAN_FITS_BYTES)), Sending::InFlight);
    rig.harness.reset(peer);
    rig.until("the failed send", |rig| rig.has(token, Kind::SendFailed));
    // The send may have taken the error from the socket, and then receiving just ends.
    rig.until("the end of receiving", |rig| {
        rig.has(token, Kind::Broken) || rig.has(token, Kind::EndOfStream)
    });
    rig.settle();
    assert_eq!(rig.count(token, Kind::SendFailed), 1);
    assert_eq!(rig.count(token, Kind::Broken) + rig.count(token, Kind::EndOfStream), 1);
}

pub(crate) fn a_second_send_in_flight_is_a_bug_of_the_caller<H: Harness>(rig: &mut Rig<H>) {
    let (_peer, token) = rig.connect();
    assert_eq!(rig.send(token, &pattern(H::MORE_THAN_FITS_BYTES)), Sending::InFlight);
    let second = catch_unwind(AssertUnwindSafe(|| rig.send(token, b"too early")));
    assert_eq!(second.is_err(), cfg!(debug_assertions));
}
