//! What this end makes of the frames of its peer, as a server and as a client.

use gannet_proto::{Config, ProtocolError, Role};

use crate::ROLES;
use crate::harness::{Behaviour, End, Seen};

/// A short frame with a zero key if it is masked, so that the payload can be read in the test.
pub(crate) fn frame(masked: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![first, payload.len() as u8];
    if masked {
        wire[1] |= 0x80;
        wire.extend([0; 4]);
    }
    wire.extend(payload);
    wire
}

/// The end `role` after it received these frames from its peer, each a first byte and a payload.
fn receive(role: Role, frames: &[(u8, &[u8])]) -> End {
    let mut end = match role {
        Role::Server => End::server(Config::default(), Behaviour::Ignore),
        Role::Client => End::client(Config::default(), Behaviour::Ignore),
    };
    let masked = role == Role::Server;
    let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(masked, *first, payload)).collect();
    end.receive(&wire);
    end
}

/// Asserts that the end delivered nothing, reported `error`, and sent one Close with `code`.
fn assert_failed(role: Role, frames: &[(u8, &[u8])], error: ProtocolError, code: u16) {
    let end = receive(role, frames);
    assert_eq!((end.error, &end.seen[..]), (Some(error), &[][..]), "{role:?} {frames:x?}");
    assert_eq!(close_code(role, &end.wire), code, "{role:?} {frames:x?}");
}

/// The code of the Close frame that fills `wire`.
fn close_code(role: Role, wire: &[u8]) -> u16 {
    let (mask_bit, payload_at) = if role == Role::Client { (0x80, 6) } else { (0, 2) };
    assert_eq!((wire[0], wire[1] & 0x80), (0x88, mask_bit));
    assert_eq!(wire.len(), payload_at + usize::from(wire[1] & 0x7f));
    let unmask = |at: usize| if role == Role::Client { wire[6 + at] ^ wire[2 + at] } else { wire[2 + at] };
    u16::from_be_bytes([unmask(0), unmask(1)])
}

#[test]
fn a_frame_with_the_mask_bit_of_the_other_role_fails_the_connection_with_1002() {
    for (role, error) in
        [(Role::Server, ProtocolError::UnmaskedFrame), (Role::Client, ProtocolError::MaskedFrame)]
    {
        for first in [0x81, 0x82, 0x88, 0x89, 0x8a] {
            let mut end = receive(role, &[]);
            end.receive(&frame(role == Role::Client, first, b""));
            assert_eq!((end.error, &end.seen[..]), (Some(error), &[][..]), "{role:?} {first:#x}");
            assert_eq!(close_code(role, &end.wire), 1002, "{role:?} {first:#x}");
        }
    }
}

#[test]
fn a_reserved_bit_or_opcode_fails_both_ends_with_1002() {
    for role in ROLES {
        for bits in 1..=7_u8 {
            assert_failed(role, &[(0x81 | bits << 4, b"a")], ProtocolError::ReservedBits(bits), 1002);
        }
        for opcode in (0x3..=0x7).chain(0xb..=0xf) {
            assert_failed(role, &[(0x80 | opcode, b"a")], ProtocolError::ReservedOpcode(opcode), 1002);
        }
    }
}

#[test]
fn a_control_frame_in_fragments_or_of_126_bytes_fails_both_ends_with_1002() {
    for role in ROLES {
        for opcode in [0x8, 0x9, 0xa] {
            assert_failed(role, &[(opcode, b"")], ProtocolError::FragmentedControlFrame, 1002);
            let mut end = receive(role, &[]);
            let mask_bit = if role == Role::Server { 0x80 } else { 0 };
            end.receive(&[0x80 | opcode, mask_bit | 126, 0, 126]);
            assert_eq!(end.error, Some(ProtocolError::ControlFrameTooLong(126)), "{role:?} {opcode:#x}");
            assert_eq!(close_code(role, &end.wire), 1002, "{role:?} {opcode:#x}");
        }
    }
}

