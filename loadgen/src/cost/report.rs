//! What `loadgen cost` tells: a table for people and JSON with every block.
//! Invariant: a ratio compares two blocks of the same round, never two medians.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::blocks::Block;
use super::cases::Case;
use super::stats::Summary;

/// Version of the JSON, counted up when a field changes its meaning or goes.
const SCHEMA: u32 = 2;
/// Below this median share of the core, something else ran and the figures deserve a second look.
const CORE_SHARE_MIN: f64 = 0.9;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    command: String,
    core: usize,
    congestion_control: String,
    profile: String,
    rounds: u32,
    block_ms: u64,
    /// The systems whose sum ratios refer to.
    ratio_to: Vec<String>,
    cases: Vec<CaseReport>,
}

/// The figures of a case.
#[derive(Debug, Serialize)]
struct CaseReport {
    case: String,
    connections: u32,
    payload_bytes: usize,
    pipelined: usize,
    /// Mean payload of a frame, where messages were compressed.
    compressed_bytes: Option<f64>,
    systems: Vec<SystemReport>,
}

/// The figures of a system in a case; `None` where no block was kept.
#[derive(Debug, Serialize)]
struct SystemReport {
    name: String,
    server_cpu_us_per_message: Option<Summary>,
    ratio: Option<Summary>,
    client_cpu_us_per_message: Option<Summary>,
    core_share: Option<Summary>,
    blocks_discarded: usize,
    blocks: Vec<Block>,
}

/// Under what circumstances a run took place.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// The core of client and servers.
    pub(crate) core: usize,
    /// The congestion control of all sockets.
    pub(crate) congestion_control: String,
    /// How this program was compiled.
    pub(crate) profile: String,
    /// Blocks of each system.
    pub(crate) rounds: u32,
    /// Length of a block.
    pub(crate) block_ms: u64,
}

impl Report {
    /// A report without cases, with ratios to the sum of the systems `ratio_to`.
    pub(crate) fn new(circumstances: Circumstances, ratio_to: &[&str]) -> Self {
        let Circumstances { core, congestion_control, profile, rounds, block_ms } = circumstances;
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        Self {
            schema: SCHEMA,
            command,
            core,
            congestion_control,
            profile,
            rounds,
            block_ms,
            ratio_to: ratio_to.iter().map(ToString::to_string).collect(),
            cases: Vec::new(),
        }
    }

    /// Adds a case: for each name the blocks of that system, and the mean payload of a frame if it was compressed.
    pub(crate) fn add(
        &mut self,
        case: Case,
        systems: Vec<(String, Vec<Block>)>,
        compressed_bytes: Option<f64>,
    ) {
        let blocks_of = |wanted: &String| {
            systems.iter().find(|(name, _)| name == wanted).map(|(_, blocks)| blocks.clone())
        };
        let divisor: Option<Vec<Vec<Block>>> = self.ratio_to.iter().map(blocks_of).collect();
        let systems = systems
            .into_iter()
            .map(|(name, blocks)| SystemReport::new(name, blocks, divisor.as_deref()))
            .collect();
        let Case { connections, payload_bytes, pipelined } = case;
        self.cases.push(CaseReport {
            case: case.to_string(),
            connections,
            payload_bytes,
            pipelined,
            compressed_bytes,
            systems,
        });
    }

    /// The circumstances in one line.
    pub(crate) fn headline(&self) -> String {
        format!(
            "server and client on core {}, {} congestion control, {} build, {} rounds of {} ms",
            self.core, self.congestion_control, self.profile, self.rounds, self.block_ms
        )
    }

