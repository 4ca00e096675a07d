//! Random peers against a whole shard. What fails names its seed and the command that replays it alone.
//!
//! Invariant: the seed decides everything. The same seed gives the same run, turn by turn.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gannet_driver::sim::{Faults, Network};

use super::chance::Chance;
use super::peer::{Peer, Seen};
use super::recorder::{CLOSED_BY_HANDLER, NO_ECHO};
use super::rig::Rig;
use super::script::{CONTROL_FRAMES_PER_S_MAX, Script, Step};
use crate::compression::Compression;
use crate::config::{Config, OutboxPolicy};
use crate::shard::ShardStatus;

/// Runs these seeds instead of the fixed ones: `7`, or `1000..50000`.
const SEED_VARIABLE: &str = "GANNET_SIM_SEED";
/// The fixed seeds.
const SEEDS: u64 = 300;
/// Turns after which the peers have to be done.
const TURNS_MAX: usize = 3000;

/// A peer that follows its script.
struct Actor {
    peer: Peer,
    script: Script,
    echoes: VecDeque<(u8, Vec<u8>)>,
    pongs: VecDeque<Vec<u8>>,
    /// Nothing wrong was written so far.
    is_legal: bool,
    waits: usize,
    reads: bool,
    status: Option<u16>,
    close: Option<u16>,
    close_sent: Option<u16>,
}

impl Actor {
    fn new(network: &Network, script: Script) -> Self {
        let mut peer = Peer::connect(network);
        peer.piece_bytes_max = script.piece_bytes_max;
        peer.offer = script.offer;
        Self {
            peer,
            script,
            echoes: VecDeque::new(),
            pongs: VecDeque::new(),
            is_legal: true,
            waits: 0,
            reads: true,
            status: None,
            close: None,
            close_sent: None,
        }
    }

    /// What the peer does between two turns of the shard.
    fn act(&mut self, network: &Network, transcript: &mut DefaultHasher) {
        if self.reads {
            let seen = self.peer.read();
            (self.peer.id.address(), &seen).hash(transcript);
            seen.into_iter().for_each(|seen| self.check(seen));
        }
        if self.peer.has_sent_all() {
            self.step(network);
        } else {
            self.peer.send_piece();
        }
    }

    /// Echoes and pongs come once each and in order.
    fn check(&mut self, seen: Seen) {
        match seen {
            Seen::Status(status) => self.status = Some(status),
            Seen::Text(payload) => self.check_echo((0x1, payload)),
            Seen::Binary(payload) if payload.first() == Some(&NO_ECHO) => {}
            Seen::Binary(payload) => self.check_echo((0x2, payload)),
            Seen::Pong(payload) => {
                let expected = self.pongs.pop_front();
                assert!(!self.is_legal || expected == Some(payload), "a pong that answers another ping");
            }
            Seen::Ping => {}
            Seen::Close(code) => self.close = Some(code),
        }
    }

    fn check_echo(&mut self, echo: (u8, Vec<u8>)) {
        let expected = self.echoes.pop_front();
        let length = echo.1.len();
        assert!(
            !self.is_legal || expected == Some(echo),
            "an echo of {length} bytes that is not the next one"
        );
    }

    fn step(&mut self, network: &Network) {
        if self.waits > 0 {
            self.waits -= 1;
            return;
        }
        if !self.peer.is_ended() && self.awaits() {
            return;
        }
        if let Some(step) = self.script.steps.pop() {
            self.take(step, network);
        }
    }

    /// Whether the next step has to wait for the server.
    fn awaits(&self) -> bool {
        match self.script.steps.last() {
            Some(Step::AwaitResponse) => !self.peer.is_open(),
            Some(Step::AwaitEchoes) => !self.echoes.is_empty() || !self.pongs.is_empty(),
            Some(Step::AwaitEnd) => true,
            _ => false,
        }
    }

    fn take(&mut self, step: Step, network: &Network) {
        let peer = self.peer.id;
        match step {
            Step::Write(bytes) => self.peer.write(&bytes),
            Step::Garbage(bytes) => {
                self.is_legal = false;
                self.peer.write(&bytes);
            }
            Step::Message { frames, echo } => {
                // Once compression was agreed on, messages are sent with it.
                if !self.peer.send_compressed(&echo) {
                    self.peer.write(&frames);
                }
                self.echoes.push_back(echo);
            }
            Step::Ping(payload) => {
                self.peer.send(0x89, &payload);
                self.pongs.push_back(payload);
            }
            Step::Close(code) => {
                let payload = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
                self.peer.send(0x88, &payload);
                self.close_sent = Some(code);
                self.peer.answers = false;
            }
            Step::AwaitResponse | Step::AwaitEchoes | Step::AwaitEnd => {}
            Step::Wait { turns } => self.waits = turns,
            Step::Window { bytes } => network.set_window(peer, bytes),
            Step::Read(reads) => self.reads = reads,
            Step::Mute => self.peer.answers = false,
            Step::EndStream => network.end_stream(peer),
            Step::Reset => network.reset(peer),
        }
    }

