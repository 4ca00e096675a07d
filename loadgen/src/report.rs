//! The results of a run as figures, in the shape in which they are written as JSON.
//!
//! Invariant: a figure that was not measured is `null`, and the names here are those of schema 1.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::machine::Machine;
use crate::record::{Failures, Messages, Tally, Times};

pub(crate) mod table;

/// Version of the JSON written here. A name is never given another meaning without raising it.
const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    schema: u32,
    command: String,
    machine: Machine,
    conns: u32,
    systems: Vec<SystemReport>,
}

impl RunReport {
    /// The results of `systems`, each with `conns` connections, as the command line asked for.
    pub(crate) fn new(command: String, machine: Machine, conns: u32, systems: Vec<SystemReport>) -> Self {
        Self { schema: SCHEMA, command, machine, conns, systems }
    }

    /// The results per system.
    pub(crate) fn systems(&self) -> &[SystemReport] {
        &self.systems
    }

    /// Whether every connection and every message of every system did what it should.
    pub(crate) fn is_flawless(&self) -> bool {
        self.systems.iter().all(SystemReport::is_flawless)
    }
}

/// One system.
#[derive(Debug, Serialize)]
pub(crate) struct SystemReport {
    /// Its name, `url` for a server that was not started here.
    pub(crate) name: String,
    /// Connections whose opening handshake succeeded.
    pub(crate) opened: u64,
    /// Connections that could not be opened, died, or were not closed as RFC 6455 wants it.
    pub(crate) failed: u64,
    /// The failed ones by kind.
    pub(crate) failures: BTreeMap<&'static str, u64>,
    /// Opened connections per second of the ramp.
    pub(crate) connects_per_s: f64,
    /// From the start of the TCP connection to the end of the opening handshake.
    pub(crate) handshake_us: Handshake,
    /// Memory.
    pub(crate) idle: Idle,
    /// Open loop.
    pub(crate) paced: Paced,
    /// Closed loop.
    pub(crate) saturated: Saturated,
    /// Messages of all phases together.
    pub(crate) messages: Messages,
    /// Connections whose closing handshake was complete.
    pub(crate) closed_cleanly: u64,
    /// What the generator itself did.
    pub(crate) generator: Generator,
    /// Why some of these figures are to be doubted.
    pub(crate) warnings: Vec<String>,
}

impl SystemReport {
    /// Whether every connection and every message did what it should.
    pub(crate) fn is_flawless(&self) -> bool {
        let Messages { lost, duplicated, reordered, corrupted, .. } = self.messages;
        self.failed + lost + duplicated + reordered + corrupted == 0
    }
}

/// Lengths of the opening handshake in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Handshake {
    /// Half of them were not longer.
    pub(crate) p50: Option<u64>,
    /// 99 % of them were not longer.
    pub(crate) p99: Option<u64>,
}

impl From<&Times> for Handshake {
    fn from(times: &Times) -> Self {
        Self { p50: times.quantile_us(0.5), p99: times.quantile_us(0.99) }
    }
}

/// Memory in bytes. What is given per connection is the slope between two numbers of connections.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Idle {
    /// Resident memory of the server with all connections idle: what a slope leaves out is in here.
    pub(crate) rss_bytes: Option<u64>,
    /// Resident memory of the server, before the first message.
    pub(crate) rss_bytes_per_conn: Option<i64>,
    /// The same after every connection has echoed one message.
    pub(crate) rss_after_echo_bytes_per_conn: Option<i64>,
    /// Slab memory of the kernel for both ends.
    pub(crate) kernel_bytes_per_conn: Option<i64>,
}

/// The paced phase.
#[derive(Debug, Serialize)]
pub(crate) struct Paced {
    /// Messages offered per second.
    pub(crate) rate: u64,
    #[serde(flatten)]
    pub(crate) messages: Messages,
    /// From the intended send time to the echo.
    pub(crate) latency_us: Latency,
    /// CPU time of the server per message received.
    pub(crate) server_cpu_us_per_message: Option<f64>,
}

/// Latencies in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: Option<u64>,
    pub(crate) p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    pub(crate) p999: Option<u64>,
    pub(crate) max: Option<u64>,
}

impl From<&Times> for Latency {
    fn from(times: &Times) -> Self {
        Self {
            p50: times.quantile_us(0.5),
            p90: times.quantile_us(0.9),
            p99: times.quantile_us(0.99),
            p999: times.quantile_us(0.999),
            max: times.max_us(),
        }
    }
}

/// The saturated phase.
#[derive(Debug, Serialize)]
pub(crate) struct Saturated {
    /// Connections that had a message in flight.
    pub(crate) connections: u32,
    /// Echoes per second.
    pub(crate) messages_per_s: f64,
    /// CPU time of the server per message.
    pub(crate) server_cpu_us_per_message: Option<f64>,
}

/// What the generator did and how late it was.
#[derive(Debug, Serialize)]
pub(crate) struct Generator {
    /// Threads.
    pub(crate) workers: u32,
    /// Messages per second that really left in the paced phase.
    pub(crate) paced_messages_per_s: f64,
    /// From the intended to the actual send time in the paced phase.
    pub(crate) lag_us: Lag,
    /// CPU time per message of the paced phase.
    pub(crate) paced_cpu_us_per_message: Option<f64>,
    /// CPU time per message of the saturated phase.
    pub(crate) saturated_cpu_us_per_message: Option<f64>,
}

/// The generator's own delay in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Lag {
    pub(crate) p99: Option<u64>,
    pub(crate) max: Option<u64>,
}

impl From<&Times> for Lag {
    fn from(times: &Times) -> Self {
        Self { p99: times.quantile_us(0.99), max: times.max_us() }
    }
}

/// Failed connections by the names of their kinds.
pub(crate) fn by_name(failures: &Failures) -> BTreeMap<&'static str, u64> {
    failures.kinds().map(|(failure, count)| (failure.name(), count)).collect()
}

/// Events per second, to a tenth.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { (count as f64 / time.as_secs_f64() * 10.0).round() / 10.0 }
}

/// CPU time per message received, in microseconds, to a thousandth.
pub(crate) fn cpu_us_per_message(cpu_ns: Option<u64>, tally: &Tally) -> Option<f64> {
    let received = tally.messages.received;
    let cpu_ns = cpu_ns.filter(|_| received > 0)?;
    Some((cpu_ns as f64 / received as f64).round() / 1_000.0)
}

#[cfg(test)]
mod tests;