    /// The table: a row per case and system.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
            "case",
            "system",
            "server µs/msg",
            &format!("/ {}", self.ratio_to.join(" + ")),
            "quartiles",
            "client µs/msg",
            "core share",
            "discarded",
        ]);
        for case in &self.cases {
            for system in &case.systems {
                table.add_row(system.row(&case.case));
            }
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// For each case with compression how much shorter that made the messages, in a line.
    pub(crate) fn sizes(&self) -> Vec<String> {
        let line = |case: &CaseReport| {
            let compressed = case.compressed_bytes?;
            let share = 100.0 * compressed / case.payload_bytes as f64;
            let CaseReport { case, payload_bytes, .. } = case;
            Some(format!("{case}: {payload_bytes} bytes are compressed to {compressed:.0} ({share:.0} %)"))
        };
        self.cases.iter().filter_map(line).collect()
    }

    /// What to distrust, a line each: the worst of every kind.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let figures =
            || self.cases.iter().flat_map(|case| case.systems.iter().map(move |system| (case, system)));
        let stolen = figures().filter(|(_, system)| 2 * system.blocks_discarded > system.blocks.len());
        let stolen = stolen.max_by_key(|(_, system)| system.blocks_discarded).map(|(case, system)| {
            format!(
                "{} of {} blocks lost time to the hypervisor ({}, case {}): measure again on a quieter machine",
                system.blocks_discarded,
                system.blocks.len(),
                system.name,
                case.case
            )
        });
        let shares = figures().filter_map(|(case, system)| Some((system.core_share?.median, case, system)));
        let shared = shares.filter(|(share, ..)| *share < CORE_SHARE_MIN).min_by(|a, b| a.0.total_cmp(&b.0));
        let shared = shared.map(|(share, case, system)| {
            format!(
                "server and client had only {:.0} % of core {} ({}, case {}): stop what else runs there",
                share * 100.0,
                self.core,
                system.name,
                case.case
            )
        });
        stolen.into_iter().chain(shared).collect()
    }
}

impl SystemReport {
    fn new(name: String, blocks: Vec<Block>, divisor: Option<&[Vec<Block>]>) -> Self {
        let kept = || blocks.iter().filter(|block| block.is_kept());
        Self {
            server_cpu_us_per_message: Summary::of(kept().map(Block::server_cpu_us_per_message)),
            client_cpu_us_per_message: Summary::of(kept().map(Block::client_cpu_us_per_message)),
            core_share: Summary::of(kept().map(Block::core_share)),
            ratio: divisor.and_then(|divisor| Summary::of(ratios(&blocks, divisor))),
            blocks_discarded: blocks.len() - kept().count(),
            name,
            blocks,
        }
    }

    fn row(&self, case: &str) -> Vec<Cell> {
        let median = |summary: Option<Summary>, decimals: usize| {
            summary.map_or_else(|| "-".into(), |summary| format!("{:.decimals$}", summary.median))
        };
        let quartiles = self.ratio.map(|ratio| format!("{:.3}–{:.3}", ratio.p25, ratio.p75));
        vec![
            Cell::new(case),
            Cell::new(&self.name),
            Cell::new(median(self.server_cpu_us_per_message, 3)),
            Cell::new(median(self.ratio, 3)),
            Cell::new(quartiles.unwrap_or_else(|| "-".into())),
            Cell::new(median(self.client_cpu_us_per_message, 3)),
            Cell::new(median(self.core_share, 2)),
            Cell::new(self.blocks_discarded),
        ]
    }
}

