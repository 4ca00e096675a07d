//! What is on the screen, and what keys and reports make of it: no terminal, no clock, no network.
//!
//! Invariant: the selection is a connection, not a row: it stays on its connection while the order changes around it, and
//! nothing but the connection that was asked about is ever closed.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::client::{Order, Report, Sample};
use super::scrape::Counters;
use crate::admin::wire::{ConnectionRow, Sort};

/// Looks that the sparkline shows.
pub(super) const HISTORY_MAX: usize = 60;

/// What the keys mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// They move and order.
    #[default]
    Table,
    /// The next one closes the help.
    Help,
    /// Yes or no: is this connection to be closed?
    Confirm { id: String, client: String },
}

/// The line at the bottom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Quiet,
    Note(String),
    Error(String),
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// To be sent to the client.
    Order(Order),
    Quit,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where the server is.
    pub(super) address: String,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) mode: Mode,
    pub(super) status: Status,
    /// The last look that succeeded.
    pub(super) sample: Option<Sample>,
    /// Per second, between the last two looks.
    pub(super) rates: Counters,
    /// Messages per second in both directions, the oldest first.
    pub(super) history: VecDeque<u64>,
    /// The id of the selected connection.
    selected: Option<String>,
}

impl State {
    pub(super) fn new(address: &str, sort: Sort) -> Self {
        Self { address: address.to_owned(), sort, ..Self::default() }
    }

    /// The connections shown.
    pub(super) fn rows(&self) -> &[ConnectionRow] {
        self.sample.as_ref().map_or(&[], |sample| &sample.rows)
    }

    /// The place of the selected connection.
    pub(super) fn selected_row(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.rows().iter().position(|row| row.id == selected)
    }

    /// Follows a key.
    pub(super) fn update(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        match std::mem::take(&mut self.mode) {
            Mode::Help => Action::Nothing,
            Mode::Confirm { id, .. } => match key.code {
                KeyCode::Char('y' | 'Y') | KeyCode::Enter => {
                    self.status = Status::Note(format!("closing {id}"));
                    Action::Order(Order::Close(id))
                }
                _ => Action::Nothing,
            },
            Mode::Table => self.update_table(key),
        }
    }

    fn update_table(&mut self, key: KeyEvent) -> Action {
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Action::Quit,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                return Action::Order(Order::Look(self.sort));
            }
            KeyCode::Char('c') | KeyCode::Delete => self.ask_to_close(),
            KeyCode::Down | KeyCode::Char('j') => self.select(|row| row + 1),
            KeyCode::Up | KeyCode::Char('k') => self.select(|row| row.saturating_sub(1)),
            KeyCode::PageDown => self.select(|row| row + 10),
            KeyCode::PageUp => self.select(|row| row.saturating_sub(10)),
            KeyCode::Home | KeyCode::Char('g') => self.select_place(0),
            KeyCode::End | KeyCode::Char('G') => self.select_place(usize::MAX),
            _ => {}
        }
        Action::Nothing
    }

    /// Takes in what the client found out.
    pub(super) fn apply(&mut self, report: Report) {
        match report {
            Report::Looked(Ok(sample)) => self.apply_sample(sample),
            // What was seen last stays on the screen, with the error below it.
            Report::Looked(Err(error)) => self.status = Status::Error(error),
            Report::Closed { id, result: Ok(()) } => self.status = Status::Note(format!("{id} is closing")),
            Report::Closed { result: Err(error), .. } => self.status = Status::Error(error),
        }
    }

    fn apply_sample(&mut self, sample: Sample) {
        if let Some(earlier) = &self.sample {
            let time = sample.at.saturating_duration_since(earlier.at);
            self.rates = sample.totals.counters.rates(&earlier.totals.counters, time);
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back(self.rates.messages_received.saturating_add(self.rates.messages_sent));
        }
        // If the selected one is gone, its place is the next one's.
        let place = self.selected_row();
        self.sample = Some(sample);
        if self.selected_row().is_none() {
            self.selected = None;
            if let Some(place) = place {
                self.select_place(place);
            }
        }
        if matches!(self.status, Status::Error(_)) {
            self.status = Status::Quiet;
        }
    }

    /// Moves the selection; the first move selects the first row.
    fn select(&mut self, to: impl FnOnce(usize) -> usize) {
        let place = self.selected_row();
        self.select_place(place.map_or(0, to));
    }

    fn select_place(&mut self, place: usize) {
        let rows = self.rows();
        self.selected = rows.get(place.min(rows.len().saturating_sub(1))).map(|row| row.id.clone());
    }

    fn ask_to_close(&mut self) {
        match self.selected_row().and_then(|row| self.rows().get(row)) {
            Some(row) => self.mode = Mode::Confirm { id: row.id.clone(), client: row.client.clone() },
            None => self.status = Status::Note("select a connection first, with the arrows".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
