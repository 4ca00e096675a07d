//! Steps that need a nightly compiler: the fuzz targets of `crates/fuzz`, and Miri.
//! Invariant: where a tool is missing the step says so, tells how to install it, and passes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::Running;
use crate::steps::succeed;

/// What to do without cargo-fuzz.
const FUZZ_MISSING: &str = "the fuzz targets need a nightly compiler and cargo-fuzz: \
    `rustup toolchain install nightly && cargo install cargo-fuzz`";
/// What to do without Miri.
const MIRI_MISSING: &str =
    "Miri is missing: `rustup toolchain install nightly --component miri --component rust-src`";
/// Where everything about fuzzing goes, below the root: one build for all targets, corpora, findings and logs.
const FUZZ_DIRECTORY: &str = "target/fuzz";
/// An input that takes longer is a finding. So long, since the machine may be busy with something else.
const INPUT_TIMEOUT_S: u32 = 60;
/// A target that needs more memory is a finding.
const MEMORY_MIB_MAX: u32 = 2048;
/// How libFuzzer names the input of a finding.
const FINDING: &str = "Test unit written to ";

/// What to fuzz, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct FuzzFlags {
    /// The one target to run [default: all, one after the other].
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Seconds for each target.
    #[arg(long, default_value_t = Self::CI.seconds)]
    seconds: u32,
}

impl FuzzFlags {
    /// What `cargo xtask ci` runs.
    pub(crate) const CI: Self = Self { target: None, seconds: 10 };
}

/// A fuzz target, `crates/fuzz/targets/<name>.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Target {
    /// The head of a request, whole and byte by byte.
    RequestHead,
    /// The extensions of a request and of a response.
    ExtensionHeader,
    /// Frames to both ends, in chunks of any size.
    Frames,
    /// Compressed messages, arbitrary and our own.
    Inflate,
    /// The payload of a Close frame.
    ClosePayload,
    /// A whole engine on the simulated driver.
    Connection,
}

impl Target {
    const ALL: [Self; 6] = [
        Self::RequestHead,
        Self::ExtensionHeader,
        Self::Frames,
        Self::Inflate,
        Self::ClosePayload,
        Self::Connection,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::RequestHead => "request_head",
            Self::ExtensionHeader => "extension_header",
            Self::Frames => "frames",
            Self::Inflate => "inflate",
            Self::ClosePayload => "close_payload",
            Self::Connection => "connection",
        }
    }
}

/// Builds the fuzz targets, then runs each on its seeds and on what it makes of them.
///
/// # Errors
/// The first finding, with its input and the command that runs it again, or what went wrong.
pub(crate) fn fuzz(root: &Path, flags: FuzzFlags) -> Result<(), String> {
    if !runs(cargo(root).args(["fuzz", "--version"])) {
        println!("SKIPPED: NOTHING WAS FUZZED: {FUZZ_MISSING}");
        return Ok(());
    }
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cargo(root);
    build.args(["fuzz", "build", "--fuzz-dir", "crates/fuzz", "--target-dir", FUZZ_DIRECTORY]);
    build.args(["--target", &triple]).args(flags.target.map(Target::name));
    succeed(&mut build)?;
    let directory = root.join(FUZZ_DIRECTORY);
    let programs = directory.join(triple).join("release");
    for target in flags.target.map_or_else(|| Target::ALL.to_vec(), |target| vec![target]) {
        let program = programs.join(target.name());
        let outcome = run_target(root, &directory, &program, target.name(), flags.seconds)?;
        println!("{}: {outcome}", target.name());
    }
    Ok(())
}

/// Runs one target; returns how many inputs it ran.
fn run_target(
    root: &Path,
    directory: &Path,
    program: &Path,
    name: &str,
    seconds: u32,
) -> Result<String, String> {
    let (corpus, findings) = (directory.join("corpus").join(name), directory.join("findings").join(name));
    for directory in [&corpus, &findings] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let path = directory.join(name).with_extension("log");
    let log = || File::create(&path).map_err(|error| format!("{}: {error}", path.display()));
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={INPUT_TIMEOUT_S}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    // What is new goes to the first directory; the seeds are only read.
    command.arg(&corpus).arg(root.join("crates/fuzz/seeds").join(name));
    let status = Running::start(command.stdout(Stdio::null()).stderr(log()?))?.wait()?;
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    if status.success() {
        return Ok(text.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or_default().to_owned());
    }
    Err(describe_finding(&text, program, &path))
}

/// What a target that failed wrote to its log, in a few words.
fn describe_finding(text: &str, program: &Path, log: &Path) -> String {
    let log = log.display();
    let Some((_, input)) = text.lines().find_map(|line| line.split_once(FINDING)) else {
        return format!("{} failed without an input: see {log}", program.display());
    };
    format!(
        "a finding, described in {log}\nits input is {input}\nrun it again with: {} {input}",
        program.display()
    )
}

/// Runs the tests of `gannet-proto` under Miri, which knows no vector instructions: the portable path.
///
/// # Errors
/// A test that failed, or whose behaviour is undefined.
pub(crate) fn miri(root: &Path) -> Result<(), String> {
    if !runs(cargo(root).args(["miri", "--version"])) {
        println!("SKIPPED: NOTHING RAN UNDER MIRI: {MIRI_MISSING}");
        return Ok(());
    }
    let mut command = cargo(root);
    command.args(["miri", "test", "-p", "gannet-proto", "--lib", "--tests"]);
    succeed(&mut command)
}

/// Cargo of the nightly toolchain.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(root);
    command
}

fn runs(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::root;

    #[test]
    fn every_target_has_a_file_a_manifest_entry_and_seeds() {
        let fuzz = root().join("crates/fuzz");
        let manifest: toml::Table = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse().unwrap();
        let bins = manifest["bin"].as_array().unwrap();
        let names: Vec<&str> = bins.iter().map(|bin| bin["name"].as_str().unwrap()).collect();
        assert_eq!(names, Target::ALL.map(Target::name));
        for name in names {
            assert!(fuzz.join("targets").join(name).with_extension("rs").is_file(), "{name}");
            assert!(fs::read_dir(fuzz.join("seeds").join(name)).unwrap().count() > 0, "{name}");
        }
    }

    #[test]
    fn a_target_is_called_by_the_name_of_its_file() {
        for target in Target::ALL {
            assert_eq!(Target::from_str(target.name(), false), Ok(target));
        }
        assert_eq!(Target::value_variants(), Target::ALL);
    }

    #[test]
    fn a_finding_names_its_input_and_the_command_that_runs_it_again() {
        let log = "thread panicked\nartifact_prefix='/f/'; Test unit written to /f/crash-1\nBase64: AA==\n";
        let text = describe_finding(log, Path::new("/t/frames"), Path::new("/t/frames.log"));
        assert!(text.contains("/t/frames.log") && text.contains("its input is /f/crash-1\n"), "{text}");
        assert!(text.ends_with("run it again with: /t/frames /f/crash-1"), "{text}");
        let text = describe_finding("killed", Path::new("/t/frames"), Path::new("/t/frames.log"));
        assert!(text.contains("without an input"), "{text}");
    }
}
