//! `wstest`, the program of the suite, while it runs.
//! Invariant: which cases are to be run is what the suite itself says, so none can be forgotten unseen.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::at;
use crate::process::Running;

/// How long the suite may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// The running suite; it is ended when this is dropped.
#[derive(Debug)]
pub(super) struct Wstest {
    process: Running,
    /// The cases that it runs.
    cases: Vec<String>,
    /// Where its output goes.
    log: PathBuf,
}

impl Wstest {
    /// Starts the suite in `mode`; the progress is printed under the name of the `role` that it tests.
    ///
    /// # Errors
    /// It does not start, or no case matches the patterns of `spec`.
    pub(super) fn start(
        program: &Path,
        directory: &Path,
        role: &'static str,
        mode: &str,
        spec: &Value,
    ) -> Result<Self, String> {
        let spec_path = directory.join("spec.json");
        fs::write(&spec_path, spec.to_string()).map_err(at(&spec_path))?;
        let path = directory.join("wstest.log");
        let log = File::create(&path).map_err(at(&path))?;
        let mut command = Command::new(program);
        command.args(["--mode", mode, "--webport", "0", "--spec"]).arg(&spec_path).current_dir(directory);
        // Python would keep the lines of its output until it has some thousand bytes of them.
        command.env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone().map_err(at(&path))?);
        let mut process = Running::start(&mut command)?;
        let (sender, cases) = channel();
        if let Some(stdout) = process.take_stdout() {
            // It ends with the output, that is with the suite.
            thread::spawn(move || follow(stdout, log, role, &sender));
        }
        match cases.recv_timeout(START_MAX) {
            Ok(cases) if cases.is_empty() => Err(format!("no case matches {}", spec["cases"])),
            Ok(cases) => Ok(Self { process, cases, log: path }),
            Err(_) => Err(format!("the suite did not start: see {}", path.display())),
        }
    }

    /// Waits until the suite takes connections on `port`.
    ///
    /// # Errors
    /// It does not within [`START_MAX`].
    pub(super) fn await_listening(&self, port: u16) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if start.elapsed() > START_MAX {
                return Err(format!("the suite does not listen on port {port}: see {}", self.log.display()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until the suite has written its report and ended; returns the cases that were to be run.
    ///
    /// # Errors
    /// It ends with an error.
    pub(super) fn wait(mut self) -> Result<Vec<String>, String> {
        match self.process.wait()? {
            status if status.success() => Ok(self.cases),
            status => Err(format!("the suite ended with {status}: see {}", self.log.display())),
        }
    }

    /// Ends the suite; returns the cases that were to be run.
    pub(super) fn into_cases(self) -> Vec<String> {
        self.cases
    }
}

/// Copies the output of the suite to `log`, sends the cases that it is going to run and prints how far it is.
fn follow(stdout: impl Read, mut log: File, role: &str, cases: &Sender<Vec<String>>) {
    let start = Instant::now();
    let mut printed = start;
    let (mut begun, mut count) = (0, 0);
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // A log that cannot be written is no reason to stop the suite.
        writeln!(log, "{line}").ok();
        if let Some(list) = line.strip_prefix("Cases = ") {
            let list = parse_list(list);
            count = list.len();
            // Nobody waits any more if the suite took too long to start.
            cases.send(list).ok();
        } else if let Some(rest) = line.strip_prefix("Running test case ID ") {
            begun += 1;
            if printed.elapsed() >= PROGRESS {
                printed = Instant::now();
                let case = rest.split(' ').next().unwrap_or(rest);
                println!("{role}: case {case}, {begun} of {count}, {:.0} s", start.elapsed().as_secs_f64());
            }
        }
    }
}

/// The strings in a list as Python prints it.
fn parse_list(text: &str) -> Vec<String> {
    text.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_python_is_read_with_and_without_the_mark_of_unicode() {
        assert_eq!(parse_list("['1.1.1', u'12.1.18']"), ["1.1.1", "12.1.18"]);
        assert_eq!(parse_list("[]"), [""; 0]);
    }
}
