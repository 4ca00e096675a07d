//! A server in a process of its own: the test binary again, with one test selected and a role in the environment.
//!
//! The two talk in lines: the server says `listening` with the number of its drivers and a port per listener, and each driver
//! answers `report`, on its standard error; it ends when its standard input does.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use crate::DEADLINE;

const ROLE: &str = "GANNET_ACCEPT_LIMIT_SERVER";

/// What a server says of itself.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Report {
    /// Open connections.
    pub(crate) open: u64,
    pub(crate) refused: u64,
    pub(crate) accept_errors: u64,
    /// Turns that gave no completion and refused nobody.
    pub(crate) idle_turns: u64,
}

pub(crate) struct ServerProcess {
    child: Child,
    lines: BufReader<ChildStderr>,
    drivers: u64,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl ServerProcess {
    /// Starts `serve` in a process of its own, for the test `name`. `None` in that process, after it has served.
    pub(crate) fn start(name: &str, serve: impl FnOnce()) -> Option<Self> {
        if std::env::var_os(ROLE).is_some() {
            serve();
            return None;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self { child, lines, drivers: 0, addresses: Vec::new() };
        let mut ports = process.numbers("listening").into_iter();
        process.drivers = ports.next().unwrap();
        process.addresses = ports.map(|port| (Ipv4Addr::LOCALHOST, port as u16).into()).collect();
        Some(process)
    }

    /// The numbers of the next line, which begins with `word`.
    fn numbers(&mut self, word: &str) -> Vec<u64> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let numbers = line.strip_prefix(word).unwrap_or_else(|| panic!("`{word}` expected, not `{line}`"));
        numbers.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// The sum of what all drivers say.
    pub(crate) fn report(&mut self) -> Report {
        self.tell("report");
        let mut sum = Report::default();
        for _driver in 0..self.drivers {
            let numbers = self.numbers("report");
            sum.open += numbers[0];
            sum.refused += numbers[1];
            sum.accept_errors += numbers[2];
            sum.idle_turns += numbers[3];
        }
        sum
    }

    /// Asks until the report is as it should be.
    pub(crate) fn wait_until(&mut self, what: &str, condition: impl Fn(Report) -> bool) {
        let start = Instant::now();
        while !condition(self.report()) {
            assert!(start.elapsed() < DEADLINE, "not in time: {what}; {:?}", self.report());
        }
    }

    /// Has the server free the descriptors that it holds for no purpose.
    pub(crate) fn release(&mut self) {
        self.tell("release");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
