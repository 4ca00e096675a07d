//! Messages (RFC 6455 §5.4, §5.6, §8.1) and their limits: rows P10, P13, P14, P21, P24, P26.

use crate::app::{SMALL_MESSAGE_BYTES_MAX, Setup};
use crate::bytes::{
    BINARY, CONTINUATION, FIN, TEXT, close, frame, header_7, header_16, header_64, masked, text,
};
use crate::case::{Case, case};

/// The most fragments that a message may have by default.
const FRAGMENTS_MAX: usize = 131_072;

pub(crate) fn cases() -> Vec<Case> {
    [echoes(), sizes(), broken_text(), legal_text(), kinds(), fragments(), floods()].concat()
}

fn echoes() -> Vec<Case> {
    let echo = |id, title, len: usize| {
        let payload = vec![0xa7; len];
        case(id, title).open().sends(frame(FIN | BINARY, &payload)).reads(FIN | BINARY, payload)
    };
    let three = [frame(BINARY, b"a"), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"c")].concat();
    let empty = [frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")].concat();
    vec![
        echo("E1a", "0 bytes", 0),
        echo("E1b", "125 bytes", 125),
        echo("E1c", "126 bytes", 126),
        echo("E1d", "65,535 bytes", 65_535),
        echo("E1e", "65,536 bytes", 65_536),
        case("E1f", "text").open().sends(text("Hello")).reads(FIN | TEXT, "Hello"),
        case("E2a", "three fragments").open().sends(three).reads(FIN | BINARY, "ac"),
        case("E2b", "empty fragments").open().sends(empty).reads(FIN | TEXT, ""),
    ]
}

fn sizes() -> Vec<Case> {
    let max = SMALL_MESSAGE_BYTES_MAX;
    let small = |id, title| case(id, title).on(Setup::SmallMessages).open();
    let full = vec![b'x'; max];
    let half = &full[..max / 2];
    vec![
        case("P10a", "a frame that declares 2^62 bytes, at its header")
            .open()
            .sends(header_64(FIN | BINARY, 1 << 62))
            .failed(&[1009]),
        case("P10b", "fragments that declare 2^62 bytes, at the header of the second")
            .open()
            .sends([frame(BINARY, b"first"), header_64(FIN | CONTINUATION, 1 << 62)].concat())
            .failed(&[1009]),
        small("P10c", "a frame of the limit")
            .sends(frame(FIN | BINARY, &full))
            .reads(FIN | BINARY, full.clone()),
        small("P10d", "a frame of the limit + 1, at its header")
            .sends(header_16(FIN | BINARY, max as u16 + 1))
            .failed(&[1009]),
        small("P10e", "fragments of the limit together")
            .sends([frame(BINARY, half), frame(FIN | CONTINUATION, half)].concat())
            .reads(FIN | BINARY, full.clone()),
        small("P10f", "fragments of the limit + 1, at the header that crosses it")
            .sends([frame(BINARY, &full), header_7(FIN | CONTINUATION, 1)].concat())
            .failed(&[1009]),
    ]
}

fn broken_text() -> Vec<Case> {
    let broken = |id, title, bytes: Vec<u8>| case(id, title).open().sends(bytes).failed(&[1007]);
    let whole = |id, title, payload: &[u8]| broken(id, title, frame(FIN | TEXT, payload));
    let partial = [header_7(FIN | TEXT, 100), masked(b"good so far \xff")].concat();
    let split_bad = [frame(TEXT, b"\xe2\x82"), frame(CONTINUATION, b"\x41")].concat();
    let cut_at_end = [frame(TEXT, b"\xe2\x82"), frame(FIN | CONTINUATION, b"")].concat();
    let surrogate_inside = [header_7(TEXT, 50), masked(b"\xed\xa0")].concat();
    vec![
        whole("P13a", "a byte that never occurs", b"good \xff bad"),
        whole("P13b", "a lone continuation byte", b"\x80"),
        whole("P13c", "a surrogate", b"\xed\xa0\x80"),
        whole("P13d", "an overlong slash", b"\xc0\xaf"),
        whole("P13e", "a code point above U+10FFFF", b"\xf4\x90\x80\x80"),
        whole("P13f", "a character cut at the end", b"\xe2\x82"),
        broken("P13g", "in the first fragment, before the message ends", frame(TEXT, b"\xff")),
        broken("P13h", "a character broken by the next fragment, before the message ends", split_bad),
        broken("P13i", "a character cut at the end of the last fragment", cut_at_end),
        broken("P13j", "inside a frame that is half received", partial),
        broken("P13k", "a surrogate, at its second byte, inside a half-received frame", surrogate_inside),
    ]
}

