//! permessage-deflate (RFC 7692): rows P4, P11, P12, P25, H19.

use crate::app::{SMALL_MESSAGE_BYTES_MAX, Setup};
use crate::bytes::{BINARY, CONTINUATION, FIN, PING, PONG, RSV1, RSV2, TEXT, close, frame, header_16, text};
use crate::case::{Case, case};
use crate::request::Request;

/// "Hello" as in RFC 7692 §7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// "Hello" that refers to a "Hello" before it (RFC 7692 §7.2.3.2).
const HELLO_AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];
/// What the server says when it compresses every message on its own.
const SHARED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

pub(crate) fn cases() -> Vec<Case> {
    [echoes(), reserved_bits(), sizes(), broken(), ends(), accepted(), declined()].concat()
}

/// Opens a WebSocket with compression on a server that is set up for it.
fn open_on(setup: Setup, id: &'static str, title: &'static str) -> Case {
    let request = Request::legal().with("Sec-WebSocket-Extensions", "permessage-deflate");
    let answer = match setup {
        Setup::CompressedWindows => "permessage-deflate; server_max_window_bits=12",
        _ => SHARED,
    };
    case(id, title).on(setup).requests(request).answers(101, &[("Sec-WebSocket-Extensions", Some(answer))])
}

fn open(id: &'static str, title: &'static str) -> Case {
    open_on(Setup::Compressed, id, title)
}

fn echoes() -> Vec<Case> {
    let hello = || frame(FIN | RSV1 | TEXT, &HELLO);
    let fragments = [
        frame(RSV1 | TEXT, &HELLO[..2]),
        frame(FIN | PING, b"between"),
        frame(CONTINUATION, b""),
        frame(FIN | CONTINUATION, &HELLO[2..]),
    ];
    let with_windows = |id, title| open_on(Setup::CompressedWindows, id, title);
    vec![
        // A reply of 5 bytes is not compressed.
        open("E3a", "a compressed message").sends(hello()).reads(FIN | TEXT, "Hello"),
        open("E3b", "a compressed message in fragments, with a ping between")
            .sends(fragments.concat())
            .reads(FIN | PONG, "between")
            .reads(FIN | TEXT, "Hello"),
        open("E3c", "byte by byte").drips(hello()).reads(FIN | TEXT, "Hello"),
        open("E3d", "an uncompressed message where compression was agreed on")
            .sends(text("plain"))
            .reads(FIN | TEXT, "plain"),
        open("E3e", "an empty message, which is a byte of 0")
            .sends(frame(FIN | RSV1 | BINARY, &[0]))
            .reads(FIN | BINARY, ""),
        with_windows("E3f", "a message that refers to the one before")
            .sends([hello(), text("between"), frame(FIN | RSV1 | TEXT, &HELLO_AGAIN)].concat())
            .reads(FIN | TEXT, "Hello")
            .reads(FIN | TEXT, "between")
            .reads(FIN | TEXT, "Hello"),
    ]
}

fn reserved_bits() -> Vec<Case> {
    let refused = |id, title, bytes: Vec<u8>| open(id, title).sends(bytes).failed(&[1002]);
    let begun = frame(RSV1 | TEXT, &HELLO[..2]);
    vec![
        refused("P4a", "RSV1 on a ping", frame(FIN | RSV1 | PING, b"")),
        refused("P4b", "RSV1 on a pong", frame(FIN | RSV1 | PONG, b"")),
        refused("P4c", "RSV1 on a Close", frame(FIN | RSV1 | 0x8, b"")),
        refused("P4d", "RSV1 on a continuation", {
            [begun, frame(FIN | RSV1 | CONTINUATION, &HELLO[2..])].concat()
        }),
        refused("P4e", "RSV1 and RSV2", frame(FIN | RSV1 | RSV2 | TEXT, &HELLO)),
        case("P4f", "RSV1 where the client has offered nothing")
            .on(Setup::Compressed)
            .open()
            .sends(frame(FIN | RSV1 | TEXT, &HELLO))
            .failed(&[1002]),
    ]
}

/// Blocks without compression.
fn stored(message: &[u8]) -> Vec<u8> {
    let blocks = message.chunks(0xffff).flat_map(|block| {
        let len = block.len() as u16;
        [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), block].concat()
    });
    blocks.chain([0]).collect()
}

/// Zeros, about a thousand for each byte: a literal, then copies of 258 bytes at distance 1 (RFC 1951 §3.2.6).
fn bomb(copies: usize) -> Vec<u8> {
    // BFINAL = 0, BTYPE = 01; the literal 0; each copy is the symbol 285 and the distance 0; the end of the block; the
    // header of an empty block without compression.
    let bits = ["010", "00110000"].into_iter().chain(["11000101", "00000"].repeat(copies));
    let bits: Vec<u8> = bits.chain(["0000000", "000"]).flat_map(str::bytes).collect();
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | (bit - b'0'))).collect()
}

