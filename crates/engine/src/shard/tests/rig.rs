//! A shard on a simulated network, and what has to hold after each of its turns.

use std::ops::Deref;
use std::time::Duration;

use gannet_driver::RECEIVE_BYTES_MAX;
use gannet_driver::sim::{Faults, PeerId};

use super::recorder::{LARGE_MESSAGE_BYTES, Record, Recorder, Records};
use crate::config::Config;
use crate::connection::{Phase, Rare};
use crate::rates::Mark;
use crate::sim::Simulation;

pub(super) struct Rig {
    simulation: Simulation<Recorder>,
    pub(super) config: Config,
    pub(super) records: Records,
    pub(super) now_ms: u64,
}

impl Deref for Rig {
    type Target = Simulation<Recorder>;

    fn deref(&self) -> &Self::Target {
        &self.simulation
    }
}

impl Rig {
    /// A shard with the default settings, changed by `change`, on a network without faults.
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self::with_faults(0, Faults::none(), config)
    }

    pub(super) fn with_faults(seed: u64, faults: Faults, config: Config) -> Self {
        let records = Records::default();
        let recorder = Recorder { records: records.clone() };
        let simulation =
            Simulation::new(config.clone(), seed, faults, recorder).expect("the settings are valid");
        Self { simulation, config, records, now_ms: 0 }
    }

    /// One turn, `step_ms` after the one before.
    pub(super) fn turn(&mut self, step_ms: u64) {
        self.now_ms += step_ms;
        self.simulation.step(Duration::from_millis(step_ms));
        self.check();
    }

    /// Turns every 10 ms, until `duration_ms` are over.
    pub(super) fn run(&mut self, duration_ms: u64) {
        let end_ms = self.now_ms + duration_ms;
        while self.now_ms < end_ms {
            self.turn((end_ms - self.now_ms).min(10));
        }
    }

    pub(super) fn record(&self, peer: PeerId) -> Record {
        self.records.of(peer.address())
    }

    /// Sessions that are not received from because their outbox is too full.
    pub(super) fn paused(&self) -> usize {
        self.entries()
            .filter(
                |phase| matches!(phase, Phase::Open(session) if session.rates.marks.is(Mark::OutboxPaused)),
            )
            .count()
    }

    fn entries(&self) -> impl Iterator<Item = &Phase<super::recorder::State>> {
        let connections = &self.shard.connections;
        (0..connections.slots()).filter_map(|slot| connections.at_slot(slot)).map(|(_, entry)| &entry.phase)
    }

    fn check(&self) {
        assert!(self.shard.cork.is_empty(), "the cork holds {} bytes between turns", self.shard.cork.len());
        self.check_entries();
        self.check_counters();
    }

    fn check_entries(&self) {
        // One message, and the replies to what one receive brought: a message that it completes, and what is in it.
        let outbox_bytes_max = self.config.outbox_bytes_max
            + LARGE_MESSAGE_BYTES
            + self.config.message_bytes_max
            + RECEIVE_BYTES_MAX
            + 1024;
        for phase in self.entries() {
            let waiting = outbox_bytes(phase);
            assert!(
                waiting <= outbox_bytes_max,
                "{waiting} bytes in an outbox, more than {outbox_bytes_max}"
            );
            if let Phase::Open(session) = phase {
                let paused = session.rates.marks.is(Mark::OutboxPaused);
                assert_eq!(paused, waiting >= self.config.outbox_pause_bytes, "{waiting} bytes wait");
                let is_begun = session.message_since_ms().is_some();
                assert_eq!(session.rare.is_some(), waiting > 0 || is_begun, "memory is kept for nothing");
                let tail_bytes = session.rare.as_ref().map_or(0, |rare| rare.tail.len());
                let is_arriving = session.protocol.is_message_begun() || tail_bytes > 0;
                assert_eq!(is_begun, is_arriving, "the time of no message");
                let charged = session.rare.as_ref().map_or(0, |rare| rare.charged_bytes());
                assert_eq!(charged, waiting + tail_bytes + session.protocol.assembled_bytes());
            }
        }
    }

    fn check_counters(&self) {
        let (summary, records) = (self.shared.summary(), self.records.all());
        assert!(records.values().all(|record| record.opened == 1 && record.closed.len() <= 1), "{records:?}");
        let closed = |clean| {
            records
                .values()
                .flat_map(|record| &record.closed)
                .filter(|(_, was_clean)| *was_clean == clean)
                .count()
        };
        assert_eq!(summary.opened, records.len() as u64);
        assert_eq!(summary.handler_panics, self.records.panics(), "the handler panicked by itself");
        assert_eq!((summary.closed_cleanly, summary.cut), (closed(true) as u64, closed(false) as u64));
        let open = self.entries().filter(|phase| matches!(phase, Phase::Open(_))).count();
        assert_eq!(
            open,
            records.len() - closed(true) - closed(false),
            "sessions without a connection, or the reverse"
        );
        assert_eq!(self.shard.counts.sessions, open as u64);
        let charged: usize = self.entries().map(charged_bytes).sum();
        assert_eq!(self.shard.account.bytes(), charged, "memory that no connection is charged with");
        let with_socket = self.entries().filter(|phase| !matches!(phase, Phase::Closing)).count();
        assert_eq!(with_socket, self.network.open_connections());
        assert_eq!(summary.connections + self.shard.over_cap.len(), self.entries().count());
        assert_eq!(self.shard.connections.len(), self.entries().count());
    }
}

fn rare<S>(phase: &Phase<S>) -> Option<&Rare> {
    match phase {
        Phase::Open(session) => session.rare.as_deref(),
        Phase::Ending(ending) => ending.rare.as_deref(),
        _ => None,
    }
}

fn outbox_bytes<S>(phase: &Phase<S>) -> usize {
    rare(phase).map_or(0, |rare| rare.outbox.bytes())
}

fn charged_bytes<S>(phase: &Phase<S>) -> usize {
    rare(phase).map_or(0, Rare::charged_bytes)
}
