//! The table against any server: which cases it does as a strict server would, and what it does instead.
//!
//! `cargo xtask conformance` sets the two variables and reads the results. Invariant: one JSON object per line, server and
//! case, in the order of the table.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{Case, Mismatch};
use crate::client::Client;
use crate::tables::group_title;
use crate::tcp::TcpWire;

/// `NAME=ws://host:port/path`, one per line.
const URLS_VARIABLE: &str = "GANNET_CONFORMANCE_URLS";
/// The file that the results go to.
const RESULTS_VARIABLE: &str = "GANNET_CONFORMANCE_RESULTS";
/// How long a server has for one case.
const CASE_TIME: Duration = Duration::from_secs(2);
/// Cases at the same time; most of the time of a server that does not answer is waiting.
const CASES_AT_ONCE: usize = 8;

/// A server to test.
#[derive(Debug)]
struct Remote {
    name: String,
    address: SocketAddr,
    target: String,
}

/// Whether servers to test were named.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(URLS_VARIABLE).is_some()
}

/// Runs the cases that any server can be held to, and writes down what came.
pub(crate) fn run(cases: Vec<Case>) {
    let cases: Vec<Case> = cases.into_iter().filter(Case::is_for_any_server).collect();
    let path = std::env::var_os(RESULTS_VARIABLE).expect("the variable names a file for the results");
    let mut file = BufWriter::new(File::create(path).unwrap());
    for line in std::env::var(URLS_VARIABLE).unwrap().lines() {
        let remote =
            Remote::parse(line).unwrap_or_else(|| panic!("{line:?} is not NAME=ws://host:port/path"));
        for result in run_all(&remote, &cases) {
            writeln!(file, "{result}").unwrap();
        }
    }
    file.flush().unwrap();
}

/// The results in the order of the cases.
fn run_all(remote: &Remote, cases: &[Case]) -> Vec<Value> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _worker in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                while let Some((index, case)) = take(&next, cases) {
                    let result = remote.run(case);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'c>(next: &AtomicUsize, cases: &'c [Case]) -> Option<(usize, &'c Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, case))
}

impl Remote {
    fn parse(line: &str) -> Option<Self> {
        let (name, url) = line.split_once('=')?;
        let (authority, target) = match url.strip_prefix("ws://")? {
            rest if rest.contains('/') => rest.split_at(rest.find('/')?),
            rest => (rest, "/"),
        };
        let address = match authority.contains(':') {
            true => authority.to_socket_addrs().ok()?.next()?,
            false => (authority, 80).to_socket_addrs().ok()?.next()?,
        };
        Some(Self { name: name.to_owned(), address, target: target.to_owned() })
    }

    fn run(&self, case: &Case) -> Value {
        let outcome = match TcpWire::connect(self.address, CASE_TIME) {
            Ok(wire) => case.run(&mut Client::new(Box::new(wire), &self.target)),
            Err(error) => Err(Mismatch { expected: "a connection".into(), came: error.to_string() }),
        };
        let mut result = json!({
            "server": self.name,
            "group": case.group(),
            "group_title": group_title(case.group()),
            "id": case.id,
            "title": case.title,
            "passed": outcome.is_ok(),
        });
        if let Err(Mismatch { expected, came }) = outcome {
            result["expected"] = expected.into();
            result["came"] = came.into();
        }
        result
    }
}
