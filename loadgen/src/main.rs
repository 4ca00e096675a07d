//! `loadgen`: opens very many WebSocket connections to echo servers, loads them, and reports what they did and cost.
//!
//! Invariant: the exit code is 0 only if every connection and every message did what it should; 1 if one did not or the
//! run broke off, 2 if it could not start.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

mod cli;
mod client;
mod connect;
mod cost;
mod crew;
mod findings;
mod flow;
mod ledger;
mod machine;
mod pace;
mod payload;
mod plan;
mod preflight;
mod progress;
mod record;
mod report;
mod run;
mod sample;
mod scenario;
mod systems;
mod target;
mod worker;

/// Whatever ends the program early; only its text is used.
type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match follow(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn follow(cli: Cli) -> Result<ExitCode, AnyError> {
    machine::raise_descriptor_limit()?;
    match (cli.command, cli.run) {
        (Some(Command::Serve(args)), _) => {
            systems::serve(args)?;
            Ok(ExitCode::SUCCESS)
        }
        (Some(Command::Cost(args)), _) => {
            cost::run(&args, &machine::profile())?;
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(args)) => run::run(&args),
        (None, None) => Err("nothing to do; give --conns N".into()),
    }
}
