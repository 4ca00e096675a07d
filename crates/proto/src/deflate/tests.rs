//! Compression of single messages, and the parameters in both heads.

use super::*;
use crate::handshake::{
    ClientHandshakeError, HeadScanner, Limits, verify_response, write_accept, write_request,
};
use crate::{Codec, Config, ProtocolError};

mod heads;
mod reach;

/// Compressible, and not periodic.
fn text(len: usize) -> Vec<u8> {
    let words =
        (0_u32..).map(|at| format!("{{\"id\":{},\"side\":\"{}\"}},", at.wrapping_mul(0x9e37_79b1), at % 3));
    words.flat_map(String::into_bytes).take(len).collect()
}

/// Not compressible.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("8 to 15")
}

fn codec(message_bytes_max: usize) -> Codec {
    Codec::new(Config::default().with_message_bytes_max(message_bytes_max).with_compressed_bytes_min(0))
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    codec(1 << 20).decompress(payload, None, 0)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7692 §7.2.3.1 to §7.2.3.5: fixed Huffman, no compression, BFINAL = 1, two blocks.
    let hello: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for payload in hello {
        assert_eq!(decompress(payload), Ok(b"Hello".to_vec()), "{payload:x?}");
    }
    // RFC 7692 §7.2.3.6: an empty message is a byte of 0.
    assert_eq!(decompress(&[0]), Ok(vec![]));
}

#[test]
fn the_second_hello_of_the_rfc_refers_to_the_first() {
    // RFC 7692 §7.2.3.2.
    let mut codec = codec(100);
    let mut window = Window::new(WindowBits::MAX);
    for payload in [&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        assert_eq!(codec.decompress(payload, Some(&mut window), 0), Ok(b"Hello".to_vec()));
    }
    let alone = codec.decompress(&[0xf2, 0x00, 0x11, 0x00, 0x00], None, 0);
    assert_eq!(alone, Err(ProtocolError::InvalidDeflate), "the distance reaches before the message");
}

