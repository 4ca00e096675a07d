//! The last bytes of a direction with context takeover. Invariant: at most 2^bits bytes, and no memory before the first
//! compressed message.

use super::WindowBits;

/// What the next compressed message may refer to.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    bits: WindowBits,
}

impl Window {
    pub(crate) const fn new(bits: WindowBits) -> Self {
        Self { bytes: Vec::new(), bits }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Moves on over a message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        let max = self.bits.bytes();
        let message = &message[message.len().saturating_sub(max)..];
        let surplus = (self.bytes.len() + message.len()).saturating_sub(max);
        self.bytes.drain(..surplus);
        self.bytes.reserve_exact(message.len());
        self.bytes.extend_from_slice(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_last_bytes_and_never_more() {
        let mut window = Window::new(WindowBits::new(8).expect("8 is legal"));
        let all: Vec<u8> = (0..2_000_u32).map(|i| i as u8 ^ (i >> 8) as u8).collect();
        let mut end = 0;
        for step in [1, 100, 155, 1, 255, 256, 257, 700] {
            window.push(&all[end..end + step]);
            end += step;
            assert_eq!(window.as_bytes(), &all[end.saturating_sub(256)..end]);
            assert!(window.bytes.capacity() <= 256, "{}", window.bytes.capacity());
        }
    }
}
