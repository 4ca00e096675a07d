//! Compressed messages on a connection: which frames are legal, what an idle connection keeps.

use super::*;
use crate::deflate::{PerMessageDeflate, WindowBits};

/// "Hello" as in RFC 7692 §7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const RSV1: u8 = 0x40;

fn shared() -> Connection {
    open().with_compression(PerMessageDeflate::SHARED)
}

fn dedicated() -> Connection {
    open().with_compression(PerMessageDeflate::dedicated(WindowBits::MAX))
}

#[test]
fn a_compressed_message_is_delivered_whole_in_fragments_and_in_pieces() {
    let hello = outcome(&["message of 5"], b"", None);
    let whole = frame(0x81 | RSV1, &HELLO);
    let fragments = [frame(0x01 | RSV1, &HELLO[..3]), frame(0x00, b""), frame(0x80, &HELLO[3..])].concat();
    for bytes in [whole, fragments] {
        for cut in 0..=bytes.len() {
            for mut connection in [shared(), dedicated()] {
                let mut first = bytes.clone();
                let second = first.split_off(cut);
                let mut codec = Codec::default();
                let mut texts = Vec::new();
                let mut kept = Vec::new();
                for part in [first, second] {
                    let mut bytes = [kept, part].concat();
                    let mut received = Received::new(&mut bytes);
                    while let Some(event) =
                        connection.poll_event(&mut codec, &mut received, &mut Vec::new()).expect("legal")
                    {
                        let Event::Message(message) = event else { panic!("{event:?}") };
                        texts.push(message.as_text().map(str::to_owned));
                    }
                    kept = received.unparsed().to_vec();
                }
                assert_eq!(texts, [Some("Hello".to_owned())], "cut at {cut}");
            }
        }
        assert_eq!(receive(&mut shared(), &Config::default(), bytes), hello);
    }
}

#[test]
fn a_connection_without_takeover_keeps_nothing_between_messages() {
    let mut connection = shared();
    let mut codec = Codec::new(Config::default().with_compressed_bytes_min(0));
    let mut out = Vec::new();
    receive(&mut connection, &Config::default(), frame(0x81 | RSV1, &HELLO));
    connection.send_text(&"a".repeat(1_000), &mut codec, &mut out).expect("open");
    assert_eq!(out[0], 0x81 | RSV1);
    assert!(out.len() < 50);
    assert!(connection.rare.is_none());
}

#[test]
fn a_large_message_leaves_no_large_buffer_behind_whether_it_got_shorter_or_not() {
    let mut codec = Codec::default();
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    for (message, first) in [(vec![b'a'; 1 << 20], 0x82 | RSV1), (noise, 0x82)] {
        let mut out = Vec::new();
        shared().send_binary(&message, &mut codec, &mut out).expect("open");
        assert_eq!(out[0], first);
        assert!(codec.compressor.kept_bytes() <= 256 * 1024, "{}", codec.compressor.kept_bytes());
    }
}

#[test]
fn rsv1_on_any_frame_but_the_first_of_a_message_fails_the_connection() {
    let error = ProtocolError::ReservedBits(0b100);
    let expected = outcome(&[], &close_frame(error), Some(error));
    let begun = frame(0x01 | RSV1, &HELLO[..3]);
    for bytes in [
        frame(0x89 | RSV1, b""),
        frame(0x8a | RSV1, b""),
        frame(0x88 | RSV1, b""),
        [begun.clone(), frame(0x80 | RSV1, &HELLO[3..])].concat(),
        [begun, frame(0x89 | RSV1, b"")].concat(),
    ] {
        for mut connection in [shared(), dedicated()] {
            assert_eq!(receive(&mut connection, &Config::default(), bytes.clone()), expected);
        }
    }
    assert_eq!(receive(&mut open(), &Config::default(), frame(0x81 | RSV1, &HELLO)), expected);
}

#[test]
fn an_uncompressed_message_between_compressed_ones_leaves_the_window_alone() {
    // RFC 7692 §7.2.3.2: the second compressed Hello refers to the first.
    let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let bytes = [frame(0x81 | RSV1, &HELLO), frame(0x81, b"plain"), frame(0x81 | RSV1, &second)].concat();
    let messages = ["message of 5"; 3];
    assert_eq!(receive(&mut dedicated(), &Config::default(), bytes.clone()), outcome(&messages, b"", None));
    let error = ProtocolError::InvalidDeflate;
    let alone = outcome(&messages[..2], &close_frame(error), Some(error));
    assert_eq!(receive(&mut shared(), &Config::default(), bytes), alone);
}

#[test]
fn compressed_text_must_be_utf8_and_small_enough_once_it_is_decompressed() {
    let mut codec = Codec::new(Config::default().with_compressed_bytes_min(0));
    let mut compressed = |bytes: &[u8]| {
        let mut out = Vec::new();
        shared().send_binary(bytes, &mut codec, &mut out).expect("open");
        assert_eq!(out[0], 0x82 | RSV1);
        out.split_off(if out[1] == 126 { 4 } else { 2 })
    };
    let invalid = ProtocolError::InvalidUtf8;
    let bytes = compressed(&[0xff; 300]);
    let expected = outcome(&[], &close_frame(invalid), Some(invalid));
    assert_eq!(receive(&mut shared(), &Config::default(), frame(0x81 | RSV1, &bytes)), expected);
    assert_eq!(
        receive(&mut shared(), &Config::default(), frame(0x82 | RSV1, &bytes)),
        outcome(&["message of 300"], b"", None)
    );
    let config = Config::default().with_message_bytes_max(299);
    let too_big = ProtocolError::MessageTooBig { bytes: 300, limit: 299 };
    let expected = outcome(&[], &close_frame(too_big), Some(too_big));
    assert_eq!(receive(&mut shared(), &config, frame(0x82 | RSV1, &bytes)), expected);
}

#[test]
fn a_compressed_payload_is_refused_at_the_header_once_it_cannot_fit() {
    let config = Config::default().with_message_bytes_max(800);
    // 800, an eighth of it, and 64.
    let header = |payload_len: u16| [&[0xc2, 0xfe], &payload_len.to_be_bytes()[..], &KEY].concat();
    assert_eq!(receive(&mut shared(), &config, header(964)), outcome(&[], b"", None));
    let too_big = ProtocolError::MessageTooBig { bytes: 965, limit: 964 };
    let expected = outcome(&[], &close_frame(too_big), Some(too_big));
    assert_eq!(receive(&mut shared(), &config, header(965)), expected);
}

#[test]
fn the_end_of_a_connection_frees_its_windows() {
    let mut connection = dedicated();
    receive(&mut connection, &Config::default(), frame(0x81 | RSV1, &HELLO));
    assert!(connection.rare.as_ref().is_some_and(|rare| rare.windows.is_some()));
    receive(&mut connection, &Config::default(), frame(0x88, b""));
    assert!(connection.rare.as_ref().is_some_and(|rare| rare.windows.is_none()));
}
