//! `cargo xtask`: the gate of the repository, whole or step by step.
//! Invariant: `ci` runs the very steps that can be run one by one, so a failure is reproduced by the step's name.
#![forbid(unsafe_code)]

mod autobahn;
mod browser;
mod conformance;
mod interop;
mod nightly;
mod process;
mod smoke;
mod steps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::steps::Step;

/// The gate of the repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Every step, in order, up to the first that fails.
    Ci,
    /// Autobahn's test suite against the server and the client, all 517 cases or those that are named.
    Autobahn(autobahn::Flags),
    /// The conformance table against servers at these URLs, printed as a matrix.
    Conformance(conformance::Flags),
    #[command(flatten)]
    One(Step),
}

fn main() -> ExitCode {
    let root = root();
    let passed = match Command::parse() {
        Command::Ci => steps::run_all(&root).map_err(|failure| failure.to_string()),
        Command::Autobahn(flags) => autobahn::run(&root, &flags),
        Command::Conformance(flags) => conformance::run(&root, &flags),
        Command::One(step) => steps::run_one(step, &root).map_err(|failure| failure.to_string()),
    };
    match passed {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository, two directories above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_path_buf()
}
