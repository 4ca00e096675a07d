//! Masking (RFC 6455 §5.3). Invariant: every function gives the bytes of the naive loop
//! `payload[i] ^ key[i % 4]`, whatever the length, the shift and the CPU.
//!
//! Masking and unmasking are the same operation. A payload that is answered in place behind other answers moves left,
//! because the header of an answer is shorter; the move is part of the same pass.

#[cfg(target_arch = "x86_64")]
mod simd;

/// Long payloads are worked on in blocks of so many bytes.
const BLOCK_BYTES: usize = 8 * 1024;
/// Payloads up to this length are not long.
const SHORT_BYTES_MAX: usize = 2 * BLOCK_BYTES;
/// The longest move left for which it pays to work in blocks: the headers of a few frames.
const BLOCK_SHIFT_MAX: usize = 16;

/// Unmasks (or masks) `payload` in place.
pub fn unmask(payload: &mut [u8], key: [u8; 4]) {
    unmask_left(payload, 0, key);
}

/// Unmasks the payload `window[shift..]` and moves it to the front: the result is in
/// `window[..window.len() - shift]`, what was there before is lost, the last `shift` bytes are unspecified.
///
/// # Panics
/// If `shift` is greater than the length of `window`.
#[inline]
pub fn unmask_left(window: &mut [u8], shift: usize, key: [u8; 4]) {
    match window.len() - shift {
        0..4 => unmask_bytes(window, shift, key),
        4..8 => unmask_word(window, shift, key),
        8..16 => unmask_ends::<1>(window, shift, key),
        16..=32 => unmask_ends::<2>(window, shift, key),
        33..=64 => unmask_ends::<4>(window, shift, key),
        65..=128 => unmask_ends::<8>(window, shift, key),
        129..=SHORT_BYTES_MAX => unmask_block(window, shift, key),
        _ => unmask_long(window, shift, key),
    }
}

/// The key that applies `offset` bytes into the payload.
#[must_use]
#[inline]
pub fn rotate_key(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (offset % 4) as u32).to_le_bytes()
}

/// A payload that does not fit in the first-level cache is worked on from its last block to its first: the end of what
/// was received is still in the cache, and the front is again when the reply is sent.
///
/// A block that moves left covers the last bytes in front of it, which are not unmasked yet. They are kept, and put
/// behind the next block when that has moved.
fn unmask_long(window: &mut [u8], shift: usize, key: [u8; 4]) {
    if shift > BLOCK_SHIFT_MAX {
        return unmask_block(window, shift, key);
    }
    let mut end = window.len();
    let mut kept = [0; BLOCK_SHIFT_MAX];
    loop {
        let start = if end - shift > SHORT_BYTES_MAX { end - BLOCK_BYTES } else { shift };
        let mut covered = [0; BLOCK_SHIFT_MAX];
        covered[..shift].copy_from_slice(&window[start - shift..start]);
        unmask_block(&mut window[start - shift..end], shift, rotate_key(key, start - shift));
        if end < window.len() {
            let behind = &mut window[end - shift..end];
            behind.copy_from_slice(&kept[..shift]);
            unmask_bytes(behind, 0, rotate_key(key, end - shift));
        }
        if start == shift {
            return;
        }
        kept = covered;
        end = start - shift;
    }
}

fn unmask_block(window: &mut [u8], shift: usize, key: [u8; 4]) {
    #[cfg(target_arch = "x86_64")]
    if simd::unmask_left(window, shift, key) {
        return;
    }
    unmask_chunks(window, shift, key, 32);
}

/// Payloads of less than four bytes.
#[inline]
fn unmask_bytes(window: &mut [u8], shift: usize, key: [u8; 4]) {
    for at in 0..window.len() - shift {
        window[at] = window[at + shift] ^ key[at % 4];
    }
}

/// Payloads of four to seven bytes: the first four and the last four, which overlap.
#[inline]
fn unmask_word(window: &mut [u8], shift: usize, key: [u8; 4]) {
    let last = window.len() - shift - 4;
    let load = |window: &[u8], at: usize| {
        let bytes = window[at..].first_chunk::<4>().expect("the caller checked the length");
        u32::from_le_bytes(*bytes)
    };
    let (front, back) = (load(window, shift), load(window, shift + last));
    let front_key = u32::from_le_bytes(key);
    let back_key = u32::from_le_bytes(rotate_key(key, last));
    window[..4].copy_from_slice(&(front ^ front_key).to_le_bytes());
    window[last..last + 4].copy_from_slice(&(back ^ back_key).to_le_bytes());
}

/// Payloads of `8 * WORDS` to `16 * WORDS` bytes: the first words and the last words, which overlap. Both are
/// loaded before either is stored, because the stores may cover bytes of the other.
#[inline(always)]
fn unmask_ends<const WORDS: usize>(window: &mut [u8], shift: usize, key: [u8; 4]) {
    let last = window.len() - shift - 8 * WORDS;
    let front = load::<WORDS>(window, shift);
    let back = load::<WORDS>(window, shift + last);
    store(window, 0, front, word_key(key));
    store(window, last, back, word_key(rotate_key(key, last)));
}

/// Payloads of at least 128 bytes, front to back, so that a store only covers bytes that were loaded. The first 64
/// and the last 128 bytes overlap the chunks between them, so that those are aligned (to `align` bytes, at most 64) and
/// leave no remainder; both are loaded first and stored last.
#[inline(always)]
fn unmask_chunks(window: &mut [u8], shift: usize, key: [u8; 4], align: usize) {
    let len = window.len() - shift;
    let last = len - 128;
    let front = load::<8>(window, shift);
    let back = load::<16>(window, shift + last);
    let mut at = align - window.as_ptr().addr() % align;
    let chunk_key = word_key(rotate_key(key, at));
    while at < last {
        let words = load::<16>(window, at + shift);
        store(window, at, words, chunk_key);
        at += 128;
    }
    store(window, 0, front, word_key(key));
    store(window, last, back, word_key(rotate_key(key, last)));
}

#[inline(always)]
fn word_key(key: [u8; 4]) -> u64 {
    let key = u64::from(u32::from_le_bytes(key));
    key << 32 | key
}

#[inline(always)]
fn load<const WORDS: usize>(window: &[u8], at: usize) -> [u64; WORDS] {
    let (words, _) = window[at..].as_chunks::<8>();
    let words = words.first_chunk::<WORDS>().expect("the caller checked the length");
    words.map(u64::from_le_bytes)
}

#[inline(always)]
fn store<const WORDS: usize>(window: &mut [u8], at: usize, words: [u64; WORDS], key: u64) {
    let (places, _) = window[at..].as_chunks_mut::<8>();
    let places = places.first_chunk_mut::<WORDS>().expect("the caller checked the length");
    for (place, word) in places.iter_mut().zip(words) {
        *place = (word ^ key).to_le_bytes();
    }
}

#[cfg(test)]
mod tests;
