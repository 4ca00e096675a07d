//! `loadgen cost`: what a message costs the server itself, compared with a plain TCP echo of the same bytes.
//! Invariant: every figure is CPU time of the server on the core it shares with the client, taken in blocks that
//! alternate between the systems, so that what drifts drifts for all.

mod blocks;
mod cases;
mod client;
mod cpu;
mod error;
mod report;
mod stats;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::blocks::{Contender, Plan};
use self::cases::Case;
use self::error::Doing;
pub(crate) use self::error::Error;
use self::report::{Circumstances, Report};
use self::wire::Protocol;
use crate::systems::{self, System};

/// Measure the server CPU time of a message, server and client on one core.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Systems to compare; `raw`, a TCP echo without any protocol, is what ratios refer to.
    #[arg(long, value_delimiter = ',', default_value = "gannet,tokio-tuned,raw")]
    systems: Vec<System>,
    /// Cases to measure: CONNECTIONSxBYTES, with pPIPELINED messages in a write.
    #[arg(long, value_delimiter = ',', default_value = cases::DEFAULT)]
    cases: Vec<Case>,
    /// Blocks of each system in each case; an odd number makes the median a measured one.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Length of a block, in milliseconds.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    block_ms: u64,
    /// The core of client and servers; the last allowed one unless named.
    #[arg(long)]
    core: Option<usize>,
    /// Write every block's figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints the table and writes the JSON. `profile` says how this program was compiled.
///
/// # Errors
/// When a system does not start or answers wrongly, a core cannot be used or the JSON cannot be written.
pub(crate) fn run(args: &Args, profile: &str) -> Result<(), Error> {
    let core = args.core.map_or_else(cpu::last_allowed_core, Ok)?;
    let plan = Plan { core, rounds: args.rounds, block: Duration::from_millis(args.block_ms) };
    let contenders =
        args.systems.iter().map(|&system| start(system, &args.cases)).collect::<Result<Vec<_>, _>>()?;
    // After the servers have started: what they start inherits their affinity, not this one.
    cpu::pin_this_thread(core)?;
    let mut report = Report::new(Circumstances {
        core,
        congestion_control: congestion_control()?,
        profile: profile.into(),
        rounds: args.rounds,
        block_ms: args.block_ms,
    });
    println!("{}", report.headline());
    for &case in &args.cases {
        eprintln!("measuring {case} …");
        let blocks = blocks::measure(case, &contenders, plan)?;
        let names = contenders.iter().map(|contender| contender.name.clone());
        report.add(case, names.zip(blocks).collect(), System::Raw.name());
    }
    println!("{}", report.table());
    for warning in report.warnings() {
        eprintln!("warning: {warning}");
    }
    args.json.as_deref().map_or(Ok(()), |file| write_json(&report, file))
}

/// Starts `system` with one shard, ready for the largest of `cases`.
fn start(system: System, cases: &[Case]) -> Result<Contender, Error> {
    let connections = cases.iter().map(|case| case.connections).max().unwrap_or(1);
    let running = systems::start(system, 1, connections).doing(format_args!("start {}", system.name()))?;
    let protocol = if system == System::Raw { Protocol::Raw } else { Protocol::WebSocket };
    Ok(Contender { name: system.name().into(), protocol, running })
}

/// The congestion control that all sockets of this machine start with.
fn congestion_control() -> Result<String, Error> {
    let path = "/proc/sys/net/ipv4/tcp_congestion_control";
    Ok(fs::read_to_string(path).doing(format_args!("read {path}"))?.trim().into())
}

fn write_json(report: &Report, file: &Path) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(report).doing("write the figures as JSON")?;
    fs::write(file, json).doing(format_args!("write {}", file.display()))
}
