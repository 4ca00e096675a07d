//! Keys and reports, one after the other.

use std::time::{Duration, Instant};

use super::super::scrape::Totals;
use super::*;

fn row(id: &str) -> ConnectionRow {
    ConnectionRow { id: id.to_owned(), client: format!("client of {id}"), ..ConnectionRow::default() }
}

fn sample(at: Instant, ids: &[&str], messages: u64) -> Report {
    let counters = Counters { messages_received: messages, messages_sent: messages, ..Counters::default() };
    let totals = Totals { counters, ..Totals::default() };
    Report::Looked(Ok(Sample { at, totals, rows: ids.iter().map(|id| row(id)).collect() }))
}

fn with_rows(ids: &[&str]) -> State {
    let mut state = State::new("server", Sort::Buffered);
    state.apply(sample(Instant::now(), ids, 0));
    state
}

fn press(state: &mut State, code: KeyCode) -> Action {
    state.update(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn the_selection_moves_with_arrows_and_letters_and_stays_inside() {
    let mut state = with_rows(&["a", "b", "c"]);
    assert_eq!(state.selected_row(), None);
    let moves = [
        (KeyCode::Down, 0),
        (KeyCode::Char('j'), 1),
        (KeyCode::PageDown, 2),
        (KeyCode::Down, 2),
        (KeyCode::Up, 1),
        (KeyCode::Char('k'), 0),
        (KeyCode::Up, 0),
        (KeyCode::End, 2),
        (KeyCode::PageUp, 0),
        (KeyCode::Char('G'), 2),
        (KeyCode::Home, 0),
    ];
    for (key, place) in moves {
        assert_eq!(press(&mut state, key), Action::Nothing);
        assert_eq!(state.selected_row(), Some(place), "{key:?}");
    }
    let mut empty = with_rows(&[]);
    press(&mut empty, KeyCode::Down);
    assert_eq!(empty.selected_row(), None);
}

#[test]
fn the_selection_follows_its_connection_and_goes_to_the_next_when_that_is_gone() {
    let mut state = with_rows(&["a", "b", "c"]);
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Down);
    state.apply(sample(Instant::now(), &["c", "a", "b"], 0));
    assert_eq!(state.selected.as_deref(), Some("b"));
    state.apply(sample(Instant::now(), &["c", "a"], 0));
    assert_eq!(state.selected.as_deref(), Some("a"));
    state.apply(sample(Instant::now(), &[], 0));
    assert_eq!(state.selected, None);
}

#[test]
fn closing_asks_first_and_closes_what_it_asked_about() {
    for (ask, answer, is_closed) in [
        (KeyCode::Char('c'), KeyCode::Char('y'), true),
        (KeyCode::Delete, KeyCode::Enter, true),
        (KeyCode::Char('c'), KeyCode::Char('n'), false),
        (KeyCode::Char('c'), KeyCode::Esc, false),
        (KeyCode::Char('c'), KeyCode::Char('c'), false),
    ] {
        let mut state = with_rows(&["a", "b"]);
        press(&mut state, KeyCode::End);
        assert_eq!(press(&mut state, ask), Action::Nothing);
        assert_eq!(state.mode, Mode::Confirm { id: "b".to_owned(), client: "client of b".to_owned() });
        // Meanwhile another connection takes the place.
        state.apply(sample(Instant::now(), &["b", "x"], 0));
        let expected = if is_closed { Action::Order(Order::Close("b".to_owned())) } else { Action::Nothing };
        assert_eq!(press(&mut state, answer), expected, "{answer:?}");
        assert_eq!(state.mode, Mode::Table);
    }
}

#[test]
fn closing_without_a_selection_says_what_to_do() {
    let mut state = with_rows(&["a"]);
    assert_eq!(press(&mut state, KeyCode::Char('c')), Action::Nothing);
    assert_eq!(state.mode, Mode::Table);
    assert_eq!(state.status, Status::Note("select a connection first, with the arrows".to_owned()));
}

#[test]
fn the_order_changes_at_once_and_comes_round() {
    let mut state = with_rows(&[]);
    for sort in [Sort::Age, Sort::Messages, Sort::Buffered] {
        assert_eq!(press(&mut state, KeyCode::Char('s')), Action::Order(Order::Look(sort)));
    }
}

#[test]
fn it_ends_on_q_escape_and_control_c_and_the_last_one_always_works() {
    for key in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(press(&mut with_rows(&[]), key), Action::Quit);
    }
    for mode in [Mode::Table, Mode::Help, Mode::Confirm { id: "a".to_owned(), client: String::new() }] {
        let mut state = with_rows(&["a"]);
        state.mode = mode;
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.update(control_c), Action::Quit);
    }
}

#[test]
fn help_is_closed_by_any_key_and_pause_is_a_switch() {
    let mut state = with_rows(&[]);
    press(&mut state, KeyCode::Char('?'));
    assert_eq!(state.mode, Mode::Help);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Action::Nothing);
    assert_eq!(state.mode, Mode::Table);
    press(&mut state, KeyCode::Char('p'));
    assert!(state.is_paused);
    press(&mut state, KeyCode::Char('p'));
    assert!(!state.is_paused);
}

#[test]
fn rates_come_from_two_looks_and_60_are_remembered() {
    let mut state = State::new("server", Sort::Buffered);
    let start = Instant::now();
    for second in 0..=61 {
        state.apply(sample(start + Duration::from_secs(second), &[], second * second));
    }
    assert_eq!(state.rates.messages_received, 61 * 61 - 60 * 60);
    assert_eq!(state.history.len(), HISTORY_MAX);
    assert_eq!((state.history[0], state.history[59]), (2 * 3, 2 * 121));
}

#[test]
fn an_error_is_shown_until_the_next_look_and_what_was_seen_stays() {
    let mut state = with_rows(&["a"]);
    state.apply(Report::Looked(Err("no answer".to_owned())));
    assert_eq!((state.status.clone(), state.rows().len()), (Status::Error("no answer".to_owned()), 1));
    state.apply(sample(Instant::now(), &["a"], 0));
    assert_eq!(state.status, Status::Quiet);
    state.apply(Report::Closed { id: "a".to_owned(), result: Ok(()) });
    assert_eq!(state.status, Status::Note("a is closing".to_owned()));
    state.apply(Report::Closed { id: "a".to_owned(), result: Err("404".to_owned()) });
    assert_eq!(state.status, Status::Error("404".to_owned()));
}
