//! `loadgen cost`: what a message costs the server itself, compared with a plain TCP echo of the same bytes; what
//! compression adds to it; and what idle connections hold.
//! Invariant: every time is CPU time of the server on the core it shares with the client, taken in blocks that
//! alternate between the systems, so that what drifts drifts for all.

mod blocks;
mod cases;
mod client;
mod compression;
mod cpu;
mod dialogue;
mod error;
mod idle;
mod opening;
mod report;
mod stats;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use self::blocks::{Contender, Plan, Subject};
use self::cases::Case;
use self::client::Client;
use self::compression::Script;
use self::dialogue::Dialogue;
use self::error::Doing;
pub(crate) use self::error::Error;
use self::report::{Circumstances, Report};
use self::wire::Protocol;
use crate::systems::{self, Compression, RunningSystem, ServeArgs, System};

/// Measure the server CPU time of a message, server and client on one core.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Systems to compare; `raw`, a TCP echo without any protocol, is what ratios refer to.
    #[arg(long, value_delimiter = ',', default_value = "gannet,tokio-tuned,raw")]
    systems: Vec<System>,
    /// Measure the echo of compressed JSON by `gannet` instead; ratios refer to the plain echo and the bare calls of zlib
    /// together.
    #[arg(long, value_enum, default_value_t, conflicts_with = "systems")]
    compression: Compression,
    /// Measure the memory of so many idle connections instead, without and with compression.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000), conflicts_with_all = ["systems", "compression", "cases", "rounds", "block_ms", "core"])]
    idle: Option<u32>,
    /// Cases to measure: CONNECTIONSxBYTES, with pPIPELINED messages in a write. If not given,
    /// 64x20,1000x20,64x16K,64x64K,64x20p32,64x512p32, and with compression 64x1K,64x16K.
    #[arg(long, value_delimiter = ',')]
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

impl Args {
    /// The cases that were named, or those that are measured when none are.
    fn cases(&self) -> Result<Vec<Case>, Error> {
        let default =
            if self.compression == Compression::Off { cases::DEFAULT } else { compression::DEFAULT_CASES };
        if self.cases.is_empty() {
            return default
                .split(',')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .doing("read the default cases");
        }
        Ok(self.cases.clone())
    }
}

/// Measures, prints the table and writes the JSON. `profile` says how this program was compiled.
///
/// # Errors
/// When a system does not start or answers wrongly, a core cannot be used or the JSON cannot be written.
pub(crate) fn run(args: &Args, profile: &str) -> Result<(), Error> {
    if let Some(connections) = args.idle {
        let report = idle::measure(connections, profile)?;
        println!("{}", report.table());
        return write_json(&report, args.json.as_deref());
    }
    let cases = args.cases()?;
    let core = args.core.map_or_else(cpu::last_allowed_core, Ok)?;
    let plan = Plan { core, rounds: args.rounds, block: Duration::from_millis(args.block_ms) };
    let circumstances = Circumstances {
        core,
        congestion_control: congestion_control()?,
        profile: profile.into(),
        rounds: args.rounds,
        block_ms: args.block_ms,
    };
    let report = match args.compression {
        Compression::Off => compare_systems(&args.systems, &cases, plan, circumstances)?,
        compression => compare_calls(compression, &cases, plan, circumstances)?,
    };
    println!("{}", report.table());
    for line in report.sizes() {
        println!("{line}");
    }
    for warning in report.warnings() {
        eprintln!("warning: {warning}");
    }
    write_json(&report, args.json.as_deref())
}

/// Compares `systems` with a plain TCP echo.
fn compare_systems(
    systems: &[System],
    cases: &[Case],
    plan: Plan,
    circumstances: Circumstances,
) -> Result<Report, Error> {
    let servers = systems
        .iter()
        .map(|&system| Ok((system, start(system, cases)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    // After the servers have started: what they start inherits their affinity, not this one.
    cpu::pin_this_thread(plan.core)?;
    let mut report = Report::new(circumstances, &[System::Raw.name()]);
    println!("{}", report.headline());
    for &case in cases {
        let contenders = servers.iter().map(|(system, running)| {
            cpu::pin_process(running.pid, plan.core)?;
            let protocol = match system {
                System::Raw => Protocol::Raw,
                _ => Protocol::WebSocket(Compression::Off),
            };
            let client = Client::open(running.addr, case.connections, Dialogue::of_case(case, protocol))?;
            Ok(Contender {
                name: system.name().into(),
                subject: Subject::Server { pid: running.pid, client },
            })
        });
        measure(&mut report, case, contenders.collect::<Result<_, Error>>()?, plan, None)?;
    }
    Ok(report)
}

/// Compares a compressed echo with a plain one and the bare calls of zlib-rs.
fn compare_calls(
    compression: Compression,
    cases: &[Case],
    plan: Plan,
    circumstances: Circumstances,
) -> Result<Report, Error> {
    cases.iter().try_for_each(|&case| compression::check(case))?;
    let servers = compression::Servers::start(compression, connections_max(cases))?;
    cpu::pin_this_thread(plan.core)?;
    let mut report = Report::new(circumstances, &compression::RATIO_TO);
    println!("{}", report.headline());
    for &case in cases {
        let script = Script::new(compression, case.payload_bytes)?;
        let contenders = servers.contenders(case, &script, plan.core)?;
        measure(&mut report, case, contenders, plan, Some(script.compressed_bytes()))?;
    }
    Ok(report)
}

/// Adds a case to the report.
fn measure(
    report: &mut Report,
    case: Case,
    mut contenders: Vec<Contender>,
    plan: Plan,
    compressed_bytes: Option<f64>,
) -> Result<(), Error> {
    eprintln!("measuring {case} …");
    let blocks = blocks::measure(case, &mut contenders, plan)?;
    let names = contenders.into_iter().map(|contender| contender.name);
    report.add(case, names.zip(blocks).collect(), compressed_bytes);
    Ok(())
}

/// Starts `system` with one shard, ready for the largest of `cases`.
fn start(system: System, cases: &[Case]) -> Result<RunningSystem, Error> {
    let compression = Compression::Off;
    let args = ServeArgs { system, shards: 1, max_connections: connections_max(cases), compression };
    systems::start(args).doing(format_args!("start {}", system.name()))
}

fn connections_max(cases: &[Case]) -> u32 {
    cases.iter().map(|case| case.connections).max().unwrap_or(1)
}

/// The congestion control that all sockets of this machine start with.
fn congestion_control() -> Result<String, Error> {
    let path = "/proc/sys/net/ipv4/tcp_congestion_control";
    Ok(fs::read_to_string(path).doing(format_args!("read {path}"))?.trim().into())
}

fn write_json(report: &impl Serialize, file: Option<&Path>) -> Result<(), Error> {
    let Some(file) = file else { return Ok(()) };
    let json = serde_json::to_vec_pretty(report).doing("write the figures as JSON")?;
    fs::write(file, json).doing(format_args!("write {}", file.display()))
}
