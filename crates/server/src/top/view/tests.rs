//! Pictures, character by character.

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::client::{Report, Sample};
use super::super::scrape::{Counters, Totals};
use super::*;
use crate::admin::wire::{ConnectionRow, Sort};

fn row(id: &str, path: &str, buffered_bytes: usize) -> ConnectionRow {
    ConnectionRow {
        id: id.to_owned(),
        client: "192.0.2.1".to_owned(),
        peer: "127.0.0.1:40000".to_owned(),
        path: path.to_owned(),
        subprotocol: "chat".to_owned(),
        age_ms: 185_000,
        messages_per_s: 12,
        buffered_bytes,
        rtt_us: Some(850),
        unsent_bytes: None,
    }
}

fn sample(at: Instant, counters: Counters) -> Report {
    let totals = Totals {
        version: "1.2.3".to_owned(),
        connections: 12_345,
        connections_max: 20_000,
        sessions: 12_300,
        buffered_bytes: 2048,
        resident_bytes: 5 << 20,
        counters,
        is_draining: false,
    };
    let rows = vec![row("0-1-2", "/chat", 2048), row("1-2-3", "/\u{1b}[2J\n", 0)];
    Report::Looked(Ok(Sample { at, totals, rows }))
}

fn two_looks() -> State {
    let mut state = State::new("127.0.0.1:9999", Sort::Buffered);
    let start = Instant::now();
    state.apply(sample(start, Counters::default()));
    let counters = Counters {
        messages_received: 1000,
        messages_sent: 2000,
        bytes_received: 4096,
        bytes_sent: 8192,
        handshakes: 30,
        cpu_ms: 250,
    };
    state.apply(sample(start + std::time::Duration::from_secs(1), counters));
    state
}

/// The screen as lines without the blanks at their ends.
fn drawn(state: &State, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, &mut TableState::default())).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn press(state: &mut State, code: KeyCode) {
    state.update(KeyEvent::new(code, KeyModifiers::NONE));
}

#[test]
fn a_wide_terminal_shows_totals_rates_the_past_and_every_column() {
    let expected = [
        "gannet 1.2.3 at 127.0.0.1:9999: serving  12,345 of 20,000 connections, 12,300 open, 2.0 KiB buffered, 5.0 MiB in RAM, CPU 25 %",
        "in 1,000 msg/s 4.0 KiB/s  out 2,000 msg/s 8.0 KiB/s  30 handshakes/s",
        "messages/s, last 60 looks, up to 3,000",
    ];
    let lines = drawn(&two_looks(), 130, 16);
    assert_eq!(lines[..3], expected);
    for line in &lines[3..6] {
        assert_eq!(*line, format!("{}█", " ".repeat(59)));
    }
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words(&lines[6]), "ID CLIENT PATH SUBPROTOCOL AGE MSG/S BUFFERED UNSENT RTT");
    assert_eq!(words(&lines[7]), "0-1-2 192.0.2.1 /chat chat 3m 05s 12 2.0 KiB - 850 µs");
    assert_eq!(words(&lines[8]), "1-2-3 192.0.2.1 /\\u{1b}[2J\\n chat 3m 05s 12 0 B - 850 µs");
    assert_eq!(lines[15], "by buffered  q quit  ↑↓ select  s sort  c close  p pause  ? help");
}

#[test]
fn a_narrow_terminal_is_drawn_to_the_character() {
    let expected = [
        "gannet 1.2.3 at 127.0.0.1:9999: serving  12,345 of 20,000 co",
        "in 1,000 msg/s 4.0 KiB/s  out 2,000 msg/s 8.0 KiB/s  30 hand",
        "ID            CLIENT          PATH           MSG/S  BUFFERED",
        "0-1-2         192.0.2.1       /chat             12   2.0 KiB",
        "1-2-3         192.0.2.1       /\\u{1b}[2J\\n      12       0 B",
        "",
        "by buffered  q quit  ↑↓ select  s sort  c close  p pause  ?",
    ];
    assert_eq!(drawn(&two_looks(), 60, 7), expected);
}

#[test]
fn any_size_can_be_drawn_in_any_mode() {
    let mut state = two_looks();
    press(&mut state, KeyCode::Down);
    for mode in [KeyCode::Up, KeyCode::Char('c'), KeyCode::Char('?')] {
        press(&mut state, mode);
        for (width, height) in (0..40).flat_map(|width| (0..20).map(move |height| (width, height))) {
            assert_eq!(drawn(&state, width, height).len(), usize::from(height));
        }
        press(&mut state, KeyCode::Char('n'));
    }
}

#[test]
fn a_low_terminal_has_the_table_alone() {
    let lines = drawn(&two_looks(), 30, 3);
    assert_eq!(lines, ["ID             CLIENT", "0-1-2          192.0.2.1", "1-2-3          192.0.2.1"]);
}

#[test]
fn the_question_before_a_close_names_the_connection() {
    let mut state = two_looks();
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Char('c'));
    let lines = drawn(&state, 60, 11).join("\n");
    assert!(lines.contains("┌ close ─") && lines.contains("Close connection 0-1-2 of 192.0.2.1?"), "{lines}");
}

#[test]
fn errors_pause_and_drain_are_on_the_screen() {
    let mut state = two_looks();
    press(&mut state, KeyCode::Char('p'));
    state.apply(Report::Looked(Err("no answer from 127.0.0.1:9999".to_owned())));
    let lines = drawn(&state, 60, 7);
    assert!(lines[0].starts_with("gannet 1.2.3 at 127.0.0.1:9999: serving, paused here"), "{}", lines[0]);
    assert_eq!(lines[6], "no answer from 127.0.0.1:9999");
    state.sample.as_mut().unwrap().totals.is_draining = true;
    assert!(drawn(&state, 60, 7)[0].contains("draining"));
}

#[test]
fn before_the_first_answer_it_says_what_it_waits_for() {
    let state = State::new("127.0.0.1:9999", Sort::Age);
    let lines = drawn(&state, 40, 7);
    assert_eq!((&*lines[0], &*lines[3]), ("gannet at 127.0.0.1:9999", "waiting for the first answer"));
}
