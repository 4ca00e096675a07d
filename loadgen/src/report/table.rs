//! The results as one table: a row per figure, a column per system.
//!
//! Invariant: the table and the JSON are made from the same values; a figure that was not measured is `-`.

use comfy_table::{CellAlignment, Table, presets};

use super::SystemReport;

/// A row: what the figure is, with its unit, and how to take it from the report of a system.
type Row = (&'static str, fn(&SystemReport) -> String);

const ROWS: [Row; 29] = [
    ("connections opened", |system| count(Some(system.opened))),
    ("connections failed", failed),
    ("connects/s", |system| rate(system.connects_per_s)),
    ("handshake p50, µs", |system| count(system.handshake_us.p50)),
    ("handshake p99, µs", |system| count(system.handshake_us.p99)),
    ("server bytes, all connections idle", |system| count(system.idle.rss_bytes)),
    ("server bytes per idle connection", |system| signed(system.idle.rss_bytes_per_conn)),
    ("  the same after an echo", |system| signed(system.idle.rss_after_echo_bytes_per_conn)),
    ("kernel bytes per connection, both ends", |system| signed(system.idle.kernel_bytes_per_conn)),
    ("paced: messages/s offered", |system| count(Some(system.paced.rate))),
    ("  latency p50, µs", |system| count(system.paced.latency_us.p50)),
    ("  latency p90, µs", |system| count(system.paced.latency_us.p90)),
    ("  latency p99, µs", |system| count(system.paced.latency_us.p99)),
    ("  latency p99.9, µs", |system| count(system.paced.latency_us.p999)),
    ("  latency max, µs", |system| count(system.paced.latency_us.max)),
    ("  server CPU per message, µs", |system| micros(system.paced.server_cpu_us_per_message)),
    ("saturated: messages/s", |system| rate(system.saturated.messages_per_s)),
    ("  server CPU per message, µs", |system| micros(system.saturated.server_cpu_us_per_message)),
    ("messages sent, all phases", |system| count(Some(system.messages.sent))),
    ("  lost", |system| count(Some(system.messages.lost))),
    ("  duplicated", |system| count(Some(system.messages.duplicated))),
    ("  reordered", |system| count(Some(system.messages.reordered))),
    ("  corrupted", |system| count(Some(system.messages.corrupted))),
    ("closed cleanly", |system| count(Some(system.closed_cleanly))),
    ("generator: paced messages/s sent", |system| rate(system.generator.paced_messages_per_s)),
    ("  lag p99, µs", |system| count(system.generator.lag_us.p99)),
    ("  lag max, µs", |system| count(system.generator.lag_us.max)),
    ("  CPU per paced message, µs", |system| micros(system.generator.paced_cpu_us_per_message)),
    ("  CPU per saturated message, µs", |system| micros(system.generator.saturated_cpu_us_per_message)),
];

/// Draws the table.
pub(crate) fn draw(systems: &[SystemReport]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once("").chain(systems.iter().map(|system| system.name.as_str())));
    for (label, figure) in ROWS {
        table.add_row(std::iter::once(label.to_owned()).chain(systems.iter().map(figure)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn failed(system: &SystemReport) -> String {
    let kinds: Vec<String> =
        system.failures.iter().map(|(kind, &count)| format!("{} {kind}", grouped(count))).collect();
    if kinds.is_empty() { "0".to_owned() } else { kinds.join(", ") }
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(missing, grouped)
}

fn signed(bytes: Option<i64>) -> String {
    bytes.map_or_else(missing, |bytes| {
        format!("{}{}", if bytes < 0 { "-" } else { "" }, grouped(bytes.unsigned_abs()))
    })
}

fn rate(rate: f64) -> String {
    grouped(rate.round() as u64)
}

fn micros(time_us: Option<f64>) -> String {
    time_us.map_or_else(missing, |time_us| format!("{time_us:.2}"))
}

fn missing() -> String {
    "-".to_owned()
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn digits_are_grouped_in_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(signed(Some(-1_234)), "-1,234");
    }

    #[test]
    fn every_system_has_a_column_and_what_was_not_measured_is_a_dash() {
        let mut url = report("url");
        url.idle.rss_bytes_per_conn = None;
        let drawn = draw(&[report("tokio"), url]);
        let header = drawn.lines().nth(1).unwrap();
        assert!(header.contains("tokio") && header.contains("url"), "{header}");
        let row = drawn.lines().find(|line| line.contains("server bytes per idle")).unwrap();
        assert!(row.contains("6,912") && row.trim_end_matches('│').trim_end().ends_with('-'), "{row}");
    }

    #[test]
    fn failed_connections_are_told_by_kind() {
        let mut system = report("tokio");
        system.failures = [("died", 2), ("refused", 1)].into();
        assert_eq!(failed(&system), "2 died, 1 refused");
        system.failures.clear();
        assert_eq!(failed(&system), "0");
    }
}
