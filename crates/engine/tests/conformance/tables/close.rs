//! The closing handshake (RFC 6455 §5.5.1, §7): rows P15 to P20.

use crate::app::Setup;
use crate::bytes::{CLOSE, CONTINUATION, FIN, PING, TEXT, close, frame, header_7, header_64, masked, text};
use crate::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [illegal(), legal(), behind(), crossing(), without()].concat()
}

fn illegal() -> Vec<Case> {
    let refused = |id, title, code| case(id, title).open().sends(close(code, b"")).failed(&[1002]);
    let reason =
        |id, title, reason: &[u8]| case(id, title).open().sends(close(1000, reason)).failed(&[1007, 1002]);
    vec![
        case("P15a", "Close of 1 byte").open().sends(frame(FIN | CLOSE, &[3])).failed(&[1002]),
        refused("P15b", "code 0", 0),
        refused("P15c", "code 999", 999),
        refused("P15d", "code 1004", 1004),
        refused("P15e", "code 1005", 1005),
        refused("P15f", "code 1006", 1006),
        refused("P15g", "code 1015", 1015),
        refused("P15h", "code 1016", 1016),
        refused("P15i", "code 1100", 1100),
        refused("P15j", "code 2000", 2000),
        refused("P15k", "code 2999", 2999),
        refused("P15l", "code 5000", 5000),
        refused("P15m", "code 65535", 65_535),
        reason("P16a", "a reason with a byte that never occurs", b"\xff"),
        reason("P16b", "a reason cut inside a character", b"bye \xe2\x82"),
    ]
}

fn legal() -> Vec<Case> {
    let echoed = |id, title, code| case(id, title).open().sends(close(code, b"bye")).closed(code);
    vec![
        case("P17a", "no code").open().sends(frame(FIN | CLOSE, b"")).closed(1005),
        echoed("P17b", "code 1000", 1000),
        echoed("P17c", "code 1001", 1001),
        echoed("P17d", "code 1002", 1002),
        echoed("P17e", "code 1003", 1003),
        echoed("P17f", "code 1007", 1007),
        echoed("P17g", "code 1008", 1008),
        echoed("P17h", "code 1009", 1009),
        echoed("P17i", "code 1010", 1010),
        echoed("P17j", "code 1011", 1011),
        echoed("P17k", "code 1012", 1012),
        echoed("P17l", "code 1013", 1013),
        echoed("P17m", "code 1014", 1014),
        echoed("P17n", "code 3000", 3000),
        echoed("P17o", "code 3999", 3999),
        echoed("P17p", "code 4000", 4000),
        echoed("P17q", "code 4999", 4999),
        case("P17r", "a reason of 123 bytes").open().sends(close(1000, &[b'r'; 123])).closed(1000),
        case("P17s", "a Close inside a fragmented message")
            .open()
            .sends([frame(TEXT, b"begun"), close(1000, b"")].concat())
            .closed(1000),
    ]
}

fn behind() -> Vec<Case> {
    let ignored = |id, title, bytes: Vec<u8>| {
        case(id, title).open().sends([close(1000, b""), bytes].concat()).closed(1000)
    };
    vec![
        ignored("P18a", "a message behind the client's Close", text("late")),
        ignored("P18b", "a second Close", close(1001, b"")),
        ignored("P18c", "a ping behind the client's Close", frame(FIN | PING, b"late")),
        ignored("P18d", "garbage behind the client's Close", vec![0xff; 100]),
        case("P18e", "messages before the client's Close are answered before it")
            .open()
            .sends([text("in time"), close(1000, b"")].concat())
            .reads(FIN | TEXT, "in time")
            .closed(1000),
    ]
}

fn crossing() -> Vec<Case> {
    let begun = |id, title, bytes: Vec<u8>| {
        let case = case(id, title).on(Setup::Closes).open().sends([text("close"), bytes].concat());
        case.reads_close(&[4000]).delivers(1)
    };
    vec![
        begun("P19a", "the server's Close, answered later", Vec::new())
            .sends(close(4000, b""))
            .ends()
            .app_sees(&[4000], true),
        begun("P19b", "both Closes at once", close(1000, b"mine")).ends().app_sees(&[1000], true),
        begun("P19c", "a message, then the answer", [text("late"), close(4000, b"")].concat())
            .ends()
            .app_sees(&[4000], true),
        begun("P19d", "both Closes at once, then the end", close(1000, b""))
            .ends_its_stream()
            .ends()
            .app_sees(&[1000], true),
        begun("P19e", "the end instead of an answer", Vec::new())
            .ends_its_stream()
            .ends()
            .app_sees(&[1006], false),
        begun("P19f", "a reset instead of an answer", Vec::new()).resets().app_sees(&[1006], false),
    ]
}

fn without() -> Vec<Case> {
    let half = [header_7(FIN | TEXT, 100), masked(b"half of it")].concat();
    let begun = [frame(TEXT, b"begun "), frame(CONTINUATION, b"and not ended")].concat();
    let ended = |id, title| case(id, title).open().app_sees(&[1006], false);
    vec![
        ended("P20a", "end of stream, idle").ends_its_stream().ends(),
        ended("P20b", "end of stream inside a frame").sends(half.clone()).ends_its_stream().ends(),
        ended("P20c", "end of stream between fragments").sends(begun.clone()).ends_its_stream().ends(),
        ended("P20d", "end of stream inside a header")
            .sends(&header_64(FIN | TEXT, 65_536)[..7])
            .ends_its_stream()
            .ends(),
        ended("P20e", "reset, idle").resets(),
        ended("P20f", "reset inside a frame").sends(half).resets(),
        ended("P20g", "reset between fragments").sends(begun).resets(),
        ended("P20h", "end of stream behind a message, which is answered")
            .sends(text("last words"))
            .ends_its_stream()
            .reads(FIN | TEXT, "last words")
            .ends(),
    ]
}
