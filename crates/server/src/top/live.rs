//! The terminal: keys in, pictures out.
//!
//! Invariant: however it ends, by a key, an error, a signal or a panic, the terminal is as it was before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::widgets::TableState;
use signal_hook::consts::{SIGHUP, SIGTERM};

use super::TopFlags;
use super::client::{Client, Order, Report};
use super::state::{Action, State};
use super::view;

/// The longest wait for a key: how late a report is shown.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Shows the server until the user quits.
///
/// # Errors
/// One line: there is no terminal, or it is gone.
pub(super) fn run(client: Client, flags: &TopFlags) -> Result<(), String> {
    let state = State::new(client.address(), flags.sort);
    let no_terminal = |error: io::Error| format!("there is no terminal to show this on: {error}; try --once");
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, ended.clone()).map_err(|error| error.to_string())?;
    }
    let (orders, reports) = client.start().map_err(|error| error.to_string())?;
    // It restores the terminal on a panic, too.
    let mut terminal = ratatui::try_init().map_err(|error| {
        ratatui::restore();
        no_terminal(error)
    })?;
    let result = Live { state, orders, reports, interval: flags.interval }.run(&mut terminal, &ended);
    ratatui::restore();
    result.map_err(|error| format!("the terminal is gone: {error}"))
}

struct Live {
    state: State,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    interval: Duration,
}

impl Live {
    fn run(mut self, terminal: &mut DefaultTerminal, ended: &AtomicBool) -> io::Result<()> {
        let mut table = TableState::default();
        let mut last_look: Option<Instant> = None;
        let mut looks_running = 0;
        while !ended.load(Ordering::Relaxed) {
            for report in self.reports.try_iter() {
                looks_running -= usize::from(matches!(report, Report::Looked(_)));
                self.state.apply(report);
            }
            let is_due = last_look.is_none_or(|at| at.elapsed() >= self.interval);
            // A server that does not answer is not asked again and again.
            if is_due && looks_running == 0 && !self.state.is_paused {
                looks_running += 1;
                last_look = Some(Instant::now());
                self.orders.send(Order::Look(self.state.sort)).ok();
            }
            terminal.draw(|frame| view::draw(frame, &self.state, &mut table))?;
            if !event::poll(KEY_WAIT.min(self.interval))? {
                continue;
            }
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match self.state.update(key) {
                Action::Nothing => {}
                Action::Quit => return Ok(()),
                Action::Order(order) => {
                    looks_running += usize::from(matches!(order, Order::Look(_)));
                    self.orders.send(order).ok();
                }
            }
        }
        Ok(())
    }
}