fn legal_text() -> Vec<Case> {
    let borders = "\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}";
    let split =
        [frame(TEXT, b"\xe2"), frame(CONTINUATION, b"\x82"), frame(FIN | CONTINUATION, b"\xac")].concat();
    vec![
        case("P13l", "every border of UTF-8 is legal").open().sends(text(borders)).reads(FIN | TEXT, borders),
        case("P13m", "a character split over fragments is legal")
            .open()
            .sends(split)
            .reads(FIN | TEXT, "\u{20ac}"),
        case("P13n", "binary is not looked into")
            .open()
            .sends(frame(FIN | BINARY, b"\xff\xfe"))
            .reads(FIN | BINARY, b"\xff\xfe"),
    ]
}

fn kinds() -> Vec<Case> {
    let refused = |id, title, setup, first| {
        case(id, title)
            .on(setup)
            .open()
            .sends(frame(first, b"Hello"))
            .reads_close(&[1003])
            .sends(close(1003, b""))
            .ends()
            .delivers(1)
            .app_sees(&[1003], true)
    };
    vec![
        refused("P14a", "binary for a text-only endpoint", Setup::TextOnly, FIN | BINARY),
        refused("P14b", "text for a binary-only endpoint", Setup::BinaryOnly, FIN | TEXT),
    ]
}

fn fragments() -> Vec<Case> {
    // The first fragment, and as many more as make `count` of them.
    let unfinished = |payload: &[u8], count| {
        [frame(BINARY, payload), frame(CONTINUATION, payload).repeat(count - 1)].concat()
    };
    let slow = |id, title| case(id, title).on(Setup::ShortMessages).open();
    vec![
        case("P21a", "one empty fragment too many")
            .open()
            .sends(unfinished(b"", FRAGMENTS_MAX + 1))
            .failed(&[1008]),
        case("P21b", "one fragment of a byte too many")
            .open()
            .sends(unfinished(b"x", FRAGMENTS_MAX + 1))
            .failed(&[1008]),
        case("P21c", "as many empty fragments as are allowed")
            .on(Setup::OurLimits)
            .open()
            .sends([unfinished(b"", FRAGMENTS_MAX - 1), frame(FIN | CONTINUATION, b"")].concat())
            .reads(FIN | BINARY, ""),
        slow("P21d", "a message never finished").sends(frame(TEXT, b"and then")).failed(&[1008]),
        slow("P21e", "a header never finished").sends(&header_64(FIN | BINARY, 70_000)[..9]).failed(&[1008]),
    ]
}

fn floods() -> Vec<Case> {
    let panics = |id, title, bytes: Vec<u8>| {
        case(id, title).on(Setup::Panics).open().sends(bytes).failed(&[1011]).delivers(1)
    };
    let few = case("P26a", "messages above the rate").on(Setup::FewMessages).open();
    vec![
        panics("P24a", "a handler that panics", text("Hello")),
        panics("P24b", "messages behind the one that made it panic", text("Hello").repeat(3)),
        (0..10).fold(few.sends(text("x").repeat(11)), |case, _| case.reads(FIN | TEXT, "x")).failed(&[1008]),
    ]
}
