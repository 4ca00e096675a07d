//! Masking against the loop of RFC 6455 §5.3.

use super::*;

const KEY: [u8; 4] = [0x5a, 0x01, 0xfe, 0x33];
/// Around every threshold between the ways to unmask, and a few chunks beyond.
const LEN_MAX: usize = if cfg!(miri) { 170 } else { 420 };

fn naive(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// Checks one implementation for all lengths and shifts, at several alignments.
fn check(len_min: usize, unmask_left: impl Fn(&mut [u8], usize, [u8; 4])) {
    let start_step = if cfg!(miri) { 13 } else { 5 };
    for len in len_min..LEN_MAX {
        for shift in 0..=14 {
            for start in (0..32).step_by(start_step) {
                let mut memory = bytes(start + shift + len + 3);
                let before = memory.clone();
                let end = start + shift + len;
                unmask_left(&mut memory[start..end], shift, KEY);
                let expected = naive(&before[start + shift..end], KEY);
                assert_eq!(
                    memory[start..start + len],
                    expected,
                    "length {len}, shift {shift}, start {start}"
                );
                assert_eq!(memory[..start], before[..start], "bytes in front");
                assert_eq!(memory[end..], before[end..], "bytes behind");
            }
        }
    }
}

#[test]
fn any_length_shift_and_alignment_gives_the_bytes_of_the_naive_loop() {
    check(0, unmask_left);
}

#[test]
fn the_portable_chunks_give_the_bytes_of_the_naive_loop() {
    for align in [32, 64] {
        check(128, |window, shift, key| unmask_chunks(window, shift, key, align));
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_chunks_of_this_cpu_give_the_bytes_of_the_naive_loop() {
    check(128, |window, shift, key| {
        if !simd::unmask_left(window, shift, key) {
            unmask_chunks(window, shift, key, 32);
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for megabytes")]
fn a_payload_of_several_blocks_gives_the_bytes_of_the_naive_loop() {
    for len in [2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77, 5 * BLOCK_BYTES] {
        for shift in (0..=BLOCK_SHIFT_MAX).chain([BLOCK_SHIFT_MAX + 1, 1000]) {
            let mut memory = bytes(len + shift + 5);
            let expected = naive(&memory[shift..shift + len], KEY);
            unmask_left(&mut memory[..shift + len], shift, KEY);
            assert!(memory[..len] == expected, "length {len}, shift {shift}");
            assert_eq!(memory[shift + len..], bytes(len + shift + 5)[shift + len..], "bytes behind");
        }
    }
}

#[test]
fn a_shift_longer_than_the_payload_moves_it_to_the_front() {
    let mut window = bytes(1000);
    let expected = naive(&window[700..], KEY);
    unmask_left(&mut window, 700, KEY);
    assert_eq!(window[..300], expected);
}

#[test]
fn unmasking_in_pieces_with_a_rotated_key_is_unmasking_at_once() {
    let payload = bytes(300);
    let expected = naive(&payload, KEY);
    for cut in 0..=payload.len() {
        let mut pieces = payload.clone();
        unmask(&mut pieces[..cut], KEY);
        unmask(&mut pieces[cut..], rotate_key(KEY, cut));
        assert_eq!(pieces, expected, "cut at {cut}");
    }
}

#[test]
fn the_example_of_the_rfc_is_unmasked() {
    let mut hello = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
    unmask(&mut hello, [0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(&hello, b"Hello");
}
