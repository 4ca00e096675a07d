//! The same loop, compiled for AVX2. Invariant: the compiled function runs only on a CPU that has AVX2.
// The one unsafe call of this crate: a CPU feature that was detected at run time cannot be expressed in safe Rust.
#![allow(unsafe_code)]

/// Unmasks a payload of at least 32 bytes if this CPU has AVX2; otherwise does nothing and returns `false`.
#[inline]
pub(super) fn unmask_left(window: &mut [u8], shift: usize, key: [u8; 4]) -> bool {
    let available = is_x86_feature_detected!("avx2");
    if available {
        // SAFETY: the function is safe but for its target feature, which this CPU has.
        unsafe { unmask_chunks(window, shift, key) };
    }
    available
}

#[target_feature(enable = "avx2")]
fn unmask_chunks(window: &mut [u8], shift: usize, key: [u8; 4]) {
    super::unmask_chunks(window, shift, key);
}
