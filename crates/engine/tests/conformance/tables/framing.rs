//! Frame headers (RFC 6455 §5.1, §5.2): rows P1 to P3, P5 to P9, P27.

use crate::bytes::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, RSV2, RSV3, TEXT, close, frame, header_7, header_16,
    header_64, masked, text, unmasked,
};
use crate::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [
        masking(),
        reserved_bits(),
        reserved_opcodes(),
        control(),
        order(),
        long_lengths(),
        short_lengths(),
        pieces(),
    ]
    .concat()
}

/// Bytes on an open connection that the server answers with Close 1002.
fn refused(id: &'static str, title: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    case(id, title).open().sends(bytes).failed(&[1002])
}

fn masking() -> Vec<Case> {
    let inside = [frame(TEXT, b"masked "), unmasked(FIN | CONTINUATION, b"and not")].concat();
    vec![
        refused("P1a", "unmasked text frame", unmasked(FIN | TEXT, b"Hello")),
        refused("P1b", "unmasked binary frame", unmasked(FIN | BINARY, b"Hello")),
        refused("P1c", "unmasked empty text frame", unmasked(FIN | TEXT, b"")),
        refused("P1d", "unmasked continuation of a masked frame", inside),
        case("P1e", "unmasked frame behind a masked one")
            .open()
            .sends([text("first"), unmasked(FIN | TEXT, b"second")].concat())
            .reads(FIN | TEXT, "first")
            .failed(&[1002]),
        refused("P2a", "unmasked ping", unmasked(FIN | PING, b"")),
        refused("P2b", "unmasked pong", unmasked(FIN | PONG, b"")),
        refused("P2c", "unmasked Close", unmasked(FIN | CLOSE, &1000_u16.to_be_bytes())),
    ]
}

fn reserved_bits() -> Vec<Case> {
    let continuation = [frame(TEXT, b"a"), frame(FIN | RSV2 | CONTINUATION, b"b")].concat();
    vec![
        refused("P3a", "RSV1 on text without deflate", frame(FIN | RSV1 | TEXT, b"Hello")),
        refused("P3b", "RSV2 on text", frame(FIN | RSV2 | TEXT, b"Hello")),
        refused("P3c", "RSV3 on binary", frame(FIN | RSV3 | BINARY, b"Hello")),
        refused("P3d", "RSV1 on a ping without deflate", frame(FIN | RSV1 | PING, b"")),
        refused("P3e", "RSV2 on a continuation", continuation),
        refused("P3f", "RSV3 on a Close", frame(FIN | RSV3 | CLOSE, b"")),
        refused("P3g", "all three bits at once", frame(FIN | RSV1 | RSV2 | RSV3 | TEXT, b"Hello")),
    ]
}

fn reserved_opcodes() -> Vec<Case> {
    let two_gib = 1 << 31;
    vec![
        refused("P5a", "opcode 3", frame(FIN | 0x3, b"Hello")),
        refused("P5b", "opcode 4", frame(FIN | 0x4, b"Hello")),
        refused("P5c", "opcode 5", frame(FIN | 0x5, b"Hello")),
        refused("P5d", "opcode 6", frame(FIN | 0x6, b"Hello")),
        refused("P5e", "opcode 7", frame(FIN | 0x7, b"Hello")),
        refused("P5f", "opcode 11", frame(FIN | 0xb, b"")),
        refused("P5g", "opcode 12", frame(FIN | 0xc, b"")),
        refused("P5h", "opcode 13", frame(FIN | 0xd, b"")),
        refused("P5i", "opcode 14", frame(FIN | 0xe, b"")),
        refused("P5j", "opcode 15", frame(FIN | 0xf, b"")),
        refused("P5k", "opcode 3 that declares 2 GiB, at its header", header_64(FIN | 0x3, two_gib)),
        refused("P5l", "opcode 11 that declares 2 GiB, at its header", header_64(FIN | 0xb, two_gib)),
    ]
}

fn control() -> Vec<Case> {
    vec![
        refused("P6a", "ping of 126 bytes", frame(FIN | PING, &[b'p'; 126])),
        refused("P6b", "pong of 126 bytes", frame(FIN | PONG, &[b'p'; 126])),
        refused("P6c", "Close of 126 bytes", close(1000, &[b'r'; 124])),
        refused("P6d", "ping of 64 KiB, at its header", header_64(FIN | PING, 65_536)),
        refused("P6e", "fragmented ping", frame(PING, b"")),
        refused("P6f", "fragmented pong", frame(PONG, b"")),
        refused("P6g", "fragmented Close", frame(CLOSE, &1000_u16.to_be_bytes())),
    ]
}

