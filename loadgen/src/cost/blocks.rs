//! One case, measured: interleaved blocks on every server, and the figures of each block.
//! Invariant: a block counts the CPU time of exactly the messages it exchanged: it begins and ends with nothing in
//! flight.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::cases::Case;
use super::client::{Client, Until};
use super::cpu;
use super::error::Error;
use super::wire::Protocol;
use crate::systems::RunningSystem;

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

/// A server under test.
#[derive(Debug)]
pub(crate) struct Contender {
    /// As the command line names it.
    pub(crate) name: String,
    /// What it is expected to speak.
    pub(crate) protocol: Protocol,
    /// The process.
    pub(crate) running: RunningSystem,
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

/// Measures `case` on all `contenders`. Returns their blocks in the order of the contenders, each list in the order
/// of the rounds.
///
/// # Errors
/// When a server cannot be reached, goes away or answers wrongly.
pub(crate) fn measure(case: Case, contenders: &[Contender], plan: Plan) -> Result<Vec<Vec<Block>>, Error> {
    let mut clients = Vec::with_capacity(contenders.len());
    for contender in contenders {
        cpu::pin_process(contender.running.pid, plan.core)?;
        let named = |error| Error::new(format!("{}, case {case}: {error}", contender.name));
        let mut client = Client::open(contender.running.addr, case, contender.protocol).map_err(named)?;
        client.run(Until::BatchesEach(WARM_UP_BATCHES)).map_err(named)?;
        clients.push(client);
    }
    let mut blocks: Vec<Vec<Block>> = vec![Vec::new(); contenders.len()];
    for round in 0..plan.rounds {
        for index in visiting_order(round, contenders.len()) {
            let contender = &contenders[index];
            let block = run_block(&mut clients[index], contender.running.pid, plan)
                .map_err(|error| Error::new(format!("{}, case {case}: {error}", contender.name)))?;
            blocks[index].push(block);
        }
    }
    Ok(blocks)
}

/// Forwards, then backwards: what drifts in time weighs on all systems alike.
fn visiting_order(round: u32, systems: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..systems).collect() } else { (0..systems).rev().collect() }
}

fn run_block(client: &mut Client, server_pid: u32, plan: Plan) -> Result<Block, Error> {
    let stolen_ticks = cpu::stolen_ticks(plan.core)?;
    let server_cpu_ns = cpu::process_cpu_ns(server_pid)?;
    let client_cpu_ns = cpu::this_thread_cpu_ns()?;
    let start = Instant::now();
    let messages = client.run(Until::Deadline(start + plan.block))?;
    Ok(Block {
        messages,
        wall_ns: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        client_cpu_ns: cpu::this_thread_cpu_ns()? - client_cpu_ns,
        server_cpu_ns: cpu::process_cpu_ns(server_pid)?.saturating_sub(server_cpu_ns),
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
