//! The state as a picture.
//!
//! Invariant: any size will do: what has no room is left out, the table last; nothing here changes what is shown next, but
//! the place to which the table is scrolled.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{
    Block, Cell, Clear, Paragraph, RenderDirection, Row, Sparkline, Table, TableState, Wrap,
};

use super::columns::{self, Column};
use super::format;
use super::state::{HISTORY_MAX, Mode, State, Status};

/// The height from which on there is a sparkline, and then its own.
const SPARKLINE_FROM: u16 = 14;
const SPARKLINE_HEIGHT: u16 = 4;
/// The height from which on there is a header, and a line at the bottom.
const HEADER_FROM: u16 = 6;
const KEYS: &str = "q quit  ↑↓ select  s sort  c close  p pause  ? help";
const HELP: &str = "\
↑ ↓ j k      select a connection
PgUp PgDn    ten at once
Home End     the first, the last
s            next order: buffered, age, messages
c Del        close the selected connection
p Space      pause and go on
? h          this help
q Esc        quit";

/// Draws everything; `table` remembers where the table is scrolled to.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, table: &mut TableState) {
    let height = frame.area().height;
    let (header, bottom) = if height < HEADER_FROM { (0, 0) } else { (2, 1) };
    let sparkline = if height < SPARKLINE_FROM { 0 } else { SPARKLINE_HEIGHT };
    let heights = [header, sparkline].map(Constraint::Length);
    let [header, sparkline, middle, bottom] =
        Layout::vertical([heights[0], heights[1], Constraint::Min(0), Constraint::Length(bottom)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(header_text(state)), header);
    draw_sparkline(frame, state, sparkline);
    draw_table(frame, state, table, middle);
    frame.render_widget(bottom_line(state), bottom);
    match &state.mode {
        Mode::Table => {}
        Mode::Help => draw_box(frame, " keys ", HELP),
        Mode::Confirm { id, client } => {
            let question =
                format!("Close connection {id} of {client}?\n\ny or Enter: yes, any other key: no");
            draw_box(frame, " close ", &question);
        }
    }
}

fn header_text(state: &State) -> Text<'static> {
    let Some(sample) = &state.sample else {
        return Text::from(format!("gannet at {}", state.address));
    };
    let (totals, rates) = (&sample.totals, &state.rates);
    let doing = if totals.is_draining { "draining" } else { "serving" };
    let paused = if state.is_paused { ", paused here" } else { "" };
    let first = format!(
        "gannet {} at {}: {doing}{paused}  {} of {} connections, {} open, {} buffered, {} in RAM, CPU {} %",
        totals.version,
        state.address,
        format::count(totals.connections),
        format::count(totals.connections_max),
        format::count(totals.sessions),
        format::bytes(totals.buffered_bytes),
        format::bytes(totals.resident_bytes),
        rates.cpu_ms / 10,
    );
    let second = format!(
        "in {} msg/s {}/s  out {} msg/s {}/s  {} handshakes/s",
        format::count(rates.messages_received),
        format::bytes(rates.bytes_received),
        format::count(rates.messages_sent),
        format::bytes(rates.bytes_sent),
        format::count(rates.handshakes),
    );
    let first = if totals.is_draining { Line::from(first).yellow() } else { Line::from(first).bold() };
    Text::from(vec![first, Line::from(second)])
}

fn draw_sparkline(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let highest = state.history.iter().max().copied().unwrap_or_default();
    let title = format!("messages/s, last {HISTORY_MAX} looks, up to {}", format::count(highest));
    // The newest look is at the right edge.
    let data: Vec<u64> = state.history.iter().rev().copied().collect();
    let sparkline = Sparkline::default()
        .block(Block::new().title(Line::from(title).dim()))
        .direction(RenderDirection::RightToLeft)
        .max(highest.max(1))
        .style(Style::new().fg(Color::Cyan))
        .data(data);
    frame.render_widget(sparkline, Rect { width: area.width.min(HISTORY_MAX as u16), ..area });
}

fn draw_table(frame: &mut Frame<'_>, state: &State, table: &mut TableState, area: Rect) {
    let columns = columns::that_fit(area.width);
    let titles = columns.iter().map(|column| aligned(column, column.title.to_owned()));
    let rows = state
        .rows()
        .iter()
        .map(|row| Row::new(columns.iter().map(|column| aligned(column, column.cell(row)))));
    let widths = columns.iter().map(|column| match column.grows {
        true => Constraint::Min(column.width),
        false => Constraint::Length(column.width),
    });
    let widget = Table::new(rows, widths)
        .header(Row::new(titles).style(Style::new().add_modifier(Modifier::REVERSED)))
        .row_highlight_style(Style::new().bg(Color::DarkGray).add_modifier(Modifier::BOLD));
    table.select(state.selected_row());
    frame.render_stateful_widget(widget, area, table);
    if state.rows().is_empty() && area.height > 1 {
        let what = if state.sample.is_some() { "no connections" } else { "waiting for the first answer" };
        frame.render_widget(Line::from(what).dim(), Rect { y: area.y + 1, height: 1, ..area });
    }
}

fn aligned(column: &Column, text: String) -> Cell<'static> {
    let alignment = if column.is_right { Alignment::Right } else { Alignment::Left };
    Cell::from(Text::from(text).alignment(alignment))
}

fn bottom_line(state: &State) -> Line<'static> {
    match &state.status {
        Status::Quiet => Line::from(format!("by {}  {KEYS}", state.sort.name())).dim(),
        Status::Note(note) => Line::from(note.clone()).cyan(),
        Status::Error(error) => Line::from(error.clone()).red(),
    }
}

/// A box in the middle, over everything else.
fn draw_box(frame: &mut Frame<'_>, title: &'static str, text: &str) {
    let area = frame.area();
    let wanted = text.lines().map(|line| line.chars().count()).max().unwrap_or_default() as u16 + 4;
    let width = wanted.min(area.width);
    let height = (text.lines().count() as u16 + 2).min(area.height);
    let area = area.centered(Constraint::Length(width), Constraint::Length(height));
    let text = Paragraph::new(text.to_owned()).wrap(Wrap { trim: false });
    frame.render_widget(Clear, area);
    frame.render_widget(text.block(Block::bordered().title(title)), area);
}

#[cfg(test)]
mod tests;