    fn is_done(&self) -> bool {
        self.peer.has_sent_all() && self.script.steps.is_empty()
    }

    /// A polite peer on a network that loses nothing has had everything, and so has the handler.
    fn check_served(&self, rig: &Rig) {
        assert!(self.is_done(), "a polite peer waits for something: {:?}", self.script.steps.last());
        assert_eq!(self.status, Some(101));
        let missing = (self.echoes.len(), self.pongs.len());
        assert_eq!(missing, (0, 0), "echoes and pongs are missing; {:?}", rig.record(self.peer.id));
        let code = self.close_sent.unwrap_or(CLOSED_BY_HANDLER);
        assert_eq!((self.close, self.peer.is_reset()), (Some(code), false));
        assert_eq!(rig.record(self.peer.id).closed, [(code, true)]);
    }
}

/// What a run came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// A hash of every call and of everything that the peers read, in order.
    transcript: u64,
    /// The codes of `on_close` and the statuses of responses.
    ends: BTreeSet<u16>,
    pauses: usize,
    drained: usize,
}

struct Simulation {
    rig: Rig,
    /// Those who have not connected yet.
    coming: Vec<Script>,
    actors: Vec<Actor>,
    chance: Chance,
    transcript: DefaultHasher,
    outcome: Outcome,
}

impl Simulation {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut chance = Chance::new(seed);
        let peers = 1 + chance.below(10);
        let connections_max = chance.percent(10).then(|| peers.div_ceil(2));
        let config = Config { connections_max, ..config(&mut chance) };
        let rig = Rig::with_faults(seed, faults, config);
        let coming = (0..peers).map(|_| Script::random(&mut chance)).collect();
        let (transcript, outcome) = (DefaultHasher::new(), Outcome::default());
        Self { rig, coming, actors: Vec::new(), chance, transcript, outcome }
    }

    fn turn(&mut self, step_ms: u64) {
        for actor in &mut self.actors {
            actor.act(&self.rig.network, &mut self.transcript);
        }
        self.rig.turn(step_ms);
        (step_ms, &*self.rig.records.all()).hash(&mut self.transcript);
        self.outcome.pauses += self.rig.paused();
    }

    /// Lets the peers follow their scripts, for at most `turns`.
    fn follow_scripts(&mut self, turns: usize) {
        for _turn in 0..turns {
            if self.coming.is_empty() && self.actors.iter().all(Actor::is_done) {
                return;
            }
            // Some come together, others when the slots of those before them are free again.
            if self.chance.percent(20) {
                let arrivals = self.coming.len().min(1 + self.chance.below(5));
                let actors =
                    self.coming.drain(..arrivals).map(|script| Actor::new(&self.rig.network, script));
                self.actors.extend(actors);
            }
            let step_ms = self.chance.below(20) as u64;
            self.turn(step_ms);
        }
    }

    /// Nothing happens for as long as the longest deadlines.
    fn be_silent(&mut self) {
        for _turn in 0..60 {
            let step_ms = self.chance.below(500) as u64;
            self.turn(step_ms);
        }
    }

    /// Stops the shard, which has to end at its drain deadline, however the peers behave.
    fn stop(&mut self) {
        self.rig.stop();
        let deadline_ms = self.rig.now_ms + u64::from(self.rig.config.drain_timeout_ms) + 1000;
        while self.rig.status == ShardStatus::Running {
            assert!(self.rig.now_ms < deadline_ms, "the drain has not ended");
            let step_ms = 1 + self.chance.below(200) as u64;
            self.turn(step_ms);
        }
        let (open, in_flight) = (self.rig.network.open_connections(), self.rig.network.sends_in_flight());
        assert_eq!((self.rig.shard.connections.len(), open, in_flight), (0, 0, 0));
        assert!(self.rig.records.all().values().all(|record| record.closed.len() == 1));
        assert_eq!(self.rig.shared.summary().window_bytes, 0);
    }

    fn finish(mut self) -> Outcome {
        for actor in &mut self.actors {
            actor.reads = true;
            actor.act(&self.rig.network, &mut self.transcript);
            actor.peer.check_end();
            self.outcome.ends.extend(actor.status);
        }
        for actor in &self.actors {
            let is_clean = self.rig.record(actor.peer.id).closed.iter().any(|(_, was_clean)| *was_clean);
            let has_closed = actor.close_sent.is_some() || actor.close.is_some();
            assert!(!is_clean || has_closed || !actor.is_legal, "a clean close without a Close of the peer");
        }
        let records = self.rig.records.all();
        for record in records.values() {
            self.outcome.ends.extend(record.closed.iter().map(|(code, _)| code));
            self.outcome.drained += record.drained;
        }
        self.outcome.transcript = self.transcript.finish();
        self.outcome
    }
}