#[test]
fn what_is_not_deflate_to_its_end_is_refused() {
    let cases: [(&str, &[u8]); 8] = [
        ("nothing at all, not even the header of the last block", &[]),
        ("a block of the reserved type 3", &[0x07]),
        ("the header of the last block is missing", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ("cut inside a Huffman block", &[0xf2, 0x48, 0xcd]),
        ("cut inside a stored block", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65]),
        ("length and complement of a stored block differ", &[0x00, 0x05, 0x00, 0xfb, 0xff, 0x48]),
        (
            "its last block is complete, so the four bytes are one too many",
            b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
        ),
        ("garbage behind a block of BFINAL = 1", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xff]),
    ];
    for (what, payload) in cases {
        assert_eq!(decompress(payload), Err(ProtocolError::InvalidDeflate), "{what}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn every_cut_of_a_compressed_message_is_refused() {
    let mut codec = codec(1 << 20);
    let payload = codec.compress(&text(3_000), WindowBits::MAX, None).expect("shorter").to_vec();
    for end in 0..payload.len() {
        assert_eq!(
            decompress(&payload[..end]),
            Err(ProtocolError::InvalidDeflate),
            "{end} of {}",
            payload.len()
        );
    }
}

#[test]
fn blocks_of_bfinal_1_share_a_window_and_are_bounded_in_number() {
    // "Hello" as a stored block of BFINAL = 1, then a fixed block that copies it: distance 5, length 5, as in the RFC.
    let first = [0x01, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(decompress(&[&first[..], &second].concat()), Ok(b"HelloHello".to_vec()));
    let mut many = [0x01, 0x00, 0x00, 0xff, 0xff].repeat(63);
    many.push(0);
    assert_eq!(decompress(&many), Ok(vec![]));
    let too_many = [0x01, 0x00, 0x00, 0xff, 0xff].repeat(64);
    assert_eq!(decompress(&too_many), Err(ProtocolError::TooManyFinalBlocks { limit: 64 }));
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    for limit in [1, 5, 511, 512, 513, 4_096, 70_000] {
        for (over, passes) in [(0, true), (1, false), (2, false), (100_000, false)] {
            for message in [text(limit + over), noise(limit + over), vec![0; limit + over]] {
                let mut sender = codec(usize::MAX);
                let stored: Vec<u8>;
                let payload = match sender.compress(&message, WindowBits::MAX, None) {
                    Some(payload) => payload,
                    None => {
                        stored = stored_blocks(&message);
                        &stored
                    }
                };
                let result = codec(limit).decompress(payload, None, 3);
                let expected = if passes {
                    Ok([&[0; 3], &message[..]].concat())
                } else {
                    Err(ProtocolError::MessageTooBig { bytes: limit as u64 + 1, limit: limit as u64 })
                };
                assert!(
                    result == expected,
                    "limit {limit}, {over} over: {:?}",
                    result.map(|bytes| bytes.len())
                );
            }
        }
    }
}

/// DEFLATE without compression, as a message.
fn stored_blocks(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for block in message.chunks(0xffff) {
        let len = block.len() as u16;
        payload.push(0);
        payload.extend(len.to_le_bytes());
        payload.extend((!len).to_le_bytes());
        payload.extend(block);
    }
    payload.push(0);
    payload
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn a_bomb_takes_no_more_memory_than_the_limit() {
    let bomb =
        codec(usize::MAX).compress(&vec![0; 64 << 20], WindowBits::MAX, None).expect("shorter").to_vec();
    assert!(bomb.len() < 700_000, "{}", bomb.len());
    let limit = 100_000;
    let mut decompressor = Decompressor::default();
    let result = decompressor.decompress(&bomb, None, limit, 10);
    assert_eq!(result, Err(ProtocolError::MessageTooBig { bytes: 100_001, limit: 100_000 }));
    let fits = codec(1 << 27).decompress(&bomb, None, 0).expect("valid");
    assert!(fits.len() == 64 << 20 && fits.iter().all(|&byte| byte == 0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn what_would_not_get_shorter_is_not_compressed_and_leaves_the_window_alone() {
    let mut codec = codec(1 << 20);
    let mut window = Window::new(WindowBits::MAX);
    for message in [&b""[..], b"a", &noise(20), &noise(70_000)] {
        assert_eq!(codec.compress(message, WindowBits::MAX, Some(&mut window)), None);
    }
    assert!(window.as_bytes().is_empty());
}

#[test]
fn a_message_below_the_threshold_is_not_compressed() {
    let mut codec = Codec::new(Config::default().with_compressed_bytes_min(300));
    assert!(codec.compress(&text(299), WindowBits::MAX, None).is_none());
    assert!(codec.compress(&text(300), WindowBits::MAX, None).is_some());
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn the_compressor_keeps_to_every_window_of_8_to_15_bits() {
    // Repeats at every distance around the window sizes, so that a compressor is tempted to reach back too far.
    let mut message = noise(34_000);
    for distance in [
        200, 249, 250, 251, 255, 256, 257, 300, 511, 512, 513, 1_900, 3_700, 4_096, 4_100, 7_900, 16_000,
        16_384, 32_300,
    ] {
        let start = message.len() - distance;
        message.extend_from_within(start..start + distance.min(300));
    }
    message.extend(text(3_000));
    for level in [1, 2, 3, 6, 9] {
        let mut codec = Codec::new(Config::default().with_compression_level(level));
        for size in 8..=15 {
            let payload = codec.compress(&message, bits(size), None).expect("shorter").to_vec();
            let (decoded, reach) = reach::decode(&payload);
            assert!(decoded == message, "level {level}, {size} bits");
            assert!(reach <= 1 << size, "level {level}, {size} bits, but it refers {reach} bytes back");
            assert!(
                size <= 9 || reach > 1 << (size - 1),
                "level {level}, {size} bits: {reach} proves nothing"
            );
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn context_takeover_makes_later_messages_shorter_and_both_windows_move_alike() {
    for size in [8, 9, 12, 15] {
        let (mut codec, mut sent, mut received) =
            (codec(1 << 20), Window::new(bits(size)), Window::new(bits(size)));
        let mut sizes = Vec::new();
        for message in [text(200), noise(5_000), text(200), text(50_000), text(200), text(200)] {
            // What is not compressed moves neither window.
            if let Some(payload) = codec.compress(&message, bits(size), Some(&mut sent)) {
                let payload = payload.to_vec();
                sizes.push(payload.len());
                assert_eq!(codec.decompress(&payload, Some(&mut received), 0), Ok(message));
            }
            assert_eq!(sent.as_bytes(), received.as_bytes());
            assert!(sent.as_bytes().len() <= 1 << size);
        }
        assert_eq!(sizes.len(), 5);
        assert!(sizes[1] < sizes[0] / 2 && sizes[4] < sizes[0] / 2, "{size} bits: {sizes:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes to compress so much")]
fn messages_that_do_not_get_shorter_leave_no_trace_in_those_after_them() {
    let text = text(1_000);
    for (noise_len, times) in [(1_000, 200), (250_000, 1)] {
        let mut codec = Codec::default();
        let expected = codec.compress(&text, WindowBits::MAX, None).expect("shorter").to_vec();
        for _ in 0..times {
            assert!(codec.compress(&noise(noise_len), WindowBits::MAX, None).is_none());
        }
        let compressed = codec.compress(&text, WindowBits::MAX, None).expect("shorter");
        assert_eq!(compressed, expected, "after {times} times {noise_len} bytes");
    }
}
