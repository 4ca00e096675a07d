//! Every legal and illegal form of a frame header, and every prefix of them.

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn header(fin: bool, opcode: Opcode, masking_key: Option<[u8; 4]>, payload_len: u64) -> Header {
    Header { fin, compressed: false, opcode, masking_key, payload_len }
}

/// A client's header: two bytes, the extended length, the key.
fn masked(first: u8, second: u8, extended: &[u8]) -> Vec<u8> {
    [&[first, second | MASKED], extended, &KEY].concat()
}

const OPCODES: [(u8, Opcode); 6] = [
    (0x0, Opcode::Continuation),
    (0x1, Opcode::Text),
    (0x2, Opcode::Binary),
    (0x8, Opcode::Close),
    (0x9, Opcode::Ping),
    (0xa, Opcode::Pong),
];

#[test]
fn every_opcode_is_parsed_with_and_without_fin() {
    for (bits, opcode) in OPCODES {
        let parsed = |first| parse_header(&masked(first, 5, b""), Role::Server, false);
        assert_eq!(parsed(FIN | bits), Ok(Some((header(true, opcode, Some(KEY), 5), 6))));
        let fragment = if opcode.is_control() {
            Err(ProtocolError::FragmentedControlFrame)
        } else {
            Ok(Some((header(false, opcode, Some(KEY), 5), 6)))
        };
        assert_eq!(parsed(bits), fragment);
    }
}

#[test]
fn a_length_is_read_from_each_of_its_three_forms() {
    let cases: [(u64, u8, &[u8]); 9] = [
        (0, 0, b""),
        (1, 1, b""),
        (125, 125, b""),
        (126, 126, &[0, 126]),
        (255, 126, &[0, 255]),
        (0xffff, 126, &[0xff, 0xff]),
        (0x1_0000, 127, &[0, 0, 0, 0, 0, 1, 0, 0]),
        (0x1_0000_0000, 127, &[0, 0, 0, 1, 0, 0, 0, 0]),
        (u64::MAX >> 1, 127, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (len, short, extended) in cases {
        let client = masked(0x82, short, extended);
        let from_client = header(true, Opcode::Binary, Some(KEY), len);
        assert_eq!(parse_header(&client, Role::Server, false), Ok(Some((from_client, client.len()))));
        let server = [&[0x82, short], extended].concat();
        let from_server = header(true, Opcode::Binary, None, len);
        assert_eq!(parse_header(&server, Role::Client, false), Ok(Some((from_server, server.len()))));
    }
}

#[test]
fn a_length_in_a_longer_form_than_needed_is_refused() {
    for payload_len in [0, 5, 125] {
        let bytes = masked(0x82, 126, &[0, payload_len]);
        let error = ProtocolError::NonMinimalLength { payload_len: payload_len.into(), encoded_bytes: 2 };
        assert_eq!(parse_header(&bytes, Role::Server, false), Err(error));
    }
    for payload_len in [0_u64, 125, 126, 200, 0xffff] {
        let bytes = masked(0x82, 127, &payload_len.to_be_bytes());
        let error = ProtocolError::NonMinimalLength { payload_len, encoded_bytes: 8 };
        assert_eq!(parse_header(&bytes, Role::Server, false), Err(error));
    }
}

#[test]
fn a_length_with_the_top_bit_is_refused_before_the_key_arrives() {
    let wrapping =
        [u64::MAX, u64::MAX - 1, u64::MAX - 2, u64::MAX - 3, u64::MAX - 13, u64::MAX - 14, 1 << 63];
    for length in wrapping {
        for first in [0x82, 0x81, 0x80, 0x02] {
            let bytes = [&[first, 0xff][..], &length.to_be_bytes()].concat();
            assert_eq!(parse_header(&bytes, Role::Server, false), Err(ProtocolError::LengthTopBit(length)));
        }
    }
}

#[test]
fn each_combination_of_reserved_bits_is_refused_at_the_first_byte() {
    for bits in 1..=7_u8 {
        for (opcode, _) in OPCODES {
            let first = [FIN | bits << 4 | opcode];
            assert_eq!(parse_header(&first, Role::Server, false), Err(ProtocolError::ReservedBits(bits)));
        }
    }
}

#[test]
fn each_reserved_opcode_is_refused_at_the_first_byte() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for first in [opcode, FIN | opcode] {
            assert_eq!(
                parse_header(&[first], Role::Server, false),
                Err(ProtocolError::ReservedOpcode(opcode))
            );
        }
    }
}

