//! The clock of a shard and the sweep that finds what is due.
//!
//! Traffic costs a timer nothing but a store of the current millisecond. Invariant: every connection is looked at once
//! per [`SWEEP_PERIOD_MS`], a bounded number of them per turn; a deadline is met at most that much late.

use std::ops::Range;
use std::time::{Duration, Instant};

/// Every connection is looked at once in so many milliseconds.
pub(crate) const SWEEP_PERIOD_MS: u32 = 250;
/// Connections looked at in one turn.
const SLOTS_PER_TURN: usize = 4096;

/// Milliseconds since the shard started, wrapping after 49 days; differences stay right.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now_ms: u32,
    now_s: u32,
}

impl Clock {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start, now_ms: 0, now_s: 0 }
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.start);
        self.now_ms = elapsed.as_millis() as u32;
        self.now_s = elapsed.as_secs() as u32;
    }

    pub(crate) const fn now_ms(&self) -> u32 {
        self.now_ms
    }

    /// Whole seconds since the shard started; they do not wrap.
    pub(crate) const fn now_s(&self) -> u32 {
        self.now_s
    }

    pub(crate) const fn elapsed_ms(&self, since_ms: u32) -> u32 {
        self.now_ms.wrapping_sub(since_ms)
    }
}

/// Which slots to look at, and when.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    cursor: usize,
    last_ms: u32,
}

impl Sweep {
    /// The slots to look at now.
    pub(crate) fn due(&mut self, now_ms: u32, slots: usize) -> Range<usize> {
        if slots == 0 || now_ms.wrapping_sub(self.last_ms) < Self::pause_ms(slots) {
            return 0..0;
        }
        self.last_ms = now_ms;
        let start = if self.cursor < slots { self.cursor } else { 0 };
        self.cursor = (start + SLOTS_PER_TURN).min(slots);
        start..self.cursor
    }

    /// Milliseconds until [`Sweep::due`] has slots to look at.
    pub(crate) fn wait(&self, now_ms: u32, slots: usize) -> Duration {
        Duration::from_millis(u64::from(
            Self::pause_ms(slots).saturating_sub(now_ms.wrapping_sub(self.last_ms)),
        ))
    }

    /// Between two slices, so that all of them fit in one period.
    fn pause_ms(slots: usize) -> u32 {
        (SWEEP_PERIOD_MS / slots.div_ceil(SLOTS_PER_TURN).max(1) as u32).max(1)
    }
}

/// How long the connection in `slot` may be silent before it is pinged: between three quarters of the interval and all
/// of it, so that connections that fell silent together are not pinged together.
pub(crate) fn ping_after_ms(slot: usize, interval_ms: u32) -> u32 {
    interval_ms - share_ms(slot, interval_ms / 4)
}

/// How long the connection in `slot` may stay open: between nine tenths of the lifetime and all of it.
pub(crate) fn close_after_ms(slot: usize, lifetime_ms: u32) -> u32 {
    lifetime_ms - share_ms(slot, lifetime_ms / 10)
}

/// A part of `whole_ms` that differs from slot to slot.
fn share_ms(slot: usize, whole_ms: u32) -> u32 {
    // A multiplicative hash spreads neighbouring slots evenly over 0..1024.
    let phase = (slot as u32).wrapping_mul(0x9e37_79b1) >> 22;
    (u64::from(whole_ms) * u64::from(phase) / 1024) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_looked_at_once_per_period() {
        let slots = 3 * SLOTS_PER_TURN + 17;
        let mut sweep = Sweep::default();
        let mut seen = vec![0; slots];
        for now_ms in 1..=SWEEP_PERIOD_MS {
            for slot in sweep.due(now_ms, slots) {
                seen[slot] += 1;
            }
        }
        assert!(seen.iter().all(|&times| times == 1));
    }

    #[test]
    fn nothing_is_due_before_the_wait_is_over() {
        let mut sweep = Sweep::default();
        assert_eq!(sweep.due(SWEEP_PERIOD_MS - 1, 10), 0..0);
        assert_eq!(sweep.wait(SWEEP_PERIOD_MS - 1, 10), Duration::from_millis(1));
        assert_eq!(sweep.due(SWEEP_PERIOD_MS, 10), 0..10);
    }

    #[test]
    fn the_clock_measures_across_its_wrap() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        clock.advance(start + Duration::from_millis(u64::from(u32::MAX) + 11));
        assert_eq!(clock.now_ms(), 10);
        assert_eq!(clock.elapsed_ms(u32::MAX - 9), 20);
    }

    #[test]
    fn pings_are_spread_evenly_over_a_quarter_of_the_interval() {
        let mut tenths = [0_u32; 10];
        for slot in 0..10_000 {
            let after = ping_after_ms(slot, 40_000);
            assert!((30_000..=40_000).contains(&after), "{after}");
            tenths[((after - 30_001).min(9_999) / 1000) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (900..=1100).contains(&count)), "{tenths:?}");
    }
}
