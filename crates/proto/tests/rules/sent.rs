//! What this end puts on the wire, read by a parser that shares no code with what wrote it.

use gannet_proto::{CloseCode, Codec, Config, Connection, Payload, Role, SendError};

use crate::ROLES;
use crate::harness::{Behaviour, End};
use crate::received::frame;

/// Around each change of the form of the length.
const PAYLOAD_BYTES: [usize; 8] = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];

type Send = fn(&mut Connection, &str, &mut Vec<u8>) -> Result<(), SendError>;

fn end(role: Role) -> End {
    match role {
        Role::Server => End::server(Config::default(), Behaviour::Echo),
        Role::Client => End::client(Config::default(), Behaviour::Echo),
    }
}

/// Reads one frame that fills `wire`: its first byte, whether it is masked, and the payload without the mask.
/// Panics if the length is not in its shortest form.
pub(crate) fn read_frame(wire: &[u8]) -> (u8, bool, Vec<u8>) {
    let (masked, short) = (wire[1] & 0x80 != 0, wire[1] & 0x7f);
    let (len, mut at) = match short {
        126 => (usize::from(wire[2]) << 8 | usize::from(wire[3]), 4),
        127 => (wire[2..10].iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), 10),
        short => (usize::from(short), 2),
    };
    assert!(short != 126 || len > 125, "{len} in two bytes");
    assert!(short != 127 || len > 0xffff, "{len} in eight bytes");
    let mut key = [0; 4];
    if masked {
        key.copy_from_slice(&wire[at..at + 4]);
        at += 4;
    }
    assert_eq!(wire.len(), at + len);
    let payload = wire[at..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    (wire[0], masked, payload)
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for messages of 64 KiB")]
fn every_message_is_one_final_frame_in_the_shortest_form_without_reserved_bits() {
    for role in ROLES {
        for payload_bytes in PAYLOAD_BYTES {
            let text = "m".repeat(payload_bytes);
            for (first, payload) in [(0x81, Payload::Text(&text)), (0x82, Payload::Binary(text.as_bytes()))] {
                let mut end = end(role);
                end.send_message(payload);
                let expected = (first, role == Role::Client, text.clone().into_bytes());
                assert!(read_frame(&end.wire) == expected, "{role:?} {first:#x} {payload_bytes}");
            }
        }
    }
}

#[test]
fn every_control_frame_is_one_final_frame_of_at_most_125_bytes() {
    let sends: [(u8, Send); 3] = [
        (0x88, |connection, reason, out| connection.close(Some(CloseCode::NORMAL), reason, out)),
        (0x89, |connection, payload, out| connection.send_ping(payload.as_bytes(), out)),
        (0x8a, |connection, payload, out| connection.send_pong(payload.as_bytes(), out)),
    ];
    for role in ROLES {
        for (first, send) in sends {
            let code: &[u8] = if first == 0x88 { b"\x03\xe8" } else { b"" };
            let longest = "c".repeat(125 - code.len());
            for payload in ["", &longest] {
                let mut end = end(role);
                end.send(|connection, out| send(connection, payload, out));
                let expected = (first, role == Role::Client, [code, payload.as_bytes()].concat());
                assert_eq!(read_frame(&end.wire), expected, "{role:?}");
            }
            let mut end = end(role);
            let too_long = format!("{longest}c");
            assert!(send(&mut end.connection, &too_long, &mut end.wire).is_err(), "{role:?} {first:#x}");
            assert!(end.wire.is_empty());
        }
    }
}

#[test]
fn a_close_carries_the_given_code_and_reason_and_nothing_follows_it() {
    for role in ROLES {
        let mut end = end(role);
        end.send(|connection, out| connection.close(Some(CloseCode::GOING_AWAY), "bye", out));
        let close = (0x88, role == Role::Client, b"\x03\xe9bye".to_vec());
        assert_eq!(read_frame(&end.take_wire()), close);
        let mut codec = Codec::default();
        assert_eq!(end.connection.send_text("more", &mut codec, &mut end.wire), Err(SendError::Closing));
        assert_eq!(end.connection.send_binary(b"more", &mut codec, &mut end.wire), Err(SendError::Closing));
        assert!(end.wire.is_empty());
    }
}

#[test]
fn a_pong_and_the_answer_to_a_close_repeat_the_payload() {
    for role in ROLES {
        let is_client = role == Role::Client;
        for payload in [&b""[..], b"\x00\xff any bytes", &[7; 125]] {
            let mut end = end(role);
            end.receive(&frame(role == Role::Server, 0x89, payload));
            assert_eq!(read_frame(&end.take_wire()), (0x8a, is_client, payload.to_vec()));
        }
        for payload in [&b""[..], b"\x03\xe8", b"\x0f\xa1going"] {
            let mut end = end(role);
            end.receive(&frame(role == Role::Server, 0x88, payload));
            assert_eq!(read_frame(&end.take_wire()), (0x88, is_client, payload.to_vec()));
        }
    }
}
