//! Cheap floods: fragments and Pings. Nothing here may make this end hold or send more than it received.

use super::*;

#[test]
fn exactly_the_limit_of_fragments_passes_empty_ones_included() {
    let config = Config::default().with_fragments_max(4);
    let limit = ProtocolError::TooManyFragments { limit: 4 };
    for payload in [&b""[..], b"a"] {
        let fragments = |count: usize| [frame(0x01, payload), frame(0x00, payload).repeat(count)].concat();
        let mut connection = open();
        assert_eq!(receive(&mut connection, &config, fragments(3)), outcome(&[], b"", None));
        let expected = outcome(&[], &close_frame(limit), Some(limit));
        assert_eq!(receive(&mut connection, &config, frame(0x00, b"")), expected);
        let whole = [fragments(2), frame(0x80, payload)].concat();
        let event = format!("message of {}", 4 * payload.len());
        assert_eq!(receive(&mut open(), &config, whole), outcome(&[&event], b"", None));
    }
    assert_eq!(limit.close_code(), CloseCode::POLICY_VIOLATION);
}

/// The Pongs among what was sent, by payload.
fn pongs(wire: &[u8]) -> Vec<&[u8]> {
    let mut rest = wire;
    let mut payloads = Vec::new();
    while let [0x8a, len, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(*len));
        payloads.push(payload);
        rest = behind;
    }
    assert!(rest.is_empty(), "something else was sent: {rest:x?}");
    payloads
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes a minute for 1,000 pings")]
fn of_more_than_16_pings_in_one_receive_the_last_is_answered_and_none_between() {
    for (count, answered) in [(10, 10), (16, 16), (17, 17), (1_000, 17)] {
        let names: Vec<String> = (0..count).map(|at| at.to_string()).collect();
        let pings = names.iter().flat_map(|name| frame(0x89, name.as_bytes())).collect();
        let mut connection = open();
        let received = receive(&mut connection, &Config::default(), pings);
        assert_eq!(received.events.len(), count);
        let pongs = pongs(&received.wire);
        assert_eq!(pongs.len(), answered);
        let first: Vec<_> = names.iter().take(16).map(String::as_bytes).collect();
        assert_eq!(pongs[..answered.min(16)], first[..answered.min(16)]);
        assert_eq!(pongs.last().copied(), names.last().map(String::as_bytes));
        assert!(connection.rare.is_none(), "nothing is kept once the last is answered");
    }
}

#[test]
fn a_pong_that_was_put_off_does_not_follow_a_close() {
    let pings = frame(0x89, b"ping").repeat(20);
    let mut connection = open();
    let received = receive(&mut connection, &Config::default(), [pings, frame(0x88, b"")].concat());
    assert!(received.wire.ends_with(&[0x88, 0x00]));
    assert_eq!(pongs(&received.wire[..received.wire.len() - 2]).len(), 16);
}

#[test]
fn a_frame_over_its_own_limit_is_refused_although_the_message_is_allowed() {
    let config = Config::default().with_frame_bytes_max(100);
    for (bytes, is_refused) in [(100, false), (101, true), (300, true)] {
        let error = ProtocolError::FrameTooBig { bytes, limit: 100 };
        let received = receive(&mut open(), &config, frame(0x82, &vec![7; bytes as usize]));
        let expected = match is_refused {
            false => outcome(&[&format!("message of {bytes}")], b"", None),
            true => outcome(&[], &close_frame(error), Some(error)),
        };
        assert_eq!(received, expected);
        assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
    }
}
