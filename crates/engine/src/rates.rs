//! How much a connection may send in one second, and the marks of its session.
//!
//! Invariant: 12 bytes per connection, and no clock but the one that the shard reads anyway. The seconds are those of the
//! shard's clock, so around the turn of a second a peer can send twice the limit within one second of its own.

use gannet_proto::ProtocolError;

use crate::config::{Config, RatePolicy};

/// What came in the second that was counted last.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    messages: u32,
    bytes: u32,
    control_frames: u16,
    /// The number of that second. It comes round again after 4 minutes: a peer that sent nothing in between finds its old
    /// counts, which is harmless.
    second: u8,
    /// They have no part in the counting: this is the byte that is left over.
    pub(crate) marks: Marks,
}

/// Yes or no of a session, a bit each.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    /// A ping was sent into the silence of the peer.
    AwaitingPong = 1,
    /// Receiving is paused until the outbox shrinks.
    OutboxPaused = 2,
    /// A message was refused: the handler waits for `on_drain`.
    Refused = 4,
    /// Receiving is paused until the second is over.
    RatePaused = 8,
}

#[derive(Debug, Default)]
pub(crate) struct Marks(u8);

impl Marks {
    pub(crate) const fn is(&self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    pub(crate) const fn set(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    pub(crate) const fn clear(&mut self, mark: Mark) {
        self.0 &= !(mark as u8);
    }

    /// Whether receiving is paused, for whatever reason.
    pub(crate) const fn is_paused(&self) -> bool {
        self.0 & (Mark::OutboxPaused as u8 | Mark::RatePaused as u8) != 0
    }
}

impl Rates {
    /// Counts a ping or a pong.
    ///
    /// # Errors
    /// It is one more than `limit` in this second.
    #[inline(never)]
    pub(crate) fn count_control_frame(&mut self, now_ms: u32, limit: u16) -> Result<(), ProtocolError> {
        self.turn_to(now_ms);
        if self.control_frames >= limit {
            return Err(ProtocolError::TooManyControlFrames { limit: limit.into() });
        }
        self.control_frames += 1;
        Ok(())
    }

    /// Counts what one receive brought.
    ///
    /// # Errors
    /// It is over the limit, and the policy is to close.
    #[inline]
    pub(crate) fn count_bytes(
        &mut self,
        now_ms: u32,
        bytes: usize,
        config: &Config,
    ) -> Result<(), ProtocolError> {
        self.turn_to(now_ms);
        self.bytes = self.bytes.saturating_add(bytes as u32);
        match config.bytes_per_s_max {
            Some(limit) if self.bytes > limit && config.rate_policy == RatePolicy::Close => {
                Err(ProtocolError::TooManyBytes { limit })
            }
            _ => Ok(()),
        }
    }

    /// How many more messages may come in this second before the connection is closed for it.
    #[inline]
    pub(crate) const fn messages_left(&self, config: &Config) -> u32 {
        match (config.messages_per_s_max, config.rate_policy) {
            (Some(limit), RatePolicy::Close) => limit.saturating_sub(self.messages),
            _ => u32::MAX,
        }
    }

    /// Counts messages of this second.
    pub(crate) const fn count_messages(&mut self, messages: u32) {
        self.messages = self.messages.saturating_add(messages);
    }

    /// Whether the second has brought as much as it may, where the policy is to wait then.
    #[inline]
    pub(crate) fn is_used_up(&self, config: &Config) -> bool {
        config.rate_policy == RatePolicy::Pause
            && (config.bytes_per_s_max.is_some_and(|limit| self.bytes >= limit)
                || config.messages_per_s_max.is_some_and(|limit| self.messages >= limit))
    }

    /// Whether another second than the one counted has begun.
    pub(crate) const fn is_over(&self, now_ms: u32) -> bool {
        self.second != second_of(now_ms)
    }

    /// Messages of the second that was counted last.
    pub(crate) const fn messages(&self) -> u32 {
        self.messages
    }

    /// Forgets the counts of another second.
    #[inline]
    const fn turn_to(&mut self, now_ms: u32) {
        if self.is_over(now_ms) {
            self.second = second_of(now_ms);
            self.messages = 0;
            self.bytes = 0;
            self.control_frames = 0;
        }
    }
}

const fn second_of(now_ms: u32) -> u8 {
    (now_ms / 1000) as u8
}

/// How many opening handshakes a shard begins in a second: evenly, with the rest of a quarter of a second at once.
#[derive(Debug)]
pub(crate) struct Gate {
    per_s: u32,
    /// Thousandths of a handshake.
    left: u64,
    last_ms: u32,
}

impl Gate {
    pub(crate) const fn new(per_s: u32) -> Self {
        Self { per_s, left: Self::burst(per_s), last_ms: 0 }
    }

    /// Whether one more may begin at `now_ms`; it is counted then.
    pub(crate) fn admits(&mut self, now_ms: u32) -> bool {
        let elapsed_ms = u64::from(now_ms.wrapping_sub(self.last_ms));
        self.last_ms = now_ms;
        self.left = (self.left + elapsed_ms * u64::from(self.per_s)).min(Self::burst(self.per_s));
        let admits = self.left >= 1000;
        if admits {
            self.left -= 1000;
        }
        admits
    }

    const fn burst(per_s: u32) -> u64 {
        // At least one, however low the limit.
        if per_s < 4 { 1000 } else { per_s as u64 * 250 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(messages: Option<u32>, bytes: Option<u32>, policy: RatePolicy) -> Config {
        Config {
            messages_per_s_max: messages,
            bytes_per_s_max: bytes,
            rate_policy: policy,
            ..Config::default()
        }
    }

    #[test]
    fn exactly_the_limit_passes_in_each_second() {
        let mut rates = Rates::default();
        for second in [0, 1, 2, 65_537, u32::MAX / 1000] {
            for at_ms in [0, 1, 200] {
                assert_eq!(rates.count_control_frame(second * 1000 + at_ms, 3), Ok(()));
            }
            let error = ProtocolError::TooManyControlFrames { limit: 3 };
            assert_eq!(rates.count_control_frame(second * 1000 + 250, 3), Err(error));
        }
    }

    #[test]
    fn messages_and_control_frames_are_counted_apart() {
        let config = config(Some(3), None, RatePolicy::Close);
        let mut rates = Rates::default();
        rates.count_messages(2);
        assert_eq!(rates.count_control_frame(0, 1), Ok(()));
        assert_eq!((rates.messages_left(&config), rates.messages()), (1, 2));
        assert_eq!(rates.count_bytes(1000, 1, &config), Ok(()));
        assert_eq!((rates.messages_left(&config), rates.messages()), (3, 0));
    }

    #[test]
    fn the_policy_decides_what_comes_of_the_byte_too_many() {
        let close = config(None, Some(100), RatePolicy::Close);
        let mut rates = Rates::default();
        assert_eq!(rates.count_bytes(0, 100, &close), Ok(()));
        assert_eq!(rates.count_bytes(999, 1, &close), Err(ProtocolError::TooManyBytes { limit: 100 }));
        assert!(!rates.is_used_up(&close));
        let pause = config(None, Some(100), RatePolicy::Pause);
        let mut rates = Rates::default();
        assert_eq!((rates.count_bytes(0, 99, &pause), rates.is_used_up(&pause)), (Ok(()), false));
        assert_eq!((rates.count_bytes(0, 9, &pause), rates.is_used_up(&pause)), (Ok(()), true));
        assert_eq!((rates.is_over(999), rates.is_over(1000)), (false, true));
    }

    #[test]
    fn the_largest_counts_do_not_overflow() {
        let mut rates = Rates { control_frames: u16::MAX, messages: u32::MAX, ..Rates::default() };
        assert!(rates.count_control_frame(0, u16::MAX).is_err());
        rates.count_messages(1);
        assert_eq!(rates.messages(), u32::MAX);
        let config = config(None, Some(u32::MAX), RatePolicy::Close);
        for _receive in 0..3 {
            assert_eq!(rates.count_bytes(0, u32::MAX as usize, &config), Ok(()));
        }
    }

    #[test]
    fn a_gate_lets_its_rate_through_and_a_quarter_of_it_at_once() {
        let mut gate = Gate::new(1000);
        assert_eq!((0..2000).filter(|_| gate.admits(0)).count(), 250);
        let admitted = (1..=10_000).filter(|&now_ms| gate.admits(now_ms / 5)).count();
        assert_eq!(admitted, 2000);
        let mut slow = Gate::new(1);
        assert_eq!((0..=3000).filter(|&now_ms| slow.admits(now_ms)).count(), 4);
    }

    #[test]
    fn marks_are_set_and_cleared_apart() {
        let mut marks = Marks::default();
        marks.set(Mark::RatePaused);
        marks.set(Mark::Refused);
        marks.clear(Mark::OutboxPaused);
        assert!(marks.is_paused() && marks.is(Mark::Refused) && !marks.is(Mark::AwaitingPong));
        marks.clear(Mark::RatePaused);
        assert!(!marks.is_paused() && marks.is(Mark::Refused));
    }
}