fn order() -> Vec<Case> {
    let inside = |second| [frame(TEXT, b"one"), frame(second, b"two")].concat();
    vec![
        refused("P7a", "final continuation without a start", frame(FIN | CONTINUATION, b"one")),
        refused("P7b", "continuation without a start", frame(CONTINUATION, b"one")),
        refused("P7c", "text inside a fragmented message", inside(FIN | TEXT)),
        refused("P7d", "binary inside a fragmented message", inside(FIN | BINARY)),
        refused("P7e", "start of a second message inside the first", inside(TEXT)),
        case("P7f", "continuation behind a finished message")
            .open()
            .sends([text("one"), frame(FIN | CONTINUATION, b"two")].concat())
            .reads(FIN | TEXT, "one")
            .failed(&[1002]),
    ]
}

fn long_lengths() -> Vec<Case> {
    let refused = |id, title, len| refused(id, title, header_64(FIN | BINARY, len));
    let too_big = |id, title, len| case(id, title).open().sends(header_64(FIN | BINARY, len)).failed(&[1009]);
    // A sum of lengths in 64 bits wraps to 1.
    let wrapping = [frame(BINARY, &[1; 16]), header_64(FIN | CONTINUATION, u64::MAX - 14)].concat();
    let largest = [frame(BINARY, &[1; 16]), header_64(FIN | CONTINUATION, (1 << 63) - 1)].concat();
    vec![
        refused("P8a", "length 2^64 - 1", u64::MAX),
        refused("P8b", "length 2^64 - 2", u64::MAX - 1),
        refused("P8c", "length 2^64 - 3", u64::MAX - 2),
        refused("P8d", "length 2^64 - 4", u64::MAX - 3),
        refused("P8e", "length 2^64 - 14", u64::MAX - 13),
        refused("P8f", "length 2^63", 1 << 63),
        case("P8g", "second fragment of 2^64 - 15 bytes").open().sends(wrapping).failed(&[1002]),
        too_big("P8h", "length 2^63 - 1", (1 << 63) - 1),
        case("P8i", "second fragment of 2^63 - 1 bytes").open().sends(largest).failed(&[1009]),
        case("P8j", "length 2^63 byte by byte")
            .open()
            .drips(header_64(FIN | BINARY, 1 << 63))
            .failed(&[1002]),
    ]
}

fn short_lengths() -> Vec<Case> {
    let in_16 = |first, payload: &[u8]| [header_16(first, payload.len() as u16), masked(payload)].concat();
    let in_64 = |first, payload: &[u8]| [header_64(first, payload.len() as u64), masked(payload)].concat();
    vec![
        refused("P9a", "5 bytes in a 16-bit length", in_16(FIN | TEXT, b"Hello")),
        refused("P9b", "125 bytes in a 16-bit length", in_16(FIN | BINARY, &[1; 125])),
        refused("P9c", "0 bytes in a 16-bit length", in_16(FIN | TEXT, b"")),
        refused("P9d", "200 bytes in a 64-bit length", in_64(FIN | BINARY, &[1; 200])),
        refused("P9e", "65,535 bytes in a 64-bit length, at its header", header_64(FIN | BINARY, 65_535)),
        refused("P9f", "ping of 5 bytes in a 16-bit length", in_16(FIN | PING, b"Hello")),
    ]
}

fn pieces() -> Vec<Case> {
    let medium = [b'm'; 300];
    let stream = [
        frame(TEXT, "gre\u{df} ".as_bytes()),
        frame(FIN | PING, b"between"),
        frame(FIN | CONTINUATION, "\u{1f600}".as_bytes()),
        frame(FIN | BINARY, &medium),
    ]
    .concat();
    let expect = |case: Case| {
        case.reads(FIN | PONG, "between").reads(FIN | TEXT, "gre\u{df} \u{1f600}").reads(FIN | BINARY, medium)
    };
    let in_pieces = |id, title, bytes: usize| {
        let opened = case(id, title).open();
        expect(stream.chunks(bytes).fold(opened, |case, piece| case.sends(piece)))
    };
    vec![
        expect(case("P27a", "frames byte by byte").open().drips(&stream[..])),
        in_pieces("P27b", "frames in pieces of 2 bytes", 2),
        in_pieces("P27c", "frames in pieces of 3 bytes", 3),
        in_pieces("P27d", "frames in pieces of 7 bytes", 7),
        in_pieces("P27e", "frames in one piece", stream.len()),
        case("P27f", "header and payload apart")
            .open()
            .sends(header_7(FIN | TEXT, 5))
            .sends(masked(b"Hello"))
            .reads(FIN | TEXT, "Hello"),
    ]
}