fn sizes() -> Vec<Case> {
    let max = SMALL_MESSAGE_BYTES_MAX;
    // Not periodic, so that the reply does not get shorter and is not compressed.
    let mixed = |at: u32| {
        (at.wrapping_mul(0x9e37_79b1) ^ at.wrapping_mul(0x9e37_79b1) >> 15).wrapping_mul(0x85eb_ca6b)
    };
    let noise: Vec<u8> = (0..max as u32 + 2).map(|at| (mixed(at) >> 13) as u8).collect();
    let small = |id, title| open_on(Setup::SmallCompressed, id, title);
    let of = |len: usize| frame(FIN | RSV1 | BINARY, &stored(&noise[..len]));
    vec![
        small("P11a", "the limit").sends(of(max)).reads(FIN | BINARY, &noise[..max]),
        small("P11b", "the limit + 1").sends(of(max + 1)).failed(&[1009]),
        small("P11c", "the limit + 2").sends(of(max + 2)).failed(&[1009]),
        small("P11d", "a bomb of 1,000 to 1").sends(frame(FIN | RSV1 | BINARY, &bomb(400))).failed(&[1009]),
        open("P11e", "a bomb of 26 MB").sends(frame(FIN | RSV1 | BINARY, &bomb(100_000))).failed(&[1009]),
        small("P11f", "a compressed payload that cannot fit, at its header")
            .sends(header_16(FIN | RSV1 | BINARY, 2 * max as u16))
            .failed(&[1009]),
    ]
}

fn broken() -> Vec<Case> {
    let refused =
        |id, title, payload: &[u8]| open(id, title).sends(frame(FIN | RSV1 | TEXT, payload)).failed(&[1007]);
    let hello = &HELLO[..];
    let last_block = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let behind_last = [&[0x01, 0x05, 0x00, 0xfa, 0xff][..], b"Hello", &HELLO_AGAIN].concat();
    vec![
        refused("P12a", "a reserved block type", &[0x07]),
        refused("P12b", "a distance too far back", &HELLO_AGAIN),
        refused("P12c", "cut inside a block", &hello[..3]),
        refused("P12d", "without the header of the last block", &last_block[..7]),
        refused("P12e", "nothing at all", b""),
        refused("P12f", "garbage behind a block of BFINAL = 1", &[&last_block[..7], &[0xff; 4]].concat()),
        // RFC 7692 §7.2.1 allows both.
        open("P12g", "a block of BFINAL = 1 is legal")
            .sends(frame(FIN | RSV1 | TEXT, &last_block))
            .reads(FIN | TEXT, "Hello"),
        open("P12h", "and so is a block behind it")
            .sends(frame(FIN | RSV1 | TEXT, &behind_last))
            .reads(FIN | TEXT, "HelloHello"),
        refused("P12i", "very many blocks of BFINAL = 1", &[0x01, 0x00, 0x00, 0xff, 0xff].repeat(1_000)),
        refused("P12j", "text that is not UTF-8 once it is decompressed", &stored(b"\xff")),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        case("P25a", "a client that required an extension and says so")
            .open()
            .sends(close(1010, b"permessage-deflate"))
            .closed(1010),
    ]
}

/// Offers that are accepted, with the answer, by a server that is ready for windows of 12 bits.
fn accepted() -> Vec<Case> {
    let answered = |id, title, offer: &'static str, answer: &'static str| {
        case(id, title)
            .on(Setup::CompressedWindows)
            .requests(Request::legal().with("Sec-WebSocket-Extensions", offer))
            .answers(101, &[("Sec-WebSocket-Extensions", Some(answer))])
            .sends(text("open"))
            .reads(FIN | TEXT, "open")
    };
    vec![
        answered(
            "H19a",
            "client_max_window_bits",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        answered(
            "H19b",
            "no context takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        answered(
            "H19c",
            "a window of 8 bits, which the compressor keeps to",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=8",
        ),
        answered(
            "H19d",
            "the second offer, as the first cannot be",
            "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=\"10\"",
            "permessage-deflate; server_max_window_bits=10",
        ),
    ]
}

/// Offers that are declined: the connection opens without the extension.
fn declined() -> Vec<Case> {
    let offers = [
        ("H19e", "a window of 7 bits", "permessage-deflate; server_max_window_bits=7"),
        ("H19f", "a window of 16 bits", "permessage-deflate; client_max_window_bits=16"),
        ("H19g", "a leading zero", "permessage-deflate; server_max_window_bits=08"),
        ("H19h", "a window of 0 bits", "permessage-deflate; server_max_window_bits=0"),
        ("H19i", "an empty value", "permessage-deflate; server_max_window_bits="),
        ("H19j", "a missing value", "permessage-deflate; server_max_window_bits"),
        ("H19k", "a value too many", "permessage-deflate; server_no_context_takeover=1"),
        (
            "H19l",
            "a repeated parameter",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ),
        ("H19m", "an unknown parameter", "permessage-deflate; window_bits=9"),
        ("H19n", "an unknown extension", "constructor"),
        ("H19o", "a list that begins with nothing", ",;constructor"),
        ("H19p", "an offer inside a quoted value", "x; y=\",permessage-deflate; client_max_window_bits,\""),
        ("H19q", "a quoted string that never ends", "a; b=\"\\c\\c\\c\\c\\c\\c\\c\\c"),
    ];
    let decline = |(id, title, offer): (&'static str, &'static str, &'static str)| {
        case(id, title)
            .on(Setup::CompressedWindows)
            .requests(Request::legal().with("Sec-WebSocket-Extensions", offer))
            .answers(101, &[("Sec-WebSocket-Extensions", None)])
            .sends(text("open"))
            .reads(FIN | TEXT, "open")
    };
    offers.map(decline).to_vec()
}
