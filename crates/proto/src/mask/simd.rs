//! The same loop, compiled for wider vectors. Invariant: a compiled function runs only on a CPU that has its features.
// The unsafe calls of this crate: a CPU feature that was detected at run time cannot be expressed in safe Rust.
#![allow(unsafe_code)]

/// Unmasks a payload of at least 128 bytes with the widest vectors of this CPU; without wide ones it does nothing and
/// returns `false`.
#[inline]
pub(super) fn unmask_left(window: &mut [u8], shift: usize, key: [u8; 4]) -> bool {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the function is safe but for its target feature, which this CPU has.
        unsafe { unmask_avx512(window, shift, key) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        unsafe { unmask_avx2(window, shift, key) };
    } else {
        return false;
    }
    true
}

#[target_feature(enable = "avx512f")]
fn unmask_avx512(window: &mut [u8], shift: usize, key: [u8; 4]) {
    super::unmask_chunks(window, shift, key, 64);
}

#[target_feature(enable = "avx2")]
fn unmask_avx2(window: &mut [u8], shift: usize, key: [u8; 4]) {
    super::unmask_chunks(window, shift, key, 32);
}
