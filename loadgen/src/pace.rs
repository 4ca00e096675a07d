//! The open-loop schedule: which connection sends when, whatever became of the messages before.
//!
//! Invariant: a due time depends on the schedule alone, never on when earlier messages left. A late generator therefore
//! shows as lag and as latency, and does not slow the offered load down.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

const NS_PER_S: u64 = 1_000_000_000;

/// A worker's part of the global round-robin schedule of `rate_per_s` messages per second over `connections`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Messages per second over all workers.
    pub(crate) rate_per_s: u64,
    /// How long it lasts.
    pub(crate) duration: Duration,
    /// Connections over all workers.
    pub(crate) connections: u32,
    /// Number of workers.
    pub(crate) workers: u32,
    /// Which of them this is.
    pub(crate) worker: u32,
}

/// One message of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The connection, counted among those of this worker.
    pub(crate) connection: usize,
    /// When, in nanoseconds since the schedule began.
    pub(crate) after_ns: u64,
}

impl Schedule {
    /// This worker's messages in the order of their due times.
    pub(crate) fn messages(self) -> impl Iterator<Item = Due> {
        let own = u64::from(connections_of(self.connections, self.workers, self.worker));
        let end_ns = u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX);
        (0..)
            .map_while(move |message: u64| {
                let (round, connection) = (message.checked_div(own)?, message % own);
                let place = round * u64::from(self.connections)
                    + connection * u64::from(self.workers)
                    + u64::from(self.worker);
                Some(Due { connection: connection as usize, after_ns: due_ns(place, self.rate_per_s) })
            })
            .take_while(move |due| due.after_ns < end_ns)
    }
}

/// How many of `connections` belong to `worker`: those whose number is `worker` modulo `workers`.
pub(crate) fn connections_of(connections: u32, workers: u32, worker: u32) -> u32 {
    connections.saturating_sub(worker).div_ceil(workers)
}

/// When the message at `place` of the global schedule is due.
fn due_ns(place: u64, rate_per_s: u64) -> u64 {
    let (seconds, rest) = (place / rate_per_s, place % rate_per_s);
    seconds * NS_PER_S + rest * NS_PER_S / rate_per_s
}

/// A timer of the kernel's full resolution; the runtime's own has 1 ms.
#[derive(Debug)]
pub(crate) struct FineTimer(AsyncFd<OwnedFd>);

impl FineTimer {
    /// Opens the timer in the descriptor table and the runtime of this thread.
    ///
    /// # Errors
    /// That of the operating system, such as a full descriptor table.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types whose descriptor may change; OwnedFd's never does"
    )]
    pub(crate) fn open() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    /// Waits for `delay_ns`, at least 1 ns.
    ///
    /// # Errors
    /// That of the operating system.
    pub(crate) async fn wait(&self, delay_ns: u64) -> io::Result<()> {
        let delay_ns = delay_ns.max(1);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: (delay_ns / NS_PER_S).cast_signed(),
                tv_nsec: (delay_ns % NS_PER_S).cast_signed(),
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
            if let Ok(read) = read {
                return read.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate_per_s: u64, connections: u32, workers: u32, worker: u32) -> Schedule {
        Schedule { rate_per_s, duration: Duration::from_secs(1), connections, workers, worker }
    }

    #[test]
    fn all_workers_together_send_the_rate() {
        for (rate, connections, workers) in [(10_000, 50_000, 3), (10_000, 7, 2), (9_999, 1, 1), (3, 10, 4)] {
            let sent: usize = (0..workers)
                .map(|worker| schedule(rate, connections, workers, worker).messages().count())
                .sum();
            assert_eq!(sent as u64, rate, "rate {rate} over {connections} connections of {workers} workers");
        }
    }

    #[test]
    fn the_workers_messages_interleave_at_equal_distances() {
        let mut all: Vec<u64> = (0..3)
            .flat_map(|worker| schedule(1_000, 10, 3, worker).messages().map(|due| due.after_ns))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).map(|place| place * 1_000_000).collect::<Vec<u64>>());
    }

    #[test]
    fn a_worker_visits_its_connections_in_turn() {
        let first: Vec<Due> = schedule(10, 5, 2, 1).messages().collect();
        let due = |connection, tenth: u64| Due { connection, after_ns: tenth * 100_000_000 };
        assert_eq!(first, [due(0, 1), due(1, 3), due(0, 6), due(1, 8)]);
    }

    #[test]
    fn due_times_do_not_drift_at_a_rate_that_does_not_divide_a_second() {
        assert_eq!(due_ns(3, 3), NS_PER_S);
        assert_eq!(due_ns(3_000_000, 3), 1_000_000 * NS_PER_S);
        assert_eq!(due_ns(1, 3), 333_333_333);
    }

    #[test]
    fn a_worker_without_connections_sends_nothing() {
        assert_eq!(connections_of(1, 2, 1), 0);
        assert_eq!(schedule(10, 1, 2, 1).messages().count(), 0);
    }

    #[test]
    fn the_workers_share_all_connections() {
        assert_eq!((0..3).map(|worker| connections_of(50_000, 3, worker)).sum::<u32>(), 50_000);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_timer_does_not_fire_early() {
        let timer = FineTimer::open().unwrap();
        let started = std::time::Instant::now();
        for _ in 0..3 {
            timer.wait(200_000).await.unwrap();
        }
        assert!(started.elapsed() >= Duration::from_micros(600));
    }
}
