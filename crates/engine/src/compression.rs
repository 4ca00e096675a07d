//! Whether and how the messages of a connection are compressed (RFC 7692).
//!
//! Invariant: the windows of all connections together stay within the budget of the engine. A connection that would exceed
//! it is compressed without context takeover.

use gannet_proto::deflate::{Agreement, PerMessageDeflate, WindowBits};

use crate::config::Config;
use crate::handler::Request;
use crate::shared::Shared;

/// Whether a connection whose client offers permessage-deflate is compressed, and what it keeps for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing is compressed.
    #[default]
    Off,
    /// Every message stands for itself. All compression state belongs to the shard: an idle connection holds none.
    Shared,
    /// Messages refer to those before them (context takeover), which makes small ones that resemble each other a lot
    /// shorter. Each connection keeps up to two windows ([`Config::compression_window_bits`]) within
    /// [`Config::compression_window_bytes_max`] of the engine, beyond which new connections are served as with
    /// [`Shared`](Self::Shared).
    Dedicated,
}

/// What the engine agrees on with the client of a request. Its windows are reserved; they are to be released when the
/// connection ends.
pub(crate) fn agree(config: &Config, shared: &Shared, request: &Request<'_>) -> Option<Agreement> {
    let bits = match config.compression {
        Compression::Off => return None,
        Compression::Shared => return Agreement::choose(request, &PerMessageDeflate::SHARED),
        Compression::Dedicated => WindowBits::new(config.compression_window_bits)?,
    };
    let agreement = Agreement::choose(request, &PerMessageDeflate::dedicated(bits))?;
    if shared.reserve_windows(agreement.deflate().window_bytes(), config.compression_window_bytes_max) {
        return Some(agreement);
    }
    Agreement::choose(request, &PerMessageDeflate::SHARED)
}
