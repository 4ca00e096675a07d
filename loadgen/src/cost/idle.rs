//! `loadgen cost --idle`: what an idle connection holds in the server, without compression and with it, before and after
//! it has compressed a large message.
//! Invariant: a figure per connection is a slope between a tenth of the connections and all of them, so what the server
//! holds once for all is not in it.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::compression::{self, Parameters, Zlib};
use super::error::Error;
use super::opening;
use super::wire::{self, FIN_TEXT, Protocol, RSV1};
use crate::sample;
use crate::systems::Compression;

/// The message that every connection has echoed.
const MESSAGE_BYTES: usize = 64 * 1024;
/// How long connections rest before the last look.
const REST: Duration = Duration::from_secs(10);
/// Version of the JSON, counted up when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// What the connections hold in each mode of compression.
#[derive(Debug, Serialize)]
pub(crate) struct IdleReport {
    schema: u32,
    profile: String,
    connections: u32,
    message_bytes: usize,
    modes: Vec<Mode>,
}

/// The figures of a mode, in bytes of resident memory.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Mode {
    compression: Compression,
    /// Of a connection that was opened and never used.
    idle_bytes: i64,
    /// The same after an echo of the message.
    echoed_bytes: i64,
    /// The same after a rest.
    rested_bytes: i64,
    /// What came with the first echoes, however many followed.
    shard_bytes: i64,
}

/// Opens so many connections to one server after the other and has each echo one message.
///
/// # Errors
/// When a server does not start, answers wrongly or does not show its memory.
pub(crate) fn measure(connections: u32, profile: &str) -> Result<IdleReport, Error> {
    let modes = [Compression::Off, Compression::Shared, Compression::Dedicated];
    let modes = modes.into_iter().map(|compression| measure_mode(compression, connections));
    Ok(IdleReport {
        schema: SCHEMA,
        profile: profile.into(),
        connections,
        message_bytes: MESSAGE_BYTES,
        modes: modes.collect::<Result<_, _>>()?,
    })
}

fn measure_mode(compression: Compression, connections: u32) -> Result<Mode, Error> {
    eprintln!("measuring {} …", compression.name());
    let server = compression::start(compression, connections)?;
    let resident = || {
        sample::rss_bytes(server.pid)
            .ok_or_else(|| Error::new(format!("/proc/{}/smaps_rollup tells no memory", server.pid)))
    };
    let (request, first_byte) = request(compression)?;
    let echo = |streams: &mut [TcpStream]| {
        streams.iter_mut().try_for_each(|stream| opening::exchange(stream, &request, first_byte).map(drop))
    };
    let mut streams = Vec::with_capacity(connections as usize);
    let tenth = connections as usize / 10;
    let open_to = |streams: &mut Vec<TcpStream>, count: usize| {
        while streams.len() < count {
            streams.push(opening::connect(server.addr, Protocol::WebSocket(compression))?);
        }
        resident()
    };
    let opened = [open_to(&mut streams, tenth)?, open_to(&mut streams, connections as usize)?];
    let (first, others) = streams.split_at_mut(tenth);
    echo(first)?;
    let first_echoed = resident()?;
    echo(others)?;
    let all_echoed = resident()?;
    thread::sleep(REST);
    let figures = Figures { opened, first_echoed, all_echoed, rested: resident()? };
    Ok(figures.mode(compression, tenth, connections as usize))
}

/// What a connection sends, and how the reply begins.
fn request(compression: Compression) -> Result<(Vec<u8>, u8), Error> {
    let message = compression::message(MESSAGE_BYTES);
    if compression == Compression::Off {
        return Ok((wire::masked_frame(FIN_TEXT, &message), FIN_TEXT));
    }
    let mut zlib = Zlib::new(Parameters::new(compression), MESSAGE_BYTES);
    Ok((compression::frame_alone(&mut zlib, &message)?, FIN_TEXT | RSV1))
}

/// The resident memory of the server, in bytes.
struct Figures {
    /// With a tenth of the connections open, and with all.
    opened: [u64; 2],
    /// When a tenth has echoed.
    first_echoed: u64,
    /// When all have.
    all_echoed: u64,
    /// After a rest.
    rested: u64,
}

impl Figures {
    fn mode(&self, compression: Compression, tenth: usize, connections: usize) -> Mode {
        let others = (connections - tenth) as f64;
        let slope = |from: u64, to: u64| (to as f64 - from as f64) / others;
        let idle = slope(self.opened[0], self.opened[1]);
        let echo = slope(self.first_echoed, self.all_echoed);
        let first_growth = self.first_echoed as f64 - self.opened[1] as f64;
        Mode {
            compression,
            idle_bytes: idle.round() as i64,
            echoed_bytes: (idle + echo).round() as i64,
            rested_bytes: (idle + slope(self.first_echoed, self.rested)).round() as i64,
            shard_bytes: (first_growth - echo * tenth as f64).round() as i64,
        }
    }
}

impl IdleReport {
    /// The table: a row per mode.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
            format!("{} connections", self.connections),
            "idle, B/connection".into(),
            format!("after an echo of {} KiB", self.message_bytes / 1024),
            format!("{} s later", REST.as_secs()),
            "once per shard, B".into(),
        ]);
        for mode in &self.modes {
            let Mode { compression, idle_bytes, echoed_bytes, rested_bytes, shard_bytes } = mode;
            let figures = [idle_bytes, echoed_bytes, rested_bytes, shard_bytes].map(ToString::to_string);
            table.add_row(std::iter::once(compression.name().to_owned()).chain(figures));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shard_holds_once_is_not_in_the_figures_of_a_connection() {
        let figures = Figures {
            opened: [1_000_000, 1_000_000 + 900 * 80],
            // 100 connections that took 8 each, and 300,000 once.
            first_echoed: 1_072_000 + 300_000 + 100 * 8,
            all_echoed: 1_072_000 + 300_000 + 1_000 * 8,
            rested: 1_072_000 + 300_000 + 100 * 8,
        };
        let expected = Mode {
            compression: Compression::Shared,
            idle_bytes: 80,
            echoed_bytes: 88,
            rested_bytes: 80,
            shard_bytes: 300_000,
        };
        assert_eq!(figures.mode(Compression::Shared, 100, 1_000), expected);
    }

    #[test]
    fn memory_that_is_given_back_counts_against_the_connections() {
        let figures = Figures { opened: [0, 900], first_echoed: 10_000, all_echoed: 10_000, rested: 9_100 };
        let mode = figures.mode(Compression::Off, 100, 1_000);
        assert_eq!((mode.idle_bytes, mode.echoed_bytes, mode.rested_bytes), (1, 1, 0));
    }

    #[test]
    fn the_request_is_compressed_where_that_was_agreed_on() {
        let (plain, first_byte) = request(Compression::Off).unwrap();
        assert_eq!((plain[0], first_byte), (FIN_TEXT, FIN_TEXT));
        for compression in [Compression::Shared, Compression::Dedicated] {
            let (compressed, first_byte) = request(compression).unwrap();
            assert_eq!((compressed[0], first_byte), (0xc1, 0xc1));
            assert!(compressed.len() < plain.len() / 2);
        }
    }
}
