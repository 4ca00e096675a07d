//! The command line.
//!
//! Invariant: every option states its unit; what clap accepts is in range.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cost;
use crate::payload::MESSAGE_BYTES_MIN;
use crate::systems::{ServeArgs, System};

/// Longest message, so that a mistyped number does not exhaust the memory.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Opens very many WebSocket connections to echo servers and reports what they cost.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do instead of a run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub(crate) run: Option<RunArgs>,
}

/// What else this program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure what a message costs a server, server and client on one core.
    Cost(cost::Args),
    /// Run one of the servers until standard input ends.
    #[command(hide = true)]
    Serve(ServeArgs),
}

/// A run against one or several systems.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Connections to open.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) conns: u32,
    /// Test the server at this URL, as in ws://host:port/path, instead of starting systems.
    #[arg(long, conflicts_with_all = ["systems", "shards"])]
    pub(crate) url: Option<String>,
    /// Systems to start and test, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "gannet,tokio-tuned,tokio", value_parser = websocket_system)]
    pub(crate) systems: Vec<System>,
    /// Threads of each server; if not given, one per core, or more if the descriptor limit asks for it.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shards: Option<u32>,
    /// Length of a message in bytes, 20 or more.
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = message_bytes)]
    pub(crate) size: usize,
    /// Length of the one message that every connection echoes before the measuring phases; if not given, that of --size.
    #[arg(long, value_name = "BYTES", value_parser = message_bytes)]
    pub(crate) echo_bytes: Option<usize>,
    /// Messages per second of the paced phase, over all connections.
    #[arg(long, value_name = "MSGS_PER_S", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rate: u64,
    /// Length of each measuring phase in seconds.
    #[arg(long, value_name = "SECS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) duration: u64,
    /// Write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl RunArgs {
    /// Length of the message that every connection echoes once.
    pub(crate) fn echo_bytes(&self) -> usize {
        self.echo_bytes.unwrap_or(self.size)
    }
}

/// A system that clients can open WebSockets to.
fn websocket_system(text: &str) -> Result<System, String> {
    match System::from_str(text, false)? {
        System::Raw => Err("it speaks no WebSocket and is for `loadgen cost`".into()),
        system => Ok(system),
    }
}

fn message_bytes(text: &str) -> Result<usize, String> {
    let bytes: u64 = text.parse().map_err(|_| format!("`{text}` is not a number of bytes"))?;
    if !(MESSAGE_BYTES_MIN as u64..=MESSAGE_BYTES_MAX).contains(&bytes) {
        return Err(format!("a message has {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX} bytes, not {bytes}"));
    }
    usize::try_from(bytes).map_err(|_| format!("{bytes} bytes do not fit this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::Compression;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_number_of_connections_is_all_that_must_be_given() {
        let run = parse("loadgen --conns 50000").unwrap().run.unwrap();
        assert_eq!(
            (run.conns, run.size, run.echo_bytes(), run.rate, run.duration),
            (50_000, 128, 128, 10_000, 5)
        );
        assert_eq!(run.systems, [System::Gannet, System::TokioTuned, System::Tokio]);
        assert!(run.url.is_none() && run.shards.is_none() && run.json.is_none());
    }

    #[test]
    fn without_connections_there_is_no_run() {
        assert!(parse("loadgen --rate 5").is_err());
    }

    #[test]
    fn systems_are_separated_by_commas_and_do_not_go_with_a_url() {
        let run = parse("loadgen --conns 1 --systems tokio,tokio-tuned").unwrap().run.unwrap();
        assert_eq!(run.systems, [System::Tokio, System::TokioTuned]);
        assert!(parse("loadgen --conns 1 --url ws://h/ --systems tokio").is_err());
    }

    #[test]
    fn a_message_has_room_for_its_stamp() {
        let error = parse("loadgen --conns 1 --size 19").unwrap_err().to_string();
        assert!(error.contains("20 to 16777216 bytes, not 19"), "{error}");
        assert!(parse("loadgen --conns 1 --size 20").is_ok());
    }

    #[test]
    fn serve_needs_no_connections() {
        let cli = parse("loadgen serve tokio-tuned --shards 3 --max-connections 50000").unwrap();
        assert!(matches!(
            cli.command,
            Some(Command::Serve(ServeArgs {
                system: System::TokioTuned,
                shards: 3,
                max_connections: 50_000,
                compression: Compression::Off,
            }))
        ));
    }

    #[test]
    fn the_cost_of_compression_is_not_compared_between_systems() {
        assert!(parse("loadgen cost --compression shared --cases 64x1K").is_ok());
        assert!(parse("loadgen cost --compression shared --systems gannet").is_err());
        assert!(parse("loadgen cost --idle 10000").is_ok());
        assert!(parse("loadgen cost --idle 10000 --compression shared").is_err());
        assert!(parse("loadgen cost --idle 9").is_err());
    }
}
