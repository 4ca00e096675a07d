//! What an application may set. Invariant: every value is a bound that the parser enforces before it allocates.

/// Limits of a [`Connection`](crate::Connection), and how its messages are compressed where that was agreed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Largest payload of one message in bytes, summed over its fragments and decompressed; exactly this many pass.
    pub message_bytes_max: usize,
    /// Largest payload of one frame in bytes; exactly this many pass. Default `usize::MAX`: the limit of the message is enough.
    pub frame_bytes_max: usize,
    /// Largest number of frames in one message, empty ones included; exactly this many pass.
    pub fragments_max: u32,
    /// Smallest message in bytes that is compressed.
    pub compressed_bytes_min: usize,
    /// How hard the compressor tries, 1 (fastest) to 9.
    pub compression_level: u8,
}

impl Config {
    /// Sets the largest payload of one message in bytes, `0..=usize::MAX` (default: 16 MiB).
    #[must_use]
    pub const fn with_message_bytes_max(mut self, message_bytes_max: usize) -> Self {
        self.message_bytes_max = message_bytes_max;
        self
    }

    /// Sets the largest payload of one frame in bytes (default: only the message is limited).
    #[must_use]
    pub const fn with_frame_bytes_max(mut self, frame_bytes_max: usize) -> Self {
        self.frame_bytes_max = frame_bytes_max;
        self
    }

    /// Sets the largest number of frames in one message (default: 131,072).
    #[must_use]
    pub const fn with_fragments_max(mut self, fragments_max: u32) -> Self {
        self.fragments_max = fragments_max;
        self
    }

    /// Sets the smallest message in bytes that is compressed (default: 256).
    #[must_use]
    pub const fn with_compressed_bytes_min(mut self, compressed_bytes_min: usize) -> Self {
        self.compressed_bytes_min = compressed_bytes_min;
        self
    }

    /// Sets how hard the compressor tries (default: 1). Values outside 1 to 9 become the nearest of them.
    #[must_use]
    pub fn with_compression_level(mut self, compression_level: u8) -> Self {
        self.compression_level = compression_level.clamp(1, 9);
        self
    }

    /// Largest payload of a compressed message before it is decompressed: one of the largest size does not always get
    /// shorter, and a compressor may expand it by up to an eighth.
    pub(crate) const fn compressed_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_add(self.message_bytes_max / 8).saturating_add(64)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 * 1024 * 1024,
            frame_bytes_max: usize::MAX,
            fragments_max: 128 * 1024,
            compressed_bytes_min: 256,
            compression_level: 1,
        }
    }
}
