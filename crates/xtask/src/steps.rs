//! The steps of the gate: what each runs, and how long it took.
//! Invariant: a step that fails names the command that runs it again.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::nightly::{self, FuzzFlags};
use crate::{autobahn, browser, interop, smoke, tidy};

/// One step of the gate. The order is the order of `ci`: what is cheap to find out comes first, and steps that share
/// a compilation profile are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub(crate) enum Step {
    /// The sources are formatted.
    Fmt,
    /// The rules of the repository that no compiler knows.
    Tidy,
    /// No lint fires.
    Clippy,
    /// The documentation builds without a warning, private items included.
    Docs,
    /// All tests pass.
    Test,
    /// The load generator drives every system without a loss.
    Smoke,
    /// Every bench runs once.
    BenchSmoke,
    /// The cases of Autobahn that take seconds are as expected, in both roles; skipped without Python 2.7.
    AutobahnSample,
    /// Clients that others wrote get from the server what they must.
    Interop {
        /// The one client to run; without it, every client that this machine can run.
        #[arg(long, value_enum)]
        peer: Option<interop::Peer>,
    },
    /// The server and its page work in Chromium; skipped where that cannot be had.
    Browser,
    /// The protocol's tests under Miri, which take it many minutes: not a step of `ci`.
    Miri,
    /// The fuzz targets find nothing in a few seconds each; skipped without a nightly compiler and cargo-fuzz.
    Fuzz(FuzzFlags),
}

impl Step {
    /// Every step, in the order of `ci`.
    const ALL: [Self; 11] = [
        Self::Fmt,
        Self::Tidy,
        Self::Clippy,
        Self::Docs,
        Self::Test,
        Self::Smoke,
        Self::BenchSmoke,
        Self::AutobahnSample,
        Self::Interop { peer: None },
        Self::Browser,
        Self::Fuzz(FuzzFlags::CI),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Test => "test",
            Self::Smoke => "smoke",
            Self::BenchSmoke => "bench-smoke",
            Self::AutobahnSample => "autobahn-sample",
            Self::Interop { .. } => "interop",
            Self::Browser => "browser",
            Self::Miri => "miri",
            Self::Fuzz(_) => "fuzz",
        }
    }

    fn run(self, root: &Path) -> Result<(), String> {
        match self {
            Self::Fmt => fmt(root),
            Self::Tidy => tidy::check(root),
            Self::Clippy => {
                cargo(root, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
            }
            Self::Docs => docs(root),
            Self::Test => cargo(root, &["test", "--workspace", "--quiet"]),
            Self::Smoke => smoke::run(root),
            Self::BenchSmoke => cargo(root, &["bench", "--quiet", "--", "--test"]),
            Self::AutobahnSample => autobahn::run_sample(root),
            Self::Interop { peer } => interop::run(root, peer),
            Self::Browser => browser::run(root),
            Self::Miri => nightly::miri(root),
            Self::Fuzz(flags) => nightly::fuzz(root, flags),
        }
    }
}

/// A step that did not pass.
#[derive(Debug)]
pub(crate) struct Failure {
    step: Step,
    reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.step.name();
        write!(out, "{name} failed: {}\nrun it again with: cargo xtask {name}", self.reason)
    }
}

/// Runs every step up to the first that fails, then tells how long each took.
///
/// # Errors
/// The step that failed.
pub(crate) fn run_all(root: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    for step in Step::ALL {
        run_one(step, root)?;
    }
    println!("== all steps passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs one step and tells how long it took.
///
/// # Errors
/// The step, when it failed.
pub(crate) fn run_one(step: Step, root: &Path) -> Result<(), Failure> {
    println!("== {}", step.name());
    let start = Instant::now();
    let result = step.run(root);
    let verdict = if result.is_ok() { "passed" } else { "failed" };
    println!("== {} {verdict} in {:.1} s", step.name(), start.elapsed().as_secs_f64());
    result.map_err(|reason| Failure { step, reason })
}

/// Runs cargo with `arguments` in the root of the repository.
///
/// # Errors
/// The command line, when cargo does not start or does not succeed.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    succeed(cargo_command(root).args(arguments))
}

/// Runs cargo as [`cargo`] does, with these environment variables.
///
/// # Errors
/// The command line, when cargo does not start or does not succeed.
pub(crate) fn cargo_with(
    root: &Path,
    arguments: &[&str],
    variables: &[(&str, String)],
) -> Result<(), String> {
    succeed(cargo_command(root).args(arguments).envs(variables.iter().map(|(name, value)| (name, value))))
}

/// The fuzz targets are a workspace of their own.
fn fmt(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["fmt", "--manifest-path", "crates/fuzz/Cargo.toml", "--check"])
}

/// The binary of the server and the library of the engine are both called `gannet`, so their pages go to the same
/// directory: the server's are built first and the engine's stay.
fn docs(root: &Path) -> Result<(), String> {
    for packages in [&["--package", "gannet-server"][..], &["--workspace", "--exclude", "gannet-server"]] {
        let mut command = cargo_command(root);
        command.arg("doc").args(packages).args(["--no-deps", "--document-private-items", "--quiet"]);
        succeed(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

fn cargo_command(root: &Path) -> Command {
    // Set by the cargo that runs this program: the steps use the same one.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command in its directory.
///
/// # Errors
/// The command line, when it does not start or does not succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let line = command_line(command);
    println!("{line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

/// The command as it can be typed in the root of the repository.
fn command_line(command: &Command) -> String {
    let settings = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}='{}' ", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let arguments = command.get_args().map(|argument| format!(" {}", argument.to_string_lossy()));
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    settings.chain([program.into_owned()]).chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_reason_and_the_command_to_run_again() {
        let failure = Failure { step: Step::BenchSmoke, reason: "`cargo bench` ended with 1".into() };
        let text = failure.to_string();
        assert!(
            text.contains("`cargo bench` ended with 1") && text.ends_with("cargo xtask bench-smoke"),
            "{text}"
        );
    }

    #[test]
    fn every_step_can_be_called_by_its_name() {
        use clap::Parser;
        for step in Step::ALL {
            let command = crate::Command::try_parse_from(["cargo xtask", step.name()]).unwrap();
            assert!(matches!(command, crate::Command::One(parsed) if parsed == step));
        }
    }

    #[test]
    fn a_command_line_can_be_typed() {
        let mut command = Command::new("/somewhere/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command_line(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }
}