/// Settings with short deadlines and small outboxes.
fn config(chance: &mut Chance) -> Config {
    let outbox_bytes_max = chance.pick(&[1024, 64 * 1024, 1024 * 1024]);
    Config {
        message_bytes_max: 300 * 1024,
        message_timeout_ms: 12_000,
        control_frames_per_s_max: CONTROL_FRAMES_PER_S_MAX as u16,
        handshake_timeout_ms: 2_000,
        ping_interval_ms: 4_000,
        pong_timeout_ms: 2_000,
        close_timeout_ms: 1_000,
        drain_timeout_ms: 3_000,
        compression: chance.pick(&[Compression::Off, Compression::Shared, Compression::Dedicated]),
        compressed_bytes_min: chance.pick(&[0, 256]),
        compression_window_bits: 8 + chance.below(8) as u8,
        compression_window_bytes_max: chance.pick(&[0, 10_000, 1 << 20]),
        outbox_bytes_max,
        outbox_pause_bytes: 1 + chance.below(outbox_bytes_max),
        outbox_policy: if chance.percent(50) { OutboxPolicy::Close } else { OutboxPolicy::Refuse },
        ..Config::default()
    }
}

fn run(seed: u64, faults: Faults) -> Outcome {
    let mut simulation = Simulation::new(seed, faults);
    let stops_early = simulation.chance.percent(20);
    let turns = if stops_early { simulation.chance.below(60) } else { TURNS_MAX };
    simulation.follow_scripts(turns);
    if faults == Faults::lossless() && !stops_early {
        for actor in &simulation.actors {
            let has_no_place = actor.status == Some(503);
            if actor.script.is_polite && !has_no_place {
                actor.check_served(&simulation.rig);
            }
        }
    }
    if simulation.chance.percent(50) {
        simulation.be_silent();
    }
    simulation.stop();
    simulation.finish()
}

/// The seeds to run: the fixed ones, or those of [`SEED_VARIABLE`].
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var(SEED_VARIABLE) else { return 0..SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number, or two with .. between");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&text)..number(&text) + 1,
    }
}

/// Runs every seed; `test` is the name of the caller, for the command that replays a failure.
fn run_seeds(faults: Faults, test: &str) -> Outcome {
    let mut all = Outcome::default();
    for seed in seeds() {
        match catch_unwind(AssertUnwindSafe(|| run(seed, faults))) {
            Ok(outcome) => {
                all.ends.extend(outcome.ends);
                all.pauses += outcome.pauses;
                all.drained += outcome.drained;
            }
            Err(_) => panic!(
                "seed {seed} fails (above); replay it with: {SEED_VARIABLE}={seed} cargo test -p gannet --lib {test}"
            ),
        }
    }
    all
}

#[test]
fn polite_peers_are_served_whatever_the_driver_cuts_and_delays() {
    let all = run_seeds(Faults::lossless(), "polite_peers_are_served");
    if std::env::var(SEED_VARIABLE).is_err() {
        let ends =
            [101, 400, 403, 408, 500, 503, 1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1013, 4000];
        assert!(ends.iter().all(|end| all.ends.contains(end)), "not every end was reached: {:?}", all.ends);
        assert!(all.pauses > 0 && all.drained > 0, "{all:?}");
    }
}

#[test]
fn every_session_ends_once_and_nothing_leaks_whatever_breaks() {
    run_seeds(Faults::all(), "every_session_ends_once");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        assert_eq!(run(seed, Faults::all()), run(seed, Faults::all()), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(run(1, Faults::all()).transcript, run(2, Faults::all()).transcript);
}
