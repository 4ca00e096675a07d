//! Pings and pongs (RFC 6455 §5.5.2, §5.5.3): rows P22 and P23.

use crate::app::Setup;
use crate::bytes::{CONTINUATION, FIN, PING, PONG, TEXT, frame};
use crate::case::{Case, case};

/// More than the default of 1,000 in a second, even if a second turns in the middle.
const FLOOD: usize = 3_000;

pub(crate) fn cases() -> Vec<Case> {
    let ten: Vec<Vec<u8>> = (0..10).map(|number| vec![b'0' + number]).collect();
    let pings: Vec<u8> = ten.iter().flat_map(|payload| frame(FIN | PING, payload)).collect();
    let answered =
        ten.iter().fold(case("P23a", "10 pings back to back").open().sends(pings), |case, payload| {
            case.reads(FIN | PONG, &payload[..])
        });
    let between = [
        frame(TEXT, b"Hel"),
        frame(FIN | PING, b"a"),
        frame(CONTINUATION, b""),
        frame(FIN | PING, b"b"),
        frame(FIN | CONTINUATION, b"lo"),
    ];
    vec![
        case("P22a", "pings above the rate")
            .on(Setup::OurLimits)
            .open()
            .sends(frame(FIN | PING, b"").repeat(FLOOD))
            .failed_behind_pongs(&[1008]),
        answered,
        case("P23b", "ping of 125 bytes")
            .open()
            .sends(frame(FIN | PING, &[0xfe; 125]))
            .reads(FIN | PONG, [0xfe; 125]),
        case("P23c", "empty ping").open().sends(frame(FIN | PING, b"")).reads(FIN | PONG, ""),
        case("P23d", "pong that nobody asked for")
            .open()
            .sends([frame(FIN | PONG, b"unsolicited"), frame(FIN | PING, b"asked")].concat())
            .reads(FIN | PONG, "asked"),
        case("P23e", "pings inside a fragmented message, answered before it ends")
            .open()
            .sends(between[..2].concat())
            .reads(FIN | PONG, "a")
            .sends(between[2..].concat())
            .reads(FIN | PONG, "b")
            .reads(FIN | TEXT, "Hello"),
    ]
}
