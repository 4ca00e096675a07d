//! Counters and histograms of one phase. Workers fill one each; they are merged by adding, never by averaging.
//!
//! Invariant: merging is commutative, and a fresh [`Tally`] is its neutral element.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The shortest time told apart, in microseconds.
const TIME_US_MIN: u64 = 1;
/// The longest time recorded, in microseconds; longer ones are recorded as this.
const TIME_US_MAX: u64 = 60_000_000;
/// Significant decimal digits of a recorded time.
const TIME_DIGITS: u8 = 3;

/// A histogram of times from 1 µs to 60 s.
#[derive(Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(TIME_US_MIN, TIME_US_MAX, TIME_DIGITS)
                .expect("1 µs to 60 s with 3 digits are legal bounds"),
        )
    }

    /// Adds a time, rounded up to microseconds.
    pub(crate) fn record_ns(&mut self, time_ns: u64) {
        self.0.saturating_record(time_ns.div_ceil(1_000).max(TIME_US_MIN));
    }

    /// Adds the times of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// The time in microseconds that a share `quantile` (0 to 1) of all times does not exceed; `None` if empty.
    pub(crate) fn quantile_us(&self, quantile: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile))
    }

    /// The longest time in microseconds; `None` if empty.
    pub(crate) fn max_us(&self) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.max())
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Times").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

/// Why a connection counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection was refused.
    Refused,
    /// The connection was reset before the opening handshake was complete.
    Reset,
    /// The opening handshake was not complete at its deadline.
    TimedOut,
    /// The server answered the opening handshake, but not by accepting it.
    Rejected,
    /// The generator had no descriptor left.
    NoDescriptor,
    /// The generator had no local port left.
    NoPort,
    /// Another error of the operating system.
    Other,
    /// It was open and ended without a closing handshake of ours.
    Died,
    /// It did not end with a complete closing handshake.
    ClosedBadly,
}

impl Failure {
    /// Every kind, in the order of reports.
    pub(crate) const ALL: [Self; 9] = [
        Self::Refused,
        Self::Reset,
        Self::TimedOut,
        Self::Rejected,
        Self::NoDescriptor,
        Self::NoPort,
        Self::Other,
        Self::Died,
        Self::ClosedBadly,
    ];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Rejected => "rejected",
            Self::NoDescriptor => "no_descriptor",
            Self::NoPort => "no_port",
            Self::Other => "other",
            Self::Died => "died",
            Self::ClosedBadly => "closed_badly",
        }
    }
}

/// Failed connections by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures([u64; Failure::ALL.len()]);

impl Failures {
    /// Counts one.
    pub(crate) fn record(&mut self, failure: Failure) {
        self.add(failure, 1);
    }

    /// Counts several of a kind.
    pub(crate) fn add(&mut self, failure: Failure, count: u64) {
        self.0[failure as usize] += count;
    }

    /// How many there are of a kind.
    pub(crate) fn of(&self, failure: Failure) -> u64 {
        self.0[failure as usize]
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The kinds that occurred and how often.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(self.0).filter(|&(_, count)| count > 0)
    }
}

/// Messages by what became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Messages {
    /// Handed to the socket.
    pub(crate) sent: u64,
    /// Arrived whole, each counted once.
    pub(crate) received: u64,
    /// Sent and not arrived by the deadline.
    pub(crate) lost: u64,
    /// Arrived again.
    pub(crate) duplicated: u64,
    /// Arrived after a newer one of the same connection.
    pub(crate) reordered: u64,
    /// Arrived with a content that was never sent on this connection. The original counts as lost as well.
    pub(crate) corrupted: u64,
}

impl Messages {
    fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}

/// Everything counted during one phase.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Connections whose opening handshake succeeded.
    pub(crate) opened: u64,
    /// Connections that failed.
    pub(crate) failures: Failures,
    /// Connections whose closing handshake was complete.
    pub(crate) closed_cleanly: u64,
    /// Messages by what became of them.
    pub(crate) messages: Messages,
    /// Messages received before the measuring time ended; stragglers are not among them.
    pub(crate) received_in_time: u64,
    /// From the start of the TCP connection to the end of the opening handshake.
    pub(crate) handshake: Times,
    /// From the intended send time to the arrival of the echo.
    pub(crate) latency: Times,
    /// From the intended to the actual send time: the generator's own delay.
    pub(crate) lag: Times,
}

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self {
            opened: 0,
            failures: Failures::default(),
            closed_cleanly: 0,
            messages: Messages::default(),
            received_in_time: 0,
            handshake: Times::new(),
            latency: Times::new(),
            lag: Times::new(),
        }
    }

    /// Adds what another worker, or another phase, counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        for (failure, count) in other.failures.kinds() {
            self.failures.add(failure, count);
        }
        self.closed_cleanly += other.closed_cleanly;
        self.messages.merge(&other.messages);
        self.received_in_time += other.received_in_time;
        self.handshake.merge(&other.handshake);
        self.latency.merge(&other.latency);
        self.lag.merge(&other.lag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_histograms_give_the_quantiles_of_all_their_times() {
        let (mut fast, mut slow) = (Times::new(), Times::new());
        for _ in 0..99 {
            fast.record_ns(50_000);
        }
        slow.record_ns(1_500_000);
        fast.merge(&slow);
        assert_eq!(fast.quantile_us(0.5), Some(50));
        assert_eq!(fast.quantile_us(0.99), Some(50));
        assert_eq!(fast.max_us(), Some(1_500));
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        assert_eq!((Times::new().quantile_us(0.5), Times::new().max_us()), (None, None));
    }

    #[test]
    fn times_beyond_the_range_are_kept_at_its_ends() {
        let mut times = Times::new();
        times.record_ns(0);
        assert_eq!(times.max_us(), Some(1));
        times.record_ns(u64::MAX);
        assert!(times.max_us() >= Some(TIME_US_MAX));
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let mut failures = Failures::default();
        failures.record(Failure::Refused);
        failures.add(Failure::ClosedBadly, 2);
        assert_eq!(failures.total(), 3);
        assert_eq!(failures.kinds().collect::<Vec<_>>(), [(Failure::Refused, 1), (Failure::ClosedBadly, 2)]);
    }

    #[test]
    fn every_failure_has_its_own_place() {
        for (place, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, place);
        }
    }

    #[test]
    fn merging_a_fresh_tally_changes_nothing() {
        let mut tally = Tally::new();
        tally.messages =
            Messages { sent: 3, received: 1, lost: 1, duplicated: 1, reordered: 1, corrupted: 1 };
        let before = tally.messages;
        tally.merge(&Tally::new());
        assert_eq!(tally.messages, before);
    }
}
