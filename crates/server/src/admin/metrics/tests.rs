//! What is printed, against what is documented.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fake::Fake;
use super::*;

const DOCUMENT: &str = include_str!("../../../../../docs/metrics.md");

fn text_of(fake: Fake) -> String {
    Metrics::new(Arc::new(fake)).text()
}

fn two_shards() -> Fake {
    let mut first = Counts::default();
    first.connections = 3;
    first.messages_received = 7;
    first.responses[0] = 2;
    first.responses[STATUSES.len()] = 1;
    first.closes[6] = 4;
    first.closes[16] = 5;
    first.turn_times[0] = 2;
    first.turn_times[1] = 1;
    first.turn_times[TURN_TIME_BOUNDS_US.len()] = 1;
    first.turn_time_us = 1_500_000;
    Fake { shards: vec![first, Counts::default()], log_lines_dropped: 6, ..Fake::default() }
}

/// The labels of a sample, `le` of a histogram left out.
fn label_names(sample: &str) -> BTreeSet<&str> {
    let inside =
        sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
    inside
        .split(',')
        .filter_map(|label| Some(label.split_once('=')?.0))
        .filter(|name| *name != "le")
        .collect()
}

/// Name as it is queried, with type and labels.
fn printed(text: &str) -> BTreeMap<String, String> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    families
        .map(|(family, kind)| {
            let name = match kind {
                "counter" => format!("{family}_total"),
                "info" => format!("{family}_info"),
                _ => family.to_owned(),
            };
            let series = if kind == "histogram" { format!("{name}_sum") } else { name.clone() };
            let is_sample =
                |line: &&str| line.strip_prefix(&series).is_some_and(|rest| rest.starts_with(['{', ' ']));
            let sample = text.lines().find(is_sample).unwrap();
            let labels: Vec<&str> = label_names(sample).into_iter().collect();
            (name, format!("{kind} {}", labels.join(", ")))
        })
        .collect()
}

/// The rows of the tables, which are `name`, type, labels and meaning.
fn documented() -> BTreeMap<String, String> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let metrics = rows.filter(|(name, _)| name.starts_with("gannet_") || name.starts_with("process_"));
    metrics
        .map(|(name, rest)| {
            let cells: Vec<&str> = rest.split(" | ").collect();
            let mut labels: Vec<&str> = cells[1].split(", ").map(|label| label.trim_matches('`')).collect();
            labels.sort_unstable();
            (name.to_owned(), format!("{} {}", cells[0], labels.join(", ")))
        })
        .collect()
}

#[test]
fn every_metric_is_documented_with_type_and_labels_and_nothing_else_is() {
    assert_eq!(documented(), printed(&text_of(two_shards())));
}

#[test]
fn counts_are_found_under_their_shard_and_label() {
    let text = text_of(two_shards());
    for line in [
        "gannet_connections{shard=\"0\"} 3",
        "gannet_connections{shard=\"1\"} 0",
        "gannet_messages_total{shard=\"0\",direction=\"received\"} 7",
        "gannet_responses_total{shard=\"0\",status=\"101\"} 2",
        "gannet_responses_total{shard=\"0\",status=\"other\"} 1",
        "gannet_closes_total{shard=\"0\",code=\"1006\"} 4",
        "gannet_closes_total{shard=\"0\",code=\"other\"} 5",
        "gannet_log_lines_dropped_total 6",
        "gannet_draining 0",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line} is not in\n{text}");
    }
}

#[test]
fn turn_times_are_a_histogram_in_seconds() {
    let text = text_of(two_shards());
    let of_shard_0 =
        |line: &&str| line.starts_with("gannet_turn_time_seconds") && line.contains("shard=\"0\"");
    let lines: Vec<&str> = text.lines().filter(of_shard_0).collect();
    assert_eq!(
        lines[..2],
        ["gannet_turn_time_seconds_sum{shard=\"0\"} 1.5", "gannet_turn_time_seconds_count{shard=\"0\"} 4"]
    );
    assert_eq!(lines[2], "gannet_turn_time_seconds_bucket{le=\"0.00001\",shard=\"0\"} 2");
    assert_eq!(lines[3], "gannet_turn_time_seconds_bucket{le=\"0.000025\",shard=\"0\"} 3");
    assert_eq!(lines[14], "gannet_turn_time_seconds_bucket{le=\"+Inf\",shard=\"0\"} 4");
    assert_eq!(lines.len(), 15);
}
