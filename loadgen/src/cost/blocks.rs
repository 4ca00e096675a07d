//! One case, measured: interleaved blocks of every contender, and the figures of each block.
//! Invariant: a block counts the CPU time of exactly the messages it exchanged: it begins and ends with nothing in
//! flight.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::cases::Case;
use super::client::{Client, Until};
use super::compression::Calls;
use super::cpu;
use super::error::Error;

/// Batches that warm up each connection: new sockets acknowledge at once for a while, which moves work.
const WARM_UP_BATCHES: u32 = 50;
/// The share of a block that the hypervisor may take before the block is discarded.
const STOLEN_SHARE_MAX: f64 = 0.02;

/// How a case is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The core of client and servers.
    pub(crate) core: usize,
    /// Blocks of each system.
    pub(crate) rounds: u32,
    /// How long a block sends.
    pub(crate) block: Duration,
}

/// One of those that are compared in a case.
pub(crate) struct Contender {
    /// As reports name it.
    pub(crate) name: String,
    /// What is measured.
    pub(crate) subject: Subject,
}

/// What handles the messages of a block.
pub(crate) enum Subject {
    /// A server, and the connections to it.
    Server {
        /// Its process.
        pid: u32,
        /// What keeps it busy.
        client: Client,
    },
    /// Bare calls of a library, on the thread of the client; what they cost counts as the server's.
    Calls(Box<Calls>),
}

impl Subject {
    fn run(&mut self, until: Until) -> Result<u64, Error> {
        match self {
            Self::Server { client, .. } => client.run(until),
            Self::Calls(calls) => calls.run(until),
        }
    }

    /// CPU time so far: of what handles the messages, and of the client.
    fn cpu_ns(&self) -> Result<(u64, u64), Error> {
        let this_thread_ns = cpu::this_thread_cpu_ns();
        match self {
            Self::Server { pid, .. } => Ok((cpu::process_cpu_ns(*pid)?, this_thread_ns)),
            Self::Calls(_) => Ok((this_thread_ns, 0)),
        }
    }
}

/// The figures of one block.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Block {
    /// Messages exchanged.
    pub(crate) messages: u64,
    /// Length of the block.
    pub(crate) wall_ns: u64,
    /// CPU time of the server's threads.
    pub(crate) server_cpu_ns: u64,
    /// CPU time of the client.
    pub(crate) client_cpu_ns: u64,
    /// Time the hypervisor took from the core, as the kernel counts it (10 ms grain).
    pub(crate) stolen_ns: u64,
}

impl Block {
    /// CPU time of the server for a message, in microseconds.
    pub(crate) fn server_cpu_us_per_message(&self) -> f64 {
        self.server_cpu_ns as f64 / 1e3 / self.messages as f64
    }

    /// CPU time of the client for a message, in microseconds.
    pub(crate) fn client_cpu_us_per_message(&self) -> f64 {
        self.client_cpu_ns as f64 / 1e3 / self.messages as f64
    }

    /// The share of the core that server and client had together, 0 to 1. Less than 1 means that something else ran.
    pub(crate) fn core_share(&self) -> f64 {
        (self.server_cpu_ns + self.client_cpu_ns) as f64 / self.wall_ns as f64
    }

    /// Whether the hypervisor left the block alone.
    pub(crate) fn is_kept(&self) -> bool {
        self.stolen_ns as f64 <= self.wall_ns as f64 * STOLEN_SHARE_MAX
    }
}

/// Measures `case` with all `contenders`, which run on the core of the plan already. Returns their blocks in the order of the contenders, each list in the order
/// of the rounds.
///
/// # Errors
/// When a server goes away or answers wrongly.
pub(crate) fn measure(
    case: Case,
    contenders: &mut [Contender],
    plan: Plan,
) -> Result<Vec<Vec<Block>>, Error> {
    let named = |name: &str, error| Error::new(format!("{name}, case {case}: {error}"));
    for Contender { name, subject } in &mut *contenders {
        subject.run(Until::BatchesEach(WARM_UP_BATCHES)).map_err(|error| named(name, error))?;
    }
    let mut blocks: Vec<Vec<Block>> = vec![Vec::new(); contenders.len()];
    for round in 0..plan.rounds {
        for index in visiting_order(round, contenders.len()) {
            let Contender { name, subject } = &mut contenders[index];
            blocks[index].push(run_block(subject, plan).map_err(|error| named(name, error))?);
        }
    }
    Ok(blocks)
}

/// Forwards, then backwards: what drifts in time weighs on all systems alike.
fn visiting_order(round: u32, systems: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..systems).collect() } else { (0..systems).rev().collect() }
}

fn run_block(subject: &mut Subject, plan: Plan) -> Result<Block, Error> {
    let stolen_ticks = cpu::stolen_ticks(plan.core)?;
    let (server_before_ns, client_before_ns) = subject.cpu_ns()?;
    let start = Instant::now();
    let messages = subject.run(Until::Deadline(start + plan.block))?;
    let wall_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (server_ns, client_ns) = subject.cpu_ns()?;
    Ok(Block {
        messages,
        wall_ns,
        client_cpu_ns: client_ns - client_before_ns,
        server_cpu_ns: server_ns.saturating_sub(server_before_ns),
        stolen_ns: (cpu::stolen_ticks(plan.core)?.saturating_sub(stolen_ticks))
            * (1_000_000_000 / cpu::TICKS_PER_S),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Block = Block {
        messages: 1_000,
        wall_ns: 10_000_000,
        server_cpu_ns: 5_000_000,
        client_cpu_ns: 4_000_000,
        stolen_ns: 0,
    };

    #[test]
    fn cpu_time_is_shared_out_over_the_messages_of_the_block() {
        assert_eq!(BLOCK.server_cpu_us_per_message(), 5.0);
        assert_eq!(BLOCK.client_cpu_us_per_message(), 4.0);
        assert_eq!(BLOCK.core_share(), 0.9);
    }

    #[test]
    fn a_block_is_kept_while_at_most_two_percent_of_it_were_stolen() {
        assert!(Block { stolen_ns: 200_000, ..BLOCK }.is_kept());
        assert!(!Block { stolen_ns: 200_001, ..BLOCK }.is_kept());
    }

    #[test]
    fn every_second_round_visits_the_systems_backwards() {
        assert_eq!(visiting_order(0, 3), [0, 1, 2]);
        assert_eq!(visiting_order(1, 3), [2, 1, 0]);
        assert_eq!(visiting_order(2, 3), [0, 1, 2]);
    }
}
