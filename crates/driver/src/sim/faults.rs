//! What goes wrong in a simulation, and how often.
//!
//! Invariant: whether a fault happens is decided by the seed alone. With [`Faults::none`] nothing is drawn and every
//! command does at once what it can.

/// How often each fault happens, in per mille of the occasions (0 to 1000).
///
/// A delay of 1000 would put everything off for ever; all others may be 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// A receive gives only a part of what has arrived, down to 1 byte.
    pub short_receive_per_mille: u16,
    /// A send takes only a part of what the window of the peer allows, down to 1 byte.
    pub short_send_per_mille: u16,
    /// A send takes nothing at first although the window is open, and completes in a later turn.
    pub parked_send_per_mille: u16,
    /// Something that could happen in this turn (accept, receive, progress of a send) happens in a later one.
    pub delay_per_mille: u16,
    /// The completions of a turn come in any order. The bytes of one connection stay in order.
    pub reorder_per_mille: u16,
    /// An accept fails: the client is dropped, and counted in `accept_errors`.
    pub failed_accept_per_mille: u16,
    /// Per connection and turn: the connection is reset; a part of what was on its way is lost.
    pub reset_per_mille: u16,
    /// Per connection and turn: the stream of the peer ends, wherever in a frame that is.
    pub end_of_stream_per_mille: u16,
    /// Per closed connection: one more completion for its token comes after `Closed`. That breaks the contract on
    /// purpose: a caller has to ignore it.
    pub stale_completion_per_mille: u16,
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            short_receive_per_mille: 0,
            short_send_per_mille: 0,
            parked_send_per_mille: 0,
            delay_per_mille: 0,
            reorder_per_mille: 0,
            failed_accept_per_mille: 0,
            reset_per_mille: 0,
            end_of_stream_per_mille: 0,
            stale_completion_per_mille: 0,
        }
    }

    /// Everything is cut, late and out of order, but within the contract and nothing is lost: a caller has to give
    /// the same results as with [`Faults::none`].
    #[must_use]
    pub const fn lossless() -> Self {
        Self {
            short_receive_per_mille: 300,
            short_send_per_mille: 300,
            parked_send_per_mille: 200,
            delay_per_mille: 200,
            reorder_per_mille: 500,
            ..Self::none()
        }
    }

    /// All of [`Faults::lossless`], and connections break, accepts fail and stale completions come.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            failed_accept_per_mille: 50,
            reset_per_mille: 5,
            end_of_stream_per_mille: 5,
            stale_completion_per_mille: 200,
            ..Self::lossless()
        }
    }
}