/// For each round in which all blocks were kept: server time per message over the sum of that of the divisor's systems.
fn ratios(blocks: &[Block], divisor: &[Vec<Block>]) -> impl Iterator<Item = f64> {
    blocks.iter().enumerate().filter_map(|(round, block)| {
        let divisor_us: Option<f64> = divisor
            .iter()
            .map(|blocks| {
                blocks.get(round).filter(|block| block.is_kept()).map(Block::server_cpu_us_per_message)
            })
            .sum();
        Some(block.server_cpu_us_per_message() / divisor_us?).filter(|_| block.is_kept())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of 100 messages at `us_per_message`.
    fn block(us_per_message: u64, stolen_ns: u64) -> Block {
        let server_cpu_ns = us_per_message * 100_000;
        Block {
            messages: 100,
            wall_ns: 2 * server_cpu_ns,
            server_cpu_ns,
            client_cpu_ns: server_cpu_ns,
            stolen_ns,
        }
    }

    fn report(systems: Vec<(String, Vec<Block>)>) -> Report {
        report_to(&["raw"], systems)
    }

    fn report_to(ratio_to: &[&str], systems: Vec<(String, Vec<Block>)>) -> Report {
        let circumstances = Circumstances {
            core: 1,
            congestion_control: "cubic".into(),
            profile: "release".into(),
            rounds: 3,
            block_ms: 250,
        };
        let mut report = Report::new(circumstances, ratio_to);
        report.add("64x20".parse().unwrap(), systems, Some(5.0));
        report
    }

    #[test]
    fn ratios_compare_the_blocks_of_a_round() {
        let ours = vec![block(6, 0), block(12, 0), block(22, 0)];
        let raw = vec![block(5, 0), block(10, 0), block(20, 0)];
        let report = report(vec![("ours".into(), ours), ("raw".into(), raw)]);
        let ratio = report.cases[0].systems[0].ratio.unwrap();
        assert_eq!((ratio.median, ratio.p75), (1.2, 1.2));
        assert_eq!(report.cases[0].systems[1].ratio.unwrap().median, 1.0);
    }

    #[test]
    fn a_round_in_which_either_block_was_stolen_from_gives_no_ratio() {
        let ours = vec![block(6, 0), block(99, 0), block(99, 1_000_000_000)];
        let raw = vec![block(5, 0), block(5, 1_000_000_000), block(5, 0)];
        let report = report(vec![("ours".into(), ours), ("raw".into(), raw)]);
        let system = &report.cases[0].systems[0];
        assert_eq!(system.ratio.unwrap(), Summary { median: 1.2, p25: 1.2, p75: 1.2 });
        assert_eq!(system.blocks_discarded, 1);
    }

    #[test]
    fn without_raw_there_are_figures_but_no_ratios() {
        let report = report(vec![("ours".into(), vec![block(6, 0)])]);
        let system = &report.cases[0].systems[0];
        assert_eq!(system.server_cpu_us_per_message.unwrap().median, 6.0);
        assert_eq!(system.ratio, None);
    }

    #[test]
    fn a_ratio_to_two_systems_is_one_to_their_sum_in_the_same_round() {
        let ours = vec![block(12, 0), block(24, 0), block(99, 0)];
        let plain = vec![block(6, 0), block(12, 0), block(5, 1_000_000_000)];
        let zlib = vec![block(4, 0), block(8, 0), block(5, 0)];
        let systems = vec![("ours".into(), ours), ("plain".into(), plain), ("zlib".into(), zlib)];
        let report = report_to(&["plain", "zlib"], systems);
        let ratio = |system: usize| report.cases[0].systems[system].ratio.unwrap().median;
        assert_eq!([ratio(0), ratio(1), ratio(2)], [1.2, 0.6, 0.4]);
        assert!(report.table().to_string().contains("/ plain + zlib"));
    }

    #[test]
    fn a_size_is_told_with_its_share_of_the_message() {
        assert_eq!(report(Vec::new()).sizes(), ["64x20: 20 bytes are compressed to 5 (25 %)"]);
    }

    #[test]
    fn the_most_shared_core_and_the_most_stolen_blocks_are_warned_of() {
        let shared = Block { wall_ns: 10_000_000_000, ..block(5, 0) };
        let stolen = block(5, 1_000_000_000);
        let report = report(vec![
            ("calm".into(), vec![block(5, 0)]),
            ("crowded".into(), vec![shared]),
            ("stolen".into(), vec![stolen, stolen]),
        ]);
        let warnings = report.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("2 of 2 blocks") && warnings[0].contains("(stolen, case 64x20)"));
        assert!(warnings[1].contains("only 0 % of core 1 (crowded, case 64x20)"), "{warnings:?}");
    }

    #[test]
    fn the_json_carries_the_schema_and_every_block() {
        let report = report(vec![("raw".into(), vec![block(5, 0), block(5, 0)])]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["schema"], 2);
        assert_eq!(json["ratio_to"][0], "raw");
        assert_eq!(json["cases"][0]["case"], "64x20");
        assert_eq!(json["cases"][0]["systems"][0]["server_cpu_us_per_message"]["median"], 5.0);
        assert_eq!(json["cases"][0]["systems"][0]["blocks"].as_array().unwrap().len(), 2);
    }
}
