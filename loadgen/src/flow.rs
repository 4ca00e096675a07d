//! The messages of one connection: which were sent, which came back, and in which order.
//!
//! Invariant: every sequence number that was sent ends as exactly one of: arrived in order, reordered, or lost.

/// What the arrival of a sequence number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is newer than everything before it.
    InOrder,
    /// A newer one arrived before it.
    Reordered,
    /// It arrived before.
    Duplicated,
    /// It was counted as lost by [`Flow::settle`], and arrived after all.
    Late,
    /// No message of this number was sent.
    Unsent,
}

/// The sequence numbers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The number of the next message to send; all below were sent.
    sent: u32,
    /// One more than the highest number that arrived; all below arrived or are in `missing`.
    expected: u32,
    /// Numbers below it are settled: what is missing of them was counted as lost.
    settled: u32,
    /// Numbers that were overtaken and did not arrive.
    missing: Vec<u32>,
}

impl Flow {
    /// The number of the message about to be sent.
    pub(crate) fn next(&mut self) -> u32 {
        let sequence = self.sent;
        self.sent += 1;
        sequence
    }

    /// Takes note of an arrival.
    pub(crate) fn arrive(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.sent {
            return Arrival::Unsent;
        }
        if sequence >= self.expected {
            self.missing.extend(self.expected..sequence);
            self.expected = sequence + 1;
            return Arrival::InOrder;
        }
        let Some(place) = self.missing.iter().position(|&missing| missing == sequence) else {
            return Arrival::Duplicated;
        };
        self.missing.swap_remove(place);
        if sequence < self.settled { Arrival::Late } else { Arrival::Reordered }
    }

    /// How many messages are on their way: sent, not arrived, not yet counted as lost.
    pub(crate) fn outstanding(&self) -> u32 {
        let overtaken = self.missing.iter().filter(|&&missing| missing >= self.settled).count();
        self.sent - self.expected + overtaken as u32
    }

    /// Gives up on what is on its way and returns how many messages that were: they are lost.
    pub(crate) fn settle(&mut self) -> u32 {
        let lost = self.outstanding();
        self.missing.extend(self.expected..self.sent);
        self.expected = self.sent;
        self.settled = self.sent;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(count: u32) -> Flow {
        let mut flow = Flow::default();
        for sequence in 0..count {
            assert_eq!(flow.next(), sequence);
        }
        flow
    }

    #[test]
    fn messages_that_arrive_in_order_leave_nothing_outstanding() {
        let mut flow = sent(3);
        for sequence in 0..3 {
            assert_eq!(flow.arrive(sequence), Arrival::InOrder);
        }
        assert_eq!((flow.outstanding(), flow.settle()), (0, 0));
    }

    #[test]
    fn a_message_that_never_arrives_is_lost_once() {
        let mut flow = sent(3);
        flow.arrive(0);
        flow.arrive(2);
        assert_eq!(flow.outstanding(), 1);
        assert_eq!((flow.settle(), flow.settle()), (1, 0));
    }

    #[test]
    fn the_last_messages_are_lost_if_nothing_follows_them() {
        let mut flow = sent(5);
        flow.arrive(0);
        assert_eq!(flow.settle(), 4);
    }

    #[test]
    fn an_overtaken_message_is_reordered_and_not_lost() {
        let mut flow = sent(3);
        assert_eq!(flow.arrive(2), Arrival::InOrder);
        assert_eq!(flow.arrive(0), Arrival::Reordered);
        assert_eq!(flow.arrive(1), Arrival::Reordered);
        assert_eq!(flow.settle(), 0);
    }

    #[test]
    fn a_second_arrival_is_duplicated() {
        let mut flow = sent(2);
        flow.arrive(1);
        flow.arrive(0);
        assert_eq!(flow.arrive(1), Arrival::Duplicated);
        assert_eq!(flow.arrive(0), Arrival::Duplicated);
    }

    #[test]
    fn a_number_that_was_not_sent_is_told_apart() {
        assert_eq!(sent(2).arrive(2), Arrival::Unsent);
    }

    #[test]
    fn a_message_after_its_settlement_is_late_and_then_duplicated() {
        let mut flow = sent(2);
        assert_eq!(flow.settle(), 2);
        assert_eq!(flow.arrive(0), Arrival::Late);
        assert_eq!(flow.arrive(0), Arrival::Duplicated);
        assert_eq!(flow.next(), 2);
        assert_eq!(flow.arrive(2), Arrival::InOrder);
        assert_eq!(flow.settle(), 0);
    }
}
