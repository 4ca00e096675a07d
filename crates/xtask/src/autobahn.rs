//! Autobahn's test suite against the echo server and the example client.
//! Invariant: a case that was asked for and has no result is a difference, like a result that is not as expected.

mod python;
mod verdict;
mod wstest;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use self::verdict::Verdict;
use self::wstest::Wstest;
use crate::process::Running;
use crate::steps::cargo;

/// The server under test, as it is called.
const SERVER_ARGUMENTS: [&str; 3] = ["echo", "--listen", "127.0.0.1:0"];
/// Every case of the suite.
const ALL_CASES: &str = "*";
/// What `cargo xtask ci` runs: all that takes seconds, and of the compression cases one for every set of data (12.1 to
/// 12.5) and one for every offer of parameters (13.1 to 13.7), with messages of different sizes, whole and fragmented.
const SAMPLE: [&str; 21] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.1", "12.2.4", "12.3.7", "12.4.12",
    "12.5.14", "13.1.2", "13.2.5", "13.3.8", "13.4.3", "13.5.13", "13.6.6", "13.7.11",
];

/// What to test, and with which cases.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {
    /// The end under test [default: both, one after the other].
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Cases and groups of cases, such as `1,2.*,12.1.1`.
    #[arg(long, value_delimiter = ',', default_value = ALL_CASES, value_parser = parse_pattern)]
    cases: Vec<String>,
    /// How the end under test compresses.
    #[arg(long, value_enum, default_value_t)]
    compression: Compression,
}

/// How the end under test compresses. Without compression groups 12 and 13 have no verdict.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Compression {
    /// Every message stands for itself.
    #[default]
    Shared,
    /// A message may refer to those before it.
    Dedicated,
}

impl Compression {
    /// The flag, which both ends have alike.
    const fn arguments(self) -> [&'static str; 2] {
        match self {
            Self::Shared => ["--compression", "shared"],
            Self::Dedicated => ["--compression", "dedicated"],
        }
    }
}

/// The end under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// `gannet echo`, tested by the suite's fuzzing client.
    Server,
    /// The example `echo_client`, tested by the suite's fuzzing server.
    Client,
}

impl Role {
    const ALL: [Self; 2] = [Self::Server, Self::Client];

    /// The name in the output, and of the end under test in the suite's report.
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// What cargo is to build.
    const fn build_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["-p", "gannet-server"],
            Self::Client => &["-p", "gannet-proto", "--example", "echo_client"],
        }
    }
}

/// A group may be given as its number alone.
fn parse_pattern(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| !matches!(c, '0'..='9' | '.' | '*')) {
        return Err("it must be a case such as 1.2.3, a group such as 1 or 6.4.*, or *".to_owned());
    }
    Ok(if text.contains(['.', '*']) { text.to_owned() } else { format!("{text}.*") })
}

/// Runs the cases that were asked for.
///
/// # Errors
/// What is missing on this machine, what went wrong, or how many results are not as expected.
pub(crate) fn run(root: &Path, flags: &Flags) -> Result<(), String> {
    let python = python::find().ok_or(python::MISSING)?;
    let roles = flags.role.map_or_else(|| Role::ALL.to_vec(), |role| vec![role]);
    test(root, &python, &roles, &flags.cases, flags.compression)
}

/// Runs the cases of `cargo xtask ci` in both roles; without Python 2.7 it says so and passes.
///
/// # Errors
/// What went wrong, or how many results are not as expected.
pub(crate) fn run_sample(root: &Path) -> Result<(), String> {
    let Some(python) = python::find() else {
        println!("SKIPPED: NOTHING WAS TESTED: {}", python::MISSING);
        return Ok(());
    };
    test(root, &python, &Role::ALL, &SAMPLE.map(str::to_owned), Compression::default())
}

fn test(
    root: &Path,
    python: &Path,
    roles: &[Role],
    patterns: &[String],
    compression: Compression,
) -> Result<(), String> {
    let target = target_directory()?;
    let directory = target.join("autobahn");
    let program = python::install(&directory, python)?;
    let mut differences = 0;
    for &role in roles {
        cargo(root, &[&["build", "--quiet", "--release"][..], role.build_arguments()].concat())?;
        let directory = directory.join(role.name());
        let run =
            Run { role, patterns, compression, program: &program, target: &target, directory: &directory };
        differences += run.verdict()?.differences();
    }
    match differences {
        0 => Ok(()),
        count => Err(format!("{count} results are not as expected: see the reports named above")),
    }
}

/// Where cargo builds, this program included: `<target>/<profile>/xtask`.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    let target = program.ancestors().nth(2);
    target.map(Path::to_path_buf).ok_or_else(|| format!("{}: not in a target directory", program.display()))
}

