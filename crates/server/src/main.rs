//! `gannet`, the server: a command line around the engine. What cannot start ends with one line and exit code 2.

#![forbid(unsafe_code)]

mod admin;
mod apps;
mod escape;
mod flags;
mod logging;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use gannet::{Engine, Error};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::apps::echo::Echo;
use crate::flags::{Cli, Command, EchoFlags};

/// A bad flag, a port in use, a ceiling below what was asked for.
const EXIT_CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_flags(&error),
    };
    let _log = match logging::start(cli.log_format, None) {
        Ok(log) => log,
        Err(error) => {
            logging::complain(&format_args!("cannot start the thread that writes logs: {error}"));
            return ExitCode::from(EXIT_CANNOT_START);
        }
    };
    let Command::Echo(flags) = cli.command.unwrap_or_default();
    match echo(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (Error::Shard { .. } | Error::Panicked { .. })) => {
            logging::complain(&error);
            ExitCode::FAILURE
        }
        Err(error) => {
            logging::complain(&error);
            ExitCode::from(EXIT_CANNOT_START)
        }
    }
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

fn echo(flags: &EchoFlags) -> Result<(), Error> {
    // Signals are caught before the first thread starts, so that none of them dies of one.
    let signals = Signals::new([SIGINT, SIGTERM])
        .inspect_err(|error| tracing::warn!(%error, "signals end the server at once, without a drain"))
        .ok();
    let engine = Engine::builder().config(flags.to_config()).start(|_shard| Echo)?;
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
