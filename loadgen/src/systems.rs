//! The systems under test, each in a process of its own.
//!
//! Invariant: a server process lives no longer than the [`RunningSystem`] that started it: it ends when its standard
//! input does, and that happens even if this process is killed.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use thiserror::Error;

use crate::{AnyError, machine, plan};

mod gannet;
pub(crate) mod raw;
mod tokio;

/// What a server prints before its address, once it accepts connections.
const LISTENING: &str = "listening on ";

/// How long a server may take to end after its standard input did.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A server that this program can start. All but `Raw` echo text and binary messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum System {
    /// The engine of this workspace.
    Gannet,
    /// tokio-tungstenite with a read buffer of 4 KiB and immediate writes.
    TokioTuned,
    /// tokio-tungstenite with its defaults.
    Tokio,
    /// A TCP echo without any protocol.
    Raw,
}

impl System {
    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gannet => "gannet",
            Self::TokioTuned => "tokio-tuned",
            Self::Tokio => "tokio",
            Self::Raw => "raw",
        }
    }

    /// What to expect of its memory per connection after messages of `message_bytes`, in bytes. Used only to refuse
    /// runs that cannot fit.
    pub(crate) fn connection_bytes_estimate(self, message_bytes: u64) -> u64 {
        match self {
            Self::Gannet => 1024,
            Self::TokioTuned => 8 * 1024 + kept_bytes(message_bytes),
            Self::Tokio => 140 * 1024 + kept_bytes(message_bytes),
            Self::Raw => 128,
        }
    }
}

/// What tokio-tungstenite keeps at one end of a connection that has seen messages of `message_bytes`: its read and its
/// write buffer have grown to that length.
pub(crate) fn kept_bytes(message_bytes: u64) -> u64 {
    2 * message_bytes
}

/// How the messages of clients that offer permessage-deflate are compressed (RFC 7692).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Compression {
    /// They are not.
    #[default]
    Off,
    /// Every message stands for itself.
    Shared,
    /// Messages refer to those before them, in both directions.
    Dedicated,
}

impl Compression {
    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shared => "shared",
            Self::Dedicated => "dedicated",
        }
    }
}

/// How a server is to be run; the arguments of the hidden subcommand `serve`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ServeArgs {
    /// Which server.
    pub(crate) system: System,
    /// Threads, each with its own listener and event loop.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shards: u32,
    /// Connections to be ready for.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) max_connections: u32,
    /// Compression of messages; only `gannet` has it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) compression: Compression,
}

impl ServeArgs {
    /// Whether each shard needs a descriptor table of its own.
    fn needs_own_tables(&self) -> bool {
        plan::needs_own_tables(self.max_connections, plan::table_connections_max(machine::descriptors_max()))
    }
}

/// Serves until standard input ends.
///
/// # Errors
/// If the server cannot start.
pub(crate) fn serve(args: ServeArgs) -> Result<(), AnyError> {
    let engine;
    let address = match args.system {
        System::Gannet => {
            engine = gannet::start(args)?;
            engine.local_addr()
        }
        System::TokioTuned => tokio::start(tokio::Flavour::Tuned, args.shards, args.needs_own_tables())?,
        System::Tokio => tokio::start(tokio::Flavour::Default, args.shards, args.needs_own_tables())?,
        System::Raw => raw::start(args.shards)?,
    };
    println!("{LISTENING}{address}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// A server process.
#[derive(Debug)]
pub(crate) struct RunningSystem {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Its process.
    pub(crate) pid: u32,
    child: Child,
}

/// A server could not be started.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// Its process could not be started.
    #[error("the server process could not be started: {0}")]
    Spawn(#[from] io::Error),
    /// It ended, or printed something else than its address.
    #[error("the server {system} did not say where it listens but `{said}`; its own message is above")]
    NoAddress {
        /// The server's name.
        system: &'static str,
        /// Its first line.
        said: String,
    },
}

/// Starts a system in a process of its own and waits until it listens.
///
/// # Errors
/// If the process cannot be started or does not say where it listens.
pub(crate) fn start(args: ServeArgs) -> Result<RunningSystem, StartError> {
    let ServeArgs { system, shards, max_connections, compression } = args;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg(system.name())
        .args(["--shards", &shards.to_string()])
        .args(["--max-connections", &max_connections.to_string()])
        .args(["--compression", compression.name()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout.take(256)).read_line(&mut line)?;
    }
    let address = line.trim().strip_prefix(LISTENING).and_then(|address| address.parse().ok());
    let pid = child.id();
    match address {
        Some(addr) => Ok(RunningSystem { addr, pid, child }),
        None => {
            stop(&mut child);
            Err(StartError::NoAddress { system: system.name(), said: line.trim().to_owned() })
        }
    }
}

impl RunningSystem {
    /// Whether the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for RunningSystem {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Ends the server's standard input, waits for the process, and kills it if that takes too long.
fn stop(child: &mut Child) {
    drop(child.stdin.take());
    let deadline = Instant::now() + STOP_DEADLINE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Both fail only if the process is gone.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_command_line_and_in_reports_agree() {
        for system in System::value_variants() {
            assert_eq!(system.to_possible_value().unwrap().get_name(), system.name());
        }
        for compression in Compression::value_variants() {
            assert_eq!(compression.to_possible_value().unwrap().get_name(), compression.name());
        }
    }
}