/// One end under test.
struct Run<'a> {
    role: Role,
    patterns: &'a [String],
    compression: Compression,
    /// The suite.
    program: &'a Path,
    /// Where the ends under test were built.
    target: &'a Path,
    /// Where logs and reports go.
    directory: &'a Path,
}

impl Run<'_> {
    /// Runs the cases, prints how they ended and returns it.
    fn verdict(&self) -> Result<Verdict, String> {
        let reports = self.directory.join("reports");
        // A report of an earlier run must not be taken for one of this run.
        if reports.exists() {
            fs::remove_dir_all(&reports).map_err(at(&reports))?;
        }
        fs::create_dir_all(&reports).map_err(at(&reports))?;
        let start = Instant::now();
        let cases = match self.role {
            Role::Server => self.test_server(&reports),
            Role::Client => self.test_client(&reports),
        }?;
        let index = reports.join("index.json");
        let text = fs::read_to_string(&index).map_err(at(&index))?;
        let report: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", index.display()))?;
        let name = self.role.name();
        let verdict = Verdict::new(&cases, &report[name], &reports);
        println!("{}{name}: {verdict} in {:.0} s", verdict.table(), start.elapsed().as_secs_f64());
        if self.patterns == [ALL_CASES] && cases.len() != verdict::CASES_TOTAL {
            return Err(format!("the suite has {} cases, {} expected", cases.len(), verdict::CASES_TOTAL));
        }
        Ok(verdict)
    }

    /// Tests `gannet echo`; returns the cases that were to be run.
    fn test_server(&self, reports: &Path) -> Result<Vec<String>, String> {
        let log = self.directory.join("gannet.log");
        let mut command = Command::new(self.target.join("release/gannet"));
        command.args(SERVER_ARGUMENTS).args(self.compression.arguments());
        command.stdout(Stdio::piped()).stderr(File::create(&log).map_err(at(&log))?);
        let mut server = Running::start(&mut command)?;
        let url = server.take_stdout().and_then(listening_url);
        let url = url.ok_or_else(|| format!("gannet does not listen: see {}", log.display()))?;
        let spec = json!({
            "servers": [{"agent": self.role.name(), "url": url}], "cases": self.patterns, "outdir": reports,
        });
        self.start_suite("fuzzingclient", &spec)?.wait()
    }

    /// Tests the example client; returns the cases that were to be run.
    fn test_client(&self, reports: &Path) -> Result<Vec<String>, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let url = format!("ws://127.0.0.1:{port}");
        let spec = json!({"url": url, "cases": self.patterns, "outdir": reports});
        let suite = self.start_suite("fuzzingserver", &spec)?;
        suite.await_listening(port)?;
        let path = self.directory.join("client.log");
        let log = File::create(&path).map_err(at(&path))?;
        let mut command = Command::new(self.target.join("release/examples/echo_client"));
        command.args([&url, "--agent", self.role.name()]).args(self.compression.arguments());
        command.stderr(log.try_clone().map_err(at(&path))?).stdout(log);
        match Running::start(&mut command)?.wait()? {
            status if status.success() => Ok(suite.into_cases()),
            status => Err(format!("the client ended with {status}: see {}", path.display())),
        }
    }

    fn start_suite(&self, mode: &str, spec: &Value) -> Result<Wstest, String> {
        Wstest::start(self.program, self.directory, self.role.name(), mode, spec)
    }
}

/// Reads the line with which the server says that it listens.
fn listening_url(stdout: impl Read) -> Option<String> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).ok()?;
    let url = &line[line.find("ws://")?..];
    url.split(',').next().map(str::to_owned)
}

/// A port that was free a moment ago: the suite cannot tell which one it was given.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Puts the path in front of an error.
fn at<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_be_given_by_its_number() {
        let parsed = ["7", "6.4.*", "12.1.1", "*"].map(|text| parse_pattern(text).unwrap());
        assert_eq!(parsed, ["7.*", "6.4.*", "12.1.1", "*"]);
        for text in ["", "all", "1 2"] {
            assert!(parse_pattern(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_pattern_of_the_sample_can_be_typed() {
        for pattern in SAMPLE {
            assert_eq!(parse_pattern(pattern).as_deref(), Ok(pattern));
        }
    }

    #[test]
    fn the_start_line_of_the_server_tells_its_url() {
        let line =
            "gannet: echo on ws://127.0.0.1:4567/echo, 2 shards, backend epoll, at most 9 connections\n";
        assert_eq!(listening_url(line.as_bytes()).as_deref(), Some("ws://127.0.0.1:4567/echo"));
        assert_eq!(listening_url(&b""[..]), None);
    }
}
