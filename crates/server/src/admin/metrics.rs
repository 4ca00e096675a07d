//! `/metrics`: the counts of the engine in the text format of OpenMetrics, which Prometheus reads.
//!
//! Invariant: what is printed is documented in `docs/metrics.md`, and the reverse; names and labels are not changed. No label
//! has a value that a peer chooses, so the number of series is bounded.

mod process;

use std::fmt;
use std::sync::Arc;

use gannet::metrics::{Counts, STATUSES, TURN_TIME_BOUNDS_US};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use self::process::Process;
use super::watched::Watched;

type Label = (&'static str, String);

/// What `/metrics` answers.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
}

impl Metrics {
    pub(super) fn new(watched: Arc<dyn Watched>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot { watched }));
        Self { registry }
    }

    /// All metrics as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}

/// Reads everything at the moment of the scrape.
#[derive(Debug)]
struct Snapshot {
    watched: Arc<dyn Watched>,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Encoder { to: encoder, shards: self.watched.shards() };
        to.whole_engine(&*self.watched)?;
        to.connections()?;
        to.traffic()?;
        to.trouble()?;
        to.turns()?;
        to.process(Process::read())
    }
}

/// Writes metric after metric.
struct Encoder<'a> {
    to: DescriptorEncoder<'a>,
    shards: Vec<Counts>,
}

