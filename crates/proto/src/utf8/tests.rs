//! The validator against `std`: every short sequence in every cut, and the first offending byte.

use super::*;

/// Feeds `bytes` in the given pieces; returns the text, or how many bytes were fed when it failed.
fn feed_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, usize> {
    let mut validator = Validator::default();
    let (mut text, mut fed) = (String::new(), 0);
    for piece in pieces {
        fed += piece.len();
        let checked = validator.feed(piece).map_err(|InvalidUtf8| fed)?;
        text.extend(checked.joined);
        text.push_str(checked.text);
    }
    validator.finish().map_err(|InvalidUtf8| fed)?;
    Ok(text)
}

/// How many bytes must be seen to know that the text is invalid.
fn bytes_to_refusal(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|&end| match str::from_utf8(&bytes[..end]) {
        Ok(_) => false,
        Err(error) => error.error_len().is_some(),
    })
}

fn check_every_cut(bytes: &[u8]) {
    let expected = str::from_utf8(bytes).map(str::to_owned).ok();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(feed_pieces(pieces).ok(), expected, "{bytes:x?} cut at {first} and {second}");
        }
    }
    let one_by_one = feed_pieces(bytes.chunks(1));
    match expected {
        Some(text) => assert_eq!(one_by_one, Ok(text)),
        None => assert_eq!(one_by_one, Err(bytes_to_refusal(bytes).unwrap_or(bytes.len())), "{bytes:x?}"),
    }
}

/// The bytes where the rules of RFC 3629 change, from each class.
const EDGES: [u8; 28] = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
    0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff,
];

#[test]
fn every_sequence_of_two_bytes_is_judged_as_by_std() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            check_every_cut(&[first, second]);
        }
    }
}

#[test]
fn every_sequence_of_four_edge_bytes_is_judged_as_by_std() {
    let edges = if cfg!(miri) { &EDGES[20..24] } else { &EDGES[..] };
    for &a in edges {
        for &b in edges {
            for &c in edges {
                for &d in edges {
                    check_every_cut(&[a, b, c, d]);
                }
            }
        }
    }
}

#[test]
fn every_character_survives_every_cut() {
    let step = if cfg!(miri) { 4999 } else { 17 };
    for character in (0..=0x10_ffff_u32).step_by(step).filter_map(char::from_u32) {
        check_every_cut(format!("a{character}z").as_bytes());
    }
}

#[test]
fn a_code_point_above_the_last_fails_at_its_second_byte() {
    assert_eq!(feed_pieces(b"\xce\xba\xf4\x90\x80\x80".chunks(1)), Err(4));
    assert_eq!(feed_pieces([&b"\xce\xba\xf4"[..], b"\x90", b"\x80\x80"]), Err(4));
}

#[test]
fn a_surrogate_fails_at_its_second_byte_and_an_overlong_form_at_its_first() {
    assert_eq!(feed_pieces(b"\xed\xa0\x80".chunks(1)), Err(2));
    assert_eq!(feed_pieces(b"\xc0\xaf".chunks(1)), Err(1));
    assert_eq!(feed_pieces(b"\xe0\x80\xaf".chunks(1)), Err(2));
}

#[test]
fn an_incomplete_end_is_refused_only_when_the_text_ends() {
    let mut validator = Validator::default();
    assert_eq!(validator.feed(b"a\xe2\x82"), Ok(Checked { joined: None, text: "a" }));
    assert_eq!(validator.finish(), Err(InvalidUtf8));
    assert_eq!(validator.feed(b"\xacb"), Ok(Checked { joined: Some('€'), text: "b" }));
    assert_eq!(validator.finish(), Ok(()));
}

#[test]
fn an_empty_piece_changes_nothing() {
    let mut validator = Validator::default();
    for piece in [&b""[..], b"\xf0", b"", b"\x9f\x98", b""] {
        assert_eq!(validator.feed(piece), Ok(Checked { joined: None, text: "" }));
    }
    assert_eq!(validator.feed(b"\x80"), Ok(Checked { joined: Some('😀'), text: "" }));
}
