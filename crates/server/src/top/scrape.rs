//! What `gannet top` reads of `/metrics`: the totals of all shards, and rates of two of them.
//!
//! Invariant: a text that is not of a gannet server is an error, and a counter that went back (the server was restarted)
//! is a rate of nothing.

use std::time::Duration;

/// The totals of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) version: String,
    pub(super) is_draining: bool,
    pub(super) connections: u64,
    pub(super) connections_max: u64,
    pub(super) sessions: u64,
    pub(super) buffered_bytes: u64,
    pub(super) resident_bytes: u64,
    pub(super) counters: Counters,
}

/// What only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) handshakes: u64,
    pub(super) messages_received: u64,
    pub(super) messages_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) cpu_ms: u64,
}

impl Totals {
    /// # Errors
    /// One line: this is no gannet server.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut totals = Self::default();
        for (name, labels, value) in text.lines().filter_map(sample) {
            let has = |label: &str| labels.contains(label);
            let whole = value as u64;
            let counters = &mut totals.counters;
            match name {
                "gannet_build_info" => totals.version = label_value(labels, "version").to_owned(),
                "gannet_draining" => totals.is_draining = whole == 1,
                "gannet_connections" => totals.connections += whole,
                "gannet_connections_max" => totals.connections_max = whole,
                "gannet_sessions" => totals.sessions += whole,
                "gannet_buffered_bytes" => totals.buffered_bytes += whole,
                "gannet_responses_total" if has("status=\"101\"") => counters.handshakes += whole,
                "gannet_messages_total" if has("direction=\"received\"") => {
                    counters.messages_received += whole
                }
                "gannet_messages_total" => counters.messages_sent += whole,
                "gannet_bytes_total" if has("direction=\"received\"") => counters.bytes_received += whole,
                "gannet_bytes_total" => counters.bytes_sent += whole,
                "process_resident_memory_bytes" => totals.resident_bytes = whole,
                "process_cpu_seconds_total" => counters.cpu_ms = (value * 1000.0) as u64,
                _ => {}
            }
        }
        if totals.version.is_empty() {
            return Err("there is no gannet server: its metrics have no gannet_build_info".to_owned());
        }
        Ok(totals)
    }
}

impl Counters {
    /// What was added since `earlier`, per second; `time` is what lies between.
    pub(super) fn rates(&self, earlier: &Self, time: Duration) -> Self {
        let time_ms = time.as_millis().max(1);
        let rate = |now: u64, then: u64| (u128::from(now.saturating_sub(then)) * 1000 / time_ms) as u64;
        Self {
            handshakes: rate(self.handshakes, earlier.handshakes),
            messages_received: rate(self.messages_received, earlier.messages_received),
            messages_sent: rate(self.messages_sent, earlier.messages_sent),
            bytes_received: rate(self.bytes_received, earlier.bytes_received),
            bytes_sent: rate(self.bytes_sent, earlier.bytes_sent),
            cpu_ms: rate(self.cpu_ms, earlier.cpu_ms),
        }
    }
}

/// Name, labels and value of a line that is neither empty nor a comment.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, labels.trim_end_matches('}'), value.parse().ok()?))
}

fn label_value<'a>(labels: &'a str, name: &str) -> &'a str {
    let labels = labels.split(',').filter_map(|label| label.split_once("=\""));
    let value = labels.filter(|(key, _)| *key == name).map(|(_, value)| value.trim_end_matches('"')).next();
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP gannet_connections Connections now.\n# TYPE gannet_connections gauge\n\
        gannet_build_info{version=\"1.2.3\"} 1\n\
        gannet_connections{shard=\"0\"} 3\ngannet_connections{shard=\"1\"} 4\n\
        gannet_connections_max 100\ngannet_draining 1\n\
        gannet_responses_total{shard=\"0\",status=\"101\"} 5\ngannet_responses_total{shard=\"0\",status=\"400\"} 9\n\
        gannet_messages_total{shard=\"0\",direction=\"received\"} 10\n\
        gannet_messages_total{shard=\"1\",direction=\"received\"} 1\n\
        gannet_messages_total{shard=\"0\",direction=\"sent\"} 20\nprocess_cpu_seconds_total 1.5\n# EOF\n";

    #[test]
    fn totals_are_the_sums_over_the_shards() {
        let totals = Totals::parse(TEXT).unwrap();
        let counters = Counters {
            handshakes: 5,
            messages_received: 11,
            messages_sent: 20,
            cpu_ms: 1500,
            ..Counters::default()
        };
        let expected = Totals {
            version: "1.2.3".to_owned(),
            is_draining: true,
            connections: 7,
            connections_max: 100,
            counters,
            ..Totals::default()
        };
        assert_eq!(totals, expected);
    }

    #[test]
    fn another_server_is_not_taken_for_a_gannet() {
        for text in ["", "<html>not found</html>", "process_cpu_seconds_total 1\n", "gannet_build_info{} x"] {
            assert!(Totals::parse(text).unwrap_err().contains("no gannet server"), "{text}");
        }
    }

    #[test]
    fn rates_are_per_second_and_never_negative() {
        let earlier = Counters { messages_sent: 10, handshakes: 7, ..Counters::default() };
        let now = Counters { messages_sent: 40, handshakes: 1, ..Counters::default() };
        let rates = now.rates(&earlier, Duration::from_millis(500));
        assert_eq!((rates.messages_sent, rates.handshakes), (60, 0));
        assert_eq!(now.rates(&earlier, Duration::ZERO).messages_sent, 30_000);
    }
}
