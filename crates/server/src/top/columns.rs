//! The columns of the table, and which of them a width has room for.
//!
//! Invariant: the id is always there, because it is what a connection is closed by; and no cell holds a character that a
//! terminal obeys.

use super::format;
use crate::admin::wire::ConnectionRow;
use crate::escape::escaped;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// What it is given at least.
    pub(super) width: u16,
    /// It takes a share of what is left over.
    pub(super) grows: bool,
    /// It is a number.
    pub(super) is_right: bool,
    /// The higher, the earlier it is left out.
    rank: u8,
    cell: fn(&ConnectionRow) -> String,
}

/// All of them, in the order of the screen.
const ALL: [Column; 9] = [
    column("ID", 12, 0, |row| escaped(&row.id)).growing(),
    column("CLIENT", 15, 1, |row| escaped(&row.client)).growing(),
    column("PATH", 12, 4, |row| escaped(&row.path)).growing(),
    column("SUBPROTOCOL", 11, 8, |row| escaped(&row.subprotocol)).growing(),
    column("AGE", 7, 5, |row| format::age(row.age_ms)).right(),
    column("MSG/S", 7, 3, |row| format::count(row.messages_per_s.into())).right(),
    column("BUFFERED", 9, 2, |row| format::bytes(row.buffered_bytes as u64)).right(),
    column("UNSENT", 9, 6, |row| or_dash(row.unsent_bytes, format::bytes)).right(),
    column("RTT", 7, 7, |row| or_dash(row.rtt_us, format::micros)).right(),
];

const fn column(title: &'static str, width: u16, rank: u8, cell: fn(&ConnectionRow) -> String) -> Column {
    Column { title, width, grows: false, is_right: false, rank, cell }
}

fn or_dash(value: Option<u32>, show: fn(u64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), |value| show(value.into()))
}

impl Column {
    const fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    const fn right(mut self) -> Self {
        self.is_right = true;
        self
    }

    /// What it shows of `row`.
    pub(super) fn cell(&self, row: &ConnectionRow) -> String {
        (self.cell)(row)
    }
}

/// The columns that `width` has room for, with a blank between two.
pub(super) fn that_fit(width: u16) -> Vec<Column> {
    let mut columns = ALL.to_vec();
    let needed = |columns: &[Column]| columns.iter().map(|column| column.width + 1).sum::<u16>() - 1;
    while columns.len() > 1 && needed(&columns) > width {
        let last = columns.iter().map(|column| column.rank).max();
        columns.retain(|column| Some(column.rank) != last);
    }
    columns
}

/// Every column.
pub(super) const fn all() -> [Column; ALL.len()] {
    ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: u16) -> Vec<&'static str> {
        that_fit(width).iter().map(|column| column.title).collect()
    }

    #[test]
    fn the_less_room_there_is_the_fewer_columns_are_shown_and_the_id_stays() {
        assert_eq!(titles(97), ALL.map(|column| column.title));
        assert_eq!(titles(96).len(), 8);
        assert_eq!(titles(60), ["ID", "CLIENT", "PATH", "MSG/S", "BUFFERED"]);
        assert_eq!(titles(30), ["ID", "CLIENT"]);
        assert_eq!((titles(5), titles(0)), (vec!["ID"], vec!["ID"]));
    }

    #[test]
    fn no_cell_holds_what_a_terminal_obeys() {
        let hostile = "\u{1b}[2J\u{9b}31m\r\n\u{202e}".to_owned();
        let row = ConnectionRow {
            id: hostile.clone(),
            client: hostile.clone(),
            path: hostile.clone(),
            subprotocol: hostile,
            ..ConnectionRow::default()
        };
        for column in all() {
            let cell = column.cell(&row);
            assert_eq!(escaped(&cell), cell, "{}", column.title);
        }
    }
}
