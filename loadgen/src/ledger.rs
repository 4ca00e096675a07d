//! What the connections of one worker count together while a phase runs.
//!
//! Invariant: `in_flight` is the sum of what the open connections have outstanding, and `open` their number; both
//! reach zero however a connection ends, so that no wait for them hangs.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::flow::Arrival;
use crate::record::{Failure, Tally};

/// The counters of one worker.
#[derive(Debug)]
pub(crate) struct Ledger {
    tally: RefCell<Tally>,
    in_flight: Cell<u64>,
    open: Cell<u64>,
    fell: Notify,
    /// Steps done in this phase by all workers, for the progress line.
    progress: Arc<AtomicU64>,
    began: Instant,
}

impl Ledger {
    /// A ledger whose times count from `began`.
    pub(crate) fn new(began: Instant, progress: Arc<AtomicU64>) -> Self {
        Self {
            tally: RefCell::new(Tally::new()),
            in_flight: Cell::new(0),
            open: Cell::new(0),
            fell: Notify::new(),
            progress,
            began,
        }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes what was counted since the last call.
    pub(crate) fn take(&self) -> Tally {
        self.tally.replace(Tally::new())
    }

    /// Messages received so far in this phase.
    pub(crate) fn received(&self) -> u64 {
        self.tally.borrow().messages.received
    }

    /// Notes how many messages came within the measuring time.
    pub(crate) fn set_received_in_time(&self, received: u64) {
        self.tally.borrow_mut().received_in_time = received;
    }

    /// A connection is open after a handshake of this length.
    pub(crate) fn record_open(&self, handshake: Duration) {
        self.open.set(self.open.get() + 1);
        let mut tally = self.tally.borrow_mut();
        tally.opened += 1;
        tally.handshake.record_ns(u64::try_from(handshake.as_nanos()).unwrap_or(u64::MAX));
        self.step();
    }

    /// A connection could not be opened.
    pub(crate) fn record_failure(&self, failure: Failure) {
        self.tally.borrow_mut().failures.record(failure);
        self.step();
    }

    /// A message due at `intended_ns` leaves now.
    pub(crate) fn record_sent(&self, intended_ns: u64) {
        self.in_flight.set(self.in_flight.get() + 1);
        let mut tally = self.tally.borrow_mut();
        tally.messages.sent += 1;
        tally.lag.record_ns(self.now_ns().saturating_sub(intended_ns));
    }

    /// A whole message arrived that was due at `intended_ns`.
    pub(crate) fn record_arrival(&self, arrival: Arrival, intended_ns: u64) {
        let mut tally = self.tally.borrow_mut();
        match arrival {
            Arrival::InOrder | Arrival::Reordered => {
                tally.messages.received += 1;
                tally.messages.reordered += u64::from(arrival == Arrival::Reordered);
                tally.latency.record_ns(self.now_ns().saturating_sub(intended_ns));
                self.in_flight.set(self.in_flight.get() - 1);
                self.fell.notify_one();
                self.step();
            }
            Arrival::Duplicated => tally.messages.duplicated += 1,
            // It was counted when it was given up.
            Arrival::Late => {}
            Arrival::Unsent => tally.messages.corrupted += 1,
        }
    }

    /// Something arrived that nobody sent.
    pub(crate) fn record_corrupted(&self) {
        self.tally.borrow_mut().messages.corrupted += 1;
    }

    /// Messages that were in flight are given up.
    pub(crate) fn record_lost(&self, lost: u32) {
        self.tally.borrow_mut().messages.lost += u64::from(lost);
        self.in_flight.set(self.in_flight.get() - u64::from(lost));
        self.fell.notify_one();
    }

    /// A connection ended with a complete closing handshake.
    pub(crate) fn record_closed(&self) {
        self.tally.borrow_mut().closed_cleanly += 1;
        self.step();
        self.forget_open(1);
    }

    /// A connection ended in another way.
    pub(crate) fn record_broken(&self, failure: Failure) {
        self.tally.borrow_mut().failures.record(failure);
        self.forget_open(1);
    }

    /// Connections that are still open at the closing deadline are given up.
    pub(crate) fn give_up_open(&self) {
        let open = self.open.get();
        self.tally.borrow_mut().failures.add(Failure::ClosedBadly, open);
        self.forget_open(open);
    }

    /// Waits until at most `limit` messages are in flight.
    pub(crate) async fn in_flight_at_most(&self, limit: u64) {
        while self.in_flight.get() > limit {
            self.fell.notified().await;
        }
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.fell.notified().await;
        }
    }

    fn forget_open(&self, count: u64) {
        self.open.set(self.open.get() - count);
        self.fell.notify_one();
    }

    fn step(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(Instant::now(), Arc::default())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn lost_messages_end_the_wait_for_stragglers() {
        let ledger = ledger();
        ledger.record_sent(0);
        ledger.record_sent(0);
        ledger.record_arrival(Arrival::InOrder, 0);
        ledger.record_lost(1);
        ledger.in_flight_at_most(0).await;
        let messages = ledger.take().messages;
        assert_eq!((messages.sent, messages.received, messages.lost), (2, 1, 1));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn connections_that_never_close_are_counted_and_end_the_wait() {
        let ledger = ledger();
        for _ in 0..3 {
            ledger.record_open(Duration::from_micros(80));
        }
        ledger.record_closed();
        ledger.give_up_open();
        ledger.all_closed().await;
        let tally = ledger.take();
        assert_eq!((tally.opened, tally.closed_cleanly, tally.failures.total()), (3, 1, 2));
    }

    #[test]
    fn a_message_that_was_never_sent_is_corrupted_and_not_received() {
        let ledger = ledger();
        ledger.record_arrival(Arrival::Unsent, 0);
        let messages = ledger.take().messages;
        assert_eq!((messages.received, messages.corrupted), (0, 1));
    }
}
