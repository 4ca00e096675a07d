//! `gannet`, the server: a command line around the engine. What cannot start ends with one line and exit code 2.

#![forbid(unsafe_code)]

mod admin;
mod apps;
mod escape;
mod flags;
mod logging;
mod page;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use gannet::{Engine, Error};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::admin::AdminError;
use crate::apps::echo::Echo;
use crate::flags::{Cli, Command, EchoFlags, LogFormat};

/// A bad flag, a port in use, a ceiling below what was asked for.
const EXIT_CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_flags(&error),
    };
    let result = match cli.command.unwrap_or_default() {
        Command::Echo(flags) => echo(&flags, cli.log_format),
        Command::Top(flags) => top::run(&flags).map_err(Failure::Top),
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    logging::complain(&failure);
    match failure {
        Failure::Top(_) | Failure::Engine(Error::Shard { .. } | Error::Panicked { .. }) => ExitCode::FAILURE,
        _ => ExitCode::from(EXIT_CANNOT_START),
    }
}

/// What ends the process with one line.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Engine(#[from] Error),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("cannot start the thread that writes logs: {0}")]
    Log(io::Error),
    #[error("{0}")]
    Top(String),
}

/// Prints help and version as they are, and what is wrong with a flag in one line.
fn refuse_flags(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // It fails only when nobody reads standard output.
        error.print().ok();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let what = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let what: Vec<&str> = what.filter(|line| !line.is_empty()).collect();
    let what = what.join(" ");
    logging::complain(&format_args!("{}; see gannet --help", what.trim_start_matches("error: ")));
    ExitCode::from(EXIT_CANNOT_START)
}

fn echo(flags: &EchoFlags, log_format: LogFormat) -> Result<(), Failure> {
    let log = logging::start(log_format, "info").map_err(Failure::Log)?;
    // Signals are caught before the first thread starts, so that none of them dies of one.
    let signals = Signals::new([SIGINT, SIGTERM])
        .inspect_err(|error| tracing::warn!(%error, "signals end the server at once, without a drain"))
        .ok();
    let admin = flags.admin().map(admin::bind).transpose()?;
    let engine = Engine::builder().config(flags.to_config()).start(|_shard| Echo)?;
    let source = || admin::Source::new(&engine, log.dropped_lines());
    let admin = admin.map(|bound| bound.start(source())).transpose()?;
    if let Some(admin) = &admin {
        tracing::info!(address = %admin.address(), "admin listener");
    }
    let line = format!(
        "gannet: echo on ws://{}/echo, {} shards, backend {}, at most {} connections",
        engine.local_addr(),
        engine.shards(),
        flags::backend_name(engine.backend()),
        engine.connections_max(),
    );
    // A server whose standard output is closed serves all the same.
    writeln!(io::stdout(), "{line}").ok();
    let stop = engine.stop_handle();
    if let Some(mut signals) = signals {
        std::thread::spawn(move || {
            for signal in signals.forever() {
                tracing::info!(signal, "stopping");
                stop.stop();
            }
        });
    }
    let summary = engine.join()?;
    drop(admin);
    tracing::info!(
        opened = summary.opened,
        closed_cleanly = summary.closed_cleanly,
        cut = summary.cut,
        refused = summary.refused,
        takeovers_refused = summary.takeovers_refused,
        handler_panics = summary.handler_panics,
        "stopped"
    );
    Ok(())
}
