//! What an application may set. Invariant: every value is a bound that the parser enforces before it allocates.

/// Limits of a [`Connection`](crate::Connection). One `Config` serves any number of connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Largest payload of one message in bytes, summed over its fragments; exactly this many pass.
    pub message_bytes_max: usize,
}

impl Config {
    /// Sets the largest payload of one message in bytes, `0..=usize::MAX` (default: 16 MiB).
    #[must_use]
    pub fn with_message_bytes_max(self, message_bytes_max: usize) -> Self {
        Self { message_bytes_max }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { message_bytes_max: 16 * 1024 * 1024 }
    }
}