#[test]
fn a_server_takes_only_masked_frames_and_a_client_only_unmasked_ones() {
    for (bits, _) in OPCODES {
        assert_eq!(parse_header(&[FIN | bits, 5], Role::Server, false), Err(ProtocolError::UnmaskedFrame));
        assert_eq!(
            parse_header(&[FIN | bits, MASKED | 5], Role::Client, false),
            Err(ProtocolError::MaskedFrame)
        );
    }
}

#[test]
fn a_control_frame_of_126_bytes_is_refused() {
    for first in [0x88, 0x89, 0x8a] {
        let longest = parse_header(&masked(first, 125, b""), Role::Server, false);
        assert!(matches!(longest, Ok(Some((Header { payload_len: 125, .. }, 6)))));
        let bytes = masked(first, 126, &[0, 126]);
        assert_eq!(parse_header(&bytes, Role::Server, false), Err(ProtocolError::ControlFrameTooLong(126)));
    }
}

#[test]
fn every_proper_prefix_of_a_legal_header_is_incomplete() {
    for (short, extended) in [(5, &b""[..]), (126, &[1, 0]), (127, &[0, 0, 0, 0, 0, 1, 0, 0])] {
        let client = masked(0x81, short, extended);
        for end in 0..client.len() {
            assert_eq!(parse_header(&client[..end], Role::Server, false), Ok(None), "{end}");
        }
        let server = &client[..client.len() - 4];
        let server = [&[server[0], server[1] & !MASKED], &server[2..]].concat();
        for end in 0..server.len() {
            assert_eq!(parse_header(&server[..end], Role::Client, false), Ok(None), "{end}");
        }
    }
}

#[test]
fn a_text_frame_of_126_bytes_uses_the_two_byte_length() {
    let mut out = Vec::new();
    write_header(&mut out, &header(true, Opcode::Text, None, 126));
    assert_eq!(out, [0x81, 126, 0, 126]);
}

#[test]
fn a_written_header_is_parsed_back_and_has_the_announced_size() {
    let lengths = [0, 1, 125, 126, 127, 0xffff, 0x1_0000, u64::MAX >> 1];
    for (role, key) in [(Role::Server, Some(KEY)), (Role::Client, None)] {
        for payload_len in lengths {
            for fin in [true, false] {
                let written = header(fin, Opcode::Text, key, payload_len);
                let mut out = vec![0xaa];
                write_header(&mut out, &written);
                let size = header_len(payload_len, key.is_some());
                assert_eq!(out.len(), 1 + size);
                assert_eq!(parse_header(&out[1..], role, false), Ok(Some((written, size))));
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for 65,536 headers")]
fn the_short_parser_agrees_with_the_general_one_on_all_first_bytes() {
    for word in 0..=u16::MAX {
        let [first, second] = word.to_le_bytes();
        for extended in [[0, 0], [0, 125], [0, 126], [1, 2], [0xff, 0xff]] {
            let bytes = [first, second, extended[0], extended[1], 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            let short = parse_short_message(*bytes.first_chunk().unwrap());
            let general = parse_header(&bytes, Role::Server, false).ok().flatten();
            let whole_message = general.filter(|(header, _)| {
                header.fin
                    && matches!(header.opcode, Opcode::Text | Opcode::Binary)
                    && header.payload_len < 0x1_0000
            });
            let expected = whole_message.map(|(header, header_len)| ShortMessage {
                kind: if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary },
                header_len,
                payload_len: header.payload_len as usize,
                masking_key: header.masking_key.unwrap(),
            });
            assert_eq!(short, expected, "{bytes:?}");
        }
    }
}

#[test]
fn rsv1_marks_the_first_frame_of_a_message_once_compression_was_agreed_on_and_nothing_else() {
    for first in 0..=u8::MAX {
        let parsed = parse_header(&masked(first, 5, b""), Role::Server, true);
        let begins_message = matches!(first & 0x0f, 0x1 | 0x2);
        let reserved = (first & RESERVED_BITS) >> 4;
        match reserved {
            0 => assert_eq!(parsed, parse_header(&masked(first, 5, b""), Role::Server, false)),
            0b100 if begins_message => {
                let (header, _) = parsed.expect("legal").expect("complete");
                assert!(header.compressed, "{first:#x}");
                let mut out = Vec::new();
                write_header(&mut out, &header);
                assert_eq!(out[0], first);
            }
            bits => assert_eq!(parsed, Err(ProtocolError::ReservedBits(bits)), "{first:#x}"),
        }
    }
}