#[test]
fn control_frames_between_fragments_are_answered_and_the_message_is_whole() {
    for role in ROLES {
        let frames: [(u8, &[u8]); 6] =
            [(0x01, b"one "), (0x89, b"p"), (0x00, b"two "), (0x8a, b"q"), (0x00, b""), (0x80, b"three")];
        let end = receive(role, &frames);
        let expected =
            [Seen::Ping(b"p".to_vec()), Seen::Pong(b"q".to_vec()), Seen::Text("one two three".to_owned())];
        assert_eq!((end.error, end.seen), (None, expected.to_vec()), "{role:?}");
        assert_eq!(end.wire[0], 0x8a, "{role:?}");
    }
}

#[test]
fn fragments_of_two_messages_that_are_interleaved_fail_both_ends_with_1002() {
    for role in ROLES {
        for second in [0x01, 0x02, 0x81, 0x82] {
            let frames: [(u8, &[u8]); 2] = [(0x01, b"begun"), (second, b"other")];
            assert_failed(role, &frames, ProtocolError::ExpectedContinuation, 1002);
        }
        for stray in [0x00, 0x80] {
            assert_failed(role, &[(stray, b"of nothing")], ProtocolError::UnexpectedContinuation, 1002);
        }
    }
}

#[test]
fn a_message_has_the_kind_of_its_first_fragment_and_the_next_frame_begins_another() {
    for role in ROLES {
        let frames: [(u8, &[u8]); 6] =
            [(0x02, b"\xff"), (0x80, b"\xfe"), (0x01, b"a"), (0x80, b"b"), (0x82, b"c"), (0x81, b"d")];
        let end = receive(role, &frames);
        let expected = [
            Seen::Binary(b"\xff\xfe".to_vec()),
            Seen::Text("ab".to_owned()),
            Seen::Binary(b"c".to_vec()),
            Seen::Text("d".to_owned()),
        ];
        assert_eq!((end.error, end.seen), (None, expected.to_vec()), "{role:?}");
    }
}

#[test]
fn text_or_a_close_reason_that_is_not_utf8_fails_both_ends_with_1007() {
    for role in ROLES {
        assert_failed(role, &[(0x81, b"\xc0\x80")], ProtocolError::InvalidUtf8, 1007);
        assert_failed(role, &[(0x01, b"\xed"), (0x80, b"\xa0\x80")], ProtocolError::InvalidUtf8, 1007);
        assert_failed(role, &[(0x88, b"\x03\xe8\xff")], ProtocolError::InvalidCloseReason, 1007);
    }
}

#[test]
fn a_close_whose_body_does_not_begin_with_a_legal_code_fails_both_ends_with_1002() {
    for role in ROLES {
        assert_failed(role, &[(0x88, b"\x03")], ProtocolError::CloseFrameOneByte, 1002);
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
            let error = ProtocolError::CloseCodeNotAllowed(code);
            assert_failed(role, &[(0x88, &code.to_be_bytes())], error, 1002);
        }
    }
}

#[test]
fn after_an_error_not_even_the_answering_close_is_processed() {
    for role in ROLES {
        let mut end = receive(role, &[(0x83, b"")]);
        assert_eq!(end.error.take(), Some(ProtocolError::ReservedOpcode(3)), "{role:?}");
        assert_eq!(close_code(role, &end.take_wire()), 1002, "{role:?}");
        let masked = role == Role::Server;
        end.receive(&[frame(masked, 0x88, b"\x03\xea"), frame(masked, 0x81, b"late")].concat());
        assert_eq!(end.error, Some(ProtocolError::ReservedOpcode(3)), "{role:?}");
        assert!(end.seen.is_empty() && end.wire.is_empty(), "{role:?}");
        assert!(!end.connection.is_close_received(), "{role:?}");
    }
}
