//! `gannet top --once`: one look as text, for scripts.
//!
//! Invariant: one line of totals, one of titles, then one line per connection, each with every column; an empty cell is `-`,
//! so that a line always has as many fields, apart from the blank before a unit.

use std::io::{self, Write};

use super::client::{Client, Sample};
use super::columns;
use super::format;
use crate::admin::wire::Sort;

/// Looks once and prints what there is.
///
/// # Errors
/// One line: the server does not answer.
pub(super) fn print(client: &Client, sort: Sort) -> Result<(), String> {
    let text = text(&client.look(sort)?);
    // Whoever stopped reading has seen enough.
    io::stdout().write_all(text.as_bytes()).ok();
    Ok(())
}

fn text(sample: &Sample) -> String {
    let totals = &sample.totals;
    let mut text = format!(
        "gannet {}: {}, {} of {} connections, {} open, {} buffered\n",
        totals.version,
        if totals.is_draining { "draining" } else { "serving" },
        totals.connections,
        totals.connections_max,
        totals.sessions,
        format::bytes(totals.buffered_bytes),
    );
    let columns = columns::all();
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let rows = sample.rows.iter().map(|row| columns.iter().map(|column| or_dash(column.cell(row))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |place: usize| lines.iter().map(|line: &Vec<String>| line[place].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|place| width(place).unwrap_or_default()).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(&columns).map(|((cell, width), column)| {
            if column.is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line: Vec<String> = cells.collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn or_dash(cell: String) -> String {
    if cell.is_empty() { "-".to_owned() } else { cell }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::scrape::Totals;
    use super::*;
    use crate::admin::wire::ConnectionRow;

    #[test]
    fn a_look_is_a_line_of_totals_and_a_table() {
        let totals = Totals {
            version: "1.2.3".to_owned(),
            connections: 2,
            connections_max: 100,
            sessions: 2,
            buffered_bytes: 1536,
            ..Totals::default()
        };
        let slow = ConnectionRow {
            id: "0-1-2".to_owned(),
            client: "192.0.2.1".to_owned(),
            path: "/a\n\u{1b}".to_owned(),
            subprotocol: "chat".to_owned(),
            age_ms: 61_000,
            messages_per_s: 1234,
            buffered_bytes: 1536,
            rtt_us: Some(850),
            unsent_bytes: Some(2048),
            ..ConnectionRow::default()
        };
        let idle = ConnectionRow {
            id: "1-17-40000".to_owned(),
            client: "unix".to_owned(),
            ..ConnectionRow::default()
        };
        let sample = Sample { at: Instant::now(), totals, rows: vec![slow, idle] };
        let expected = "\
gannet 1.2.3: serving, 2 of 100 connections, 2 open, 1.5 KiB buffered
ID          CLIENT     PATH        SUBPROTOCOL     AGE  MSG/S  BUFFERED   UNSENT     RTT
0-1-2       192.0.2.1  /a\\n\\u{1b}  chat         1m 01s  1,234   1.5 KiB  2.0 KiB  850 µs
1-17-40000  unix       -           -                0s      0       0 B        -       -
";
        assert_eq!(text(&sample), expected);
    }
}
