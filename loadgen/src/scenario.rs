//! The run against one system: its phases in their order, and what is measured around each.
//!
//! Invariant: the same phases run for every system. A failure changes figures, never the order of the phases.

use std::time::{Duration, Instant};

use crate::cli::RunArgs;
use crate::crew::{Crew, CrewError};
use crate::findings::{Findings, Measured, MemorySample};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::record::{Failure, Tally};
use crate::sample;
use crate::target::Target;
use crate::worker::Command;

/// The first memory sample is taken when one connection in so many is open.
const FIRST_SAMPLE_PART: u32 = 5;

/// Rest before each memory sample.
const SETTLE: Duration = Duration::from_secs(1);

/// How long all connections are left idle.
const IDLE: Duration = Duration::from_secs(2);

/// A saturated phase of this length precedes the measured one: new sockets acknowledge at once, and that work moves
/// from the receiver to the sender after the first messages.
const WARM_UP: Duration = Duration::from_millis(500);

/// Connections of the saturated phase.
const SATURATED_CONNECTIONS_MAX: u32 = 1_024;

/// One system and the way to load it.
#[derive(Debug)]
pub(crate) struct Scenario<'a> {
    /// What the command line asks for.
    pub(crate) args: &'a RunArgs,
    /// How the connections are dealt out.
    pub(crate) plan: Plan,
    /// Name of the system.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) target: &'a Target,
    /// Its process, if it was started here.
    pub(crate) server_pid: Option<u32>,
}

/// A run in progress.
struct Run<'a> {
    scenario: &'a Scenario<'a>,
    crew: Crew,
    /// What was counted in all phases so far.
    total: Tally,
}

impl Scenario<'_> {
    /// Runs all phases.
    ///
    /// # Errors
    /// If the generator itself cannot go on; what the server does wrong is part of the findings.
    pub(crate) fn run(&self) -> Result<Findings, CrewError> {
        let crew = Crew::hire(&self.plan, self.target)?;
        let mut run = Run { scenario: self, crew, total: Tally::new() };
        let connections = self.plan.connections;
        let message_bytes = self.args.size;
        let duration = Duration::from_secs(self.args.duration);

        let first = run.connect("connect the first part", connections / FIRST_SAMPLE_PART)?;
        run.hold("settle", SETTLE)?;
        let first_sample = run.sample();
        let rest = run.connect("connect the rest", connections)?;
        run.hold("settle", SETTLE)?;
        run.hold("idle", IDLE)?;
        let idle_sample = run.sample();

        run.echo_once(self.args.echo_bytes())?;
        run.hold("settle", SETTLE)?;
        let echoed_sample = run.sample();

        let paced = run.pace(self.args.rate, duration, message_bytes)?;
        let saturated_connections = connections.min(SATURATED_CONNECTIONS_MAX);
        run.saturate("warm-up", saturated_connections, WARM_UP, message_bytes)?;
        let saturated = run.saturate("saturated", saturated_connections, duration, message_bytes)?;
        run.follow("closing handshakes", connections.into(), Command::Close)?;
        run.crew.dismiss();

        Ok(Findings {
            total: run.total,
            ramp: first.wall + rest.wall,
            memory: [first_sample, idle_sample, echoed_sample],
            paced,
            saturated,
            saturated_connections,
        })
    }
}

impl Run<'_> {
    fn connect(&mut self, phase: &str, below: u32) -> Result<Measured, CrewError> {
        let steps = u64::from(below).saturating_sub(self.total.opened);
        self.follow(phase, steps, Command::Connect { below })
    }

    fn hold(&mut self, phase: &str, duration: Duration) -> Result<Measured, CrewError> {
        self.follow(phase, 0, Command::Hold(duration))
    }

    fn echo_once(&mut self, message_bytes: usize) -> Result<Measured, CrewError> {
        self.follow("every connection echoes once", self.total.opened, Command::EchoOnce { message_bytes })
    }

    fn pace(
        &mut self,
        rate_per_s: u64,
        duration: Duration,
        message_bytes: usize,
    ) -> Result<Measured, CrewError> {
        let steps = rate_per_s * duration.as_secs();
        self.follow("paced", steps, Command::Pace { rate_per_s, duration, message_bytes })
    }

    fn saturate(
        &mut self,
        phase: &str,
        connections: u32,
        duration: Duration,
        message_bytes: usize,
    ) -> Result<Measured, CrewError> {
        self.follow(phase, 0, Command::Saturate { connections, duration, message_bytes })
    }

    /// Has the workers follow `command` and measures what that costs both sides.
    fn follow(&mut self, phase: &str, steps: u64, command: Command) -> Result<Measured, CrewError> {
        let line = Progress::begin(self.scenario.name, phase, steps);
        let before = self.cpu_ns();
        let began = Instant::now();
        let tally = self.crew.follow(command, &line)?;
        let wall = began.elapsed();
        let after = self.cpu_ns();
        self.total.merge(&tally);
        let [server_cpu_ns, generator_cpu_ns] = [0, 1].map(|side| after[side]?.checked_sub(before[side]?));
        Ok(Measured { tally, wall, server_cpu_ns, generator_cpu_ns })
    }

    /// CPU time of the server and of this process.
    fn cpu_ns(&self) -> [Option<u64>; 2] {
        [self.scenario.server_pid.and_then(sample::cpu_ns), sample::cpu_ns(std::process::id())]
    }

    fn sample(&self) -> MemorySample {
        let died = self.total.failures.of(Failure::Died);
        MemorySample {
            connections: self.total.opened - died,
            rss_bytes: self.scenario.server_pid.and_then(sample::rss_bytes),
            kernel_bytes: sample::kernel_bytes(),
        }
    }
}
