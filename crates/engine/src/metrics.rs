//! What a shard counts of itself, and where others read it.
//!
//! Invariant: a shard counts in plain numbers of its own and publishes a copy at most once per millisecond, so counting
//! costs a message next to nothing. What is published is never older than the sweep of the timers (250 ms).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gannet_driver::DriverCounters;
use gannet_proto::CloseCode;

/// The upper bounds of the classes of turn times, in microseconds; longer ones are in a class of their own.
pub const TURN_TIME_BOUNDS_US: [u64; 12] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

/// The statuses that [`Counts::responses`] counts apart.
pub const STATUSES: [u16; 15] = [101, 200, 304, 400, 401, 403, 404, 405, 408, 426, 429, 431, 500, 503, 505];

/// What one shard has done so far, and what it holds now.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Connections in the table now, handshakes and endings included.
    pub connections: u64,
    /// Open WebSockets now.
    pub sessions: u64,
    /// Bytes that wait in outboxes and unfinished messages now.
    pub buffered_bytes: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Responses to requests by status, in the order of [`STATUSES`]; the last place is for all others.
    pub responses: [u64; STATUSES.len() + 1],
    /// Messages that a handler was called for.
    pub messages_received: u64,
    /// Messages sent, replies included.
    pub messages_sent: u64,
    /// Bytes received on open WebSockets, frame headers included; with TLS, what it carried.
    pub bytes_received: u64,
    /// Bytes sent, handshakes included; with TLS, what it carries.
    pub bytes_sent: u64,
    /// Messages not sent because the outbox was full.
    pub messages_refused: u64,
    /// Messages and closes from other threads for a connection that was gone or closing.
    pub undeliverable: u64,
    /// Ended WebSockets by close code: 1000 to 1015, then all others.
    pub closes: [u64; 17],
    /// Connections cut because the memory of all of them was over its budget.
    pub shed: u64,
    /// Times that receiving was paused because a connection used up its second.
    pub rate_pauses: u64,
    /// Calls of the handler that panicked.
    pub handler_panics: u64,
    /// Turns of the event loop.
    pub turns: u64,
    /// Of the turns that were timed (1 of 16), how many took up to each of [`TURN_TIME_BOUNDS_US`], and longer.
    pub turn_times: [u64; TURN_TIME_BOUNDS_US.len() + 1],
    /// The time of those turns together, in microseconds.
    pub turn_time_us: u64,
    /// Failed `accept` calls, the descriptor limit included.
    pub accept_errors: u64,
    /// Connections that the driver turned away, for want of a descriptor or a slot.
    pub refused_by_driver: u64,
    /// Commands or kernel events for a connection that was gone.
    pub stale_tokens: u64,
}

impl Counts {
    pub(crate) fn count_response(&mut self, status: u16) {
        let place = STATUSES.iter().position(|&counted| counted == status).unwrap_or(STATUSES.len());
        self.responses[place] += 1;
    }

    pub(crate) fn count_close(&mut self, code: CloseCode) {
        let place = usize::from(u16::from(code).wrapping_sub(1000)).min(16);
        self.closes[place] += 1;
    }

    pub(crate) fn count_turn_time(&mut self, time: Duration) {
        let time_us = time.as_micros() as u64;
        let place = TURN_TIME_BOUNDS_US.iter().position(|&bound| time_us <= bound);
        self.turn_times[place.unwrap_or(TURN_TIME_BOUNDS_US.len())] += 1;
        self.turn_time_us += time_us;
    }

    pub(crate) const fn take_driver(&mut self, counters: DriverCounters) {
        self.accept_errors = counters.accept_errors;
        self.refused_by_driver = counters.refused;
        self.stale_tokens = counters.stale_tokens;
    }
}

/// Where the counts of one shard are read.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<Counts>);

impl Published {
    pub(crate) fn set(&self, counts: &Counts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = *counts;
    }

    pub(crate) fn get(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_counted_in_their_place_and_unknown_ones_in_the_last() {
        let mut counts = Counts::default();
        for code in [1000, 1006, 1015, 999, 1016, 3000, 4999] {
            counts.count_close(CloseCode::new(code));
        }
        assert_eq!((counts.closes[0], counts.closes[6], counts.closes[15], counts.closes[16]), (1, 1, 1, 4));
        for status in [101, 505, 502] {
            counts.count_response(status);
        }
        assert_eq!((counts.responses[0], counts.responses[14], counts.responses[15]), (1, 1, 1));
    }

    #[test]
    fn a_turn_time_is_counted_in_the_first_class_that_holds_it() {
        let mut counts = Counts::default();
        for time_us in [10, 11, 250_000, 250_001] {
            counts.count_turn_time(Duration::from_micros(time_us));
        }
        assert_eq!(
            (counts.turn_times[0], counts.turn_times[1], counts.turn_times[11], counts.turn_times[12]),
            (1, 1, 1, 1)
        );
        assert_eq!(counts.turn_time_us, 500_022);
    }
}
