//! How much a connection may send in one second: control frames always, messages if there is a limit.
//!
//! Invariant: 8 bytes per connection, and no clock but the one that the shard reads anyway. The seconds are those of the
//! shard's clock, so around the turn of a second a peer can send twice the limit within one second of its own.

use gannet_proto::ProtocolError;

/// What came in the second that was counted last.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// The number of that second. It comes round again after 18 hours: a peer that sent nothing countable in between
    /// finds its old counts, which is harmless.
    second: u16,
    control_frames: u16,
    messages: u32,
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

    /// How many more messages may come in this second.
    pub(crate) const fn messages_left(&mut self, now_ms: u32, limit: Option<u32>) -> u32 {
        let Some(limit) = limit else { return u32::MAX };
        self.turn_to(now_ms);
        limit.saturating_sub(self.messages)
    }

    /// Counts messages of the second that [`messages_left`](Self::messages_left) was asked for.
    pub(crate) const fn count_messages(&mut self, messages: u32) {
        self.messages = self.messages.saturating_add(messages);
    }

    /// Forgets the counts of another second.
    const fn turn_to(&mut self, now_ms: u32) {
        let second = (now_ms / 1000) as u16;
        if self.second != second {
            *self = Self { second, control_frames: 0, messages: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_limit_passes_in_each_second() {
        let mut rates = Rates::default();
        for second in [0, 1, 2, 65_536, u32::MAX / 1000] {
            for at_ms in [0, 1, 200] {
                assert_eq!(rates.count_control_frame(second * 1000 + at_ms, 3), Ok(()));
            }
            let error = ProtocolError::TooManyControlFrames { limit: 3 };
            assert_eq!(rates.count_control_frame(second * 1000 + 250, 3), Err(error));
        }
    }

    #[test]
    fn messages_and_control_frames_are_counted_apart() {
        let mut rates = Rates::default();
        assert_eq!(rates.messages_left(0, Some(3)), 3);
        rates.count_messages(2);
        assert_eq!(rates.count_control_frame(0, 1), Ok(()));
        assert_eq!(rates.messages_left(999, Some(3)), 1);
        assert_eq!(rates.messages_left(1000, Some(3)), 3);
        assert_eq!(rates.messages_left(1000, None), u32::MAX);
    }

    #[test]
    fn the_largest_limits_do_not_overflow_the_counts() {
        let mut rates = Rates { second: 0, control_frames: u16::MAX, messages: u32::MAX };
        assert!(rates.count_control_frame(0, u16::MAX).is_err());
        assert_eq!(rates.messages_left(0, Some(u32::MAX)), 0);
        rates.count_messages(1);
        assert_eq!(rates.messages, u32::MAX);
    }
}