impl Encoder<'_> {
    fn whole_engine(&mut self, watched: &dyn Watched) -> fmt::Result {
        let summary = watched.summary();
        let mut info = self.to.encode_descriptor("gannet_build", "The version.", None, MetricType::Info)?;
        info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let is_draining = u64::from(watched.is_draining());
        self.gauge("gannet_draining", "1 while connections are closed and none is accepted.", is_draining)?;
        let connections_max = watched.connections_max() as u64;
        self.gauge("gannet_connections_max", "Connections that it may hold.", connections_max)?;
        let window_bytes = summary.window_bytes as u64;
        self.gauge("gannet_window_bytes", "Bytes reserved for compression windows.", window_bytes)?;
        let what = "Connections without context takeover because the budget for windows was used up.";
        self.counter("gannet_takeovers_refused", what, summary.takeovers_refused)?;
        let what = "Log lines lost because the log target did not take them.";
        self.counter("gannet_log_lines_dropped", what, watched.log_lines_dropped())
    }

    fn connections(&mut self) -> fmt::Result {
        let what = "Connections now, handshakes and endings included.";
        self.shard_gauge("gannet_connections", what, |counts| counts.connections)?;
        self.shard_gauge("gannet_sessions", "Open WebSockets now.", |counts| counts.sessions)?;
        self.shard_counter("gannet_accepted", "Connections accepted.", |counts| counts.accepted)?;
        let what = "Responses to requests by status; 101 is a completed opening handshake.";
        self.labelled("gannet_responses", what, "status", |counts| {
            let names = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            names.zip(counts.responses).collect()
        })?;
        let what = "Ended WebSockets by close code.";
        self.labelled("gannet_closes", what, "code", |counts| {
            let names = (1000..=1015).map(|code: u16| code.to_string()).chain(["other".to_owned()]);
            names.zip(counts.closes).collect()
        })
    }

    fn traffic(&mut self) -> fmt::Result {
        let directions = |received, sent| vec![("received".to_owned(), received), ("sent".to_owned(), sent)];
        self.labelled("gannet_messages", "Messages.", "direction", |counts| {
            directions(counts.messages_received, counts.messages_sent)
        })?;
        let what = "Bytes, frame headers included; with TLS, what it carries.";
        self.labelled("gannet_bytes", what, "direction", |counts| {
            directions(counts.bytes_received, counts.bytes_sent)
        })?;
        let what = "Bytes that wait in outboxes and unfinished messages now.";
        self.shard_gauge("gannet_buffered_bytes", what, |counts| counts.buffered_bytes)
    }

    fn trouble(&mut self) -> fmt::Result {
        let what = "Messages not sent because the outbox was full.";
        self.shard_counter("gannet_messages_refused", what, |counts| counts.messages_refused)?;
        let what = "Messages and closes of other threads for a connection that was gone or closing.";
        self.shard_counter("gannet_undeliverable", what, |counts| counts.undeliverable)?;
        let what = "Connections cut because the memory of all was over its budget.";
        self.shard_counter("gannet_shed", what, |counts| counts.shed)?;
        let what = "Times that receiving was paused because a connection used up its second.";
        self.shard_counter("gannet_rate_pauses", what, |counts| counts.rate_pauses)?;
        let what = "Calls of the handler that panicked.";
        self.shard_counter("gannet_handler_panics", what, |counts| counts.handler_panics)?;
        let what = "Failed accept calls.";
        self.shard_counter("gannet_accept_errors", what, |counts| counts.accept_errors)?;
        let what = "Connections turned away for want of a descriptor or a slot.";
        self.shard_counter("gannet_connections_refused", what, |counts| counts.refused_by_driver)?;
        let what = "Commands and kernel events for a connection that was gone.";
        self.shard_counter("gannet_stale_tokens", what, |counts| counts.stale_tokens)
    }

    fn turns(&mut self) -> fmt::Result {
        self.shard_counter("gannet_turns", "Turns of the event loop.", |counts| counts.turns)?;
        let what = "Time of the turns of the event loop, of every 16th of them.";
        let mut family =
            self.to.encode_descriptor("gannet_turn_time_seconds", what, None, MetricType::Histogram)?;
        for (labels, counts) in labelled_by_shard(&self.shards) {
            let bounds =
                TURN_TIME_BOUNDS_US.iter().map(|&bound_us| bound_us as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.turn_times).collect();
            let (sum, count) = (counts.turn_time_us as f64 / 1e6, counts.turn_times.iter().sum());
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// What the kernel does not tell is left out.
    fn process(&mut self, process: Process) -> fmt::Result {
        if let Some(bytes) = process.resident_bytes {
            self.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", bytes)?;
        }
        if let Some(descriptors) = process.descriptors {
            let what = "Open descriptors of the main thread; shards may have tables of their own.";
            self.gauge("process_open_fds", what, descriptors)?;
        }
        let mut cpu = self.to.encode_descriptor(
            "process_cpu_seconds",
            "CPU time of all threads.",
            None,
            MetricType::Counter,
        )?;
        cpu.encode_counter::<NoLabelSet, _, f64>(&process.cpu_seconds, None)
    }

    fn gauge(&mut self, name: &str, what: &str, value: u64) -> fmt::Result {
        self.to.encode_descriptor(name, what, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, what: &str, value: u64) -> fmt::Result {
        write_counter(&mut self.to.encode_descriptor(name, what, None, MetricType::Counter)?, value)
    }

    fn shard_gauge(&mut self, name: &str, what: &str, value: impl Fn(&Counts) -> u64) -> fmt::Result {
        let mut family = self.to.encode_descriptor(name, what, None, MetricType::Gauge)?;
        for (labels, counts) in labelled_by_shard(&self.shards) {
            family.encode_family(&labels)?.encode_gauge(&value(counts))?;
        }
        Ok(())
    }

    fn shard_counter(&mut self, name: &str, what: &str, value: impl Fn(&Counts) -> u64) -> fmt::Result {
        let mut family = self.to.encode_descriptor(name, what, None, MetricType::Counter)?;
        for (labels, counts) in labelled_by_shard(&self.shards) {
            write_counter(&mut family.encode_family(&labels)?, value(counts))?;
        }
        Ok(())
    }

    /// A counter of each shard with one more label.
    fn labelled(
        &mut self,
        name: &str,
        what: &str,
        label: &'static str,
        values: impl Fn(&Counts) -> Vec<(String, u64)>,
    ) -> fmt::Result {
        let mut family = self.to.encode_descriptor(name, what, None, MetricType::Counter)?;
        for (labels, counts) in labelled_by_shard(&self.shards) {
            for (name, value) in values(counts) {
                let labels: Vec<Label> = labels.iter().cloned().chain([(label, name)]).collect();
                write_counter(&mut family.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}

fn labelled_by_shard(shards: &[Counts]) -> impl Iterator<Item = (Vec<Label>, &Counts)> {
    shards.iter().enumerate().map(|(shard, counts)| (vec![("shard", shard.to_string())], counts))
}

fn write_counter(to: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    to.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

#[cfg(test)]
mod tests;
