//! From what was measured to what is reported: rates, slopes, and where the figures are to be doubted.
//!
//! Invariant: nothing here measures; the same findings always give the same report.

use std::time::Duration;

use crate::plan::Plan;
use crate::record::Tally;
use crate::report::{self, Generator, Idle, Paced, Saturated, SystemReport};

/// A generator that is later than this at its 99th percentile has measured itself.
const LAG_US_MAX: u64 = 10_000;

/// Below this share of the offered rate, the paced phase was another one than asked for.
const ACHIEVED_SHARE_MIN: f64 = 0.99;

/// Above this share of its cores a process counts as busy.
const BUSY_SHARE: f64 = 0.9;

/// Fewer connections than this do not give a slope.
const SLOPE_CONNECTIONS_MIN: u64 = 500;

/// A phase and what it cost.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What the workers counted.
    pub(crate) tally: Tally,
    /// How long it took, stragglers included.
    pub(crate) wall: Duration,
    /// CPU time of the server, if it was started here.
    pub(crate) server_cpu_ns: Option<u64>,
    /// CPU time of this process.
    pub(crate) generator_cpu_ns: Option<u64>,
}

/// Memory at one number of open connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemorySample {
    /// Open connections.
    pub(crate) connections: u64,
    /// Resident memory of the server.
    pub(crate) rss_bytes: Option<u64>,
    /// Slab memory of the kernel for connections.
    pub(crate) kernel_bytes: Option<u64>,
}

/// Everything that was measured of one system.
#[derive(Debug)]
pub(crate) struct Findings {
    /// What was counted in all phases together.
    pub(crate) total: Tally,
    /// How long opening the connections took.
    pub(crate) ramp: Duration,
    /// Memory with the first part of the connections, with all, and after the echo.
    pub(crate) memory: [MemorySample; 3],
    /// The open loop.
    pub(crate) paced: Measured,
    /// The closed loop.
    pub(crate) saturated: Measured,
    /// Connections of the closed loop.
    pub(crate) saturated_connections: u32,
}

/// What the run was asked to do, as far as the report repeats or judges it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// How the connections were dealt out.
    pub(crate) plan: Plan,
    /// Cores of the machine.
    pub(crate) cores: usize,
    /// Offered rate of the paced phase.
    pub(crate) rate_per_s: u64,
    /// Length of each measuring phase.
    pub(crate) duration: Duration,
}

impl Findings {
    /// The report on the system `name`.
    pub(crate) fn report(&self, name: &str, setting: &Setting) -> SystemReport {
        let (paced, saturated) = (&self.paced, &self.saturated);
        SystemReport {
            name: name.to_owned(),
            opened: self.total.opened,
            failed: self.total.failures.total(),
            failures: report::by_name(&self.total.failures),
            connects_per_s: report::per_second(self.total.opened, self.ramp),
            handshake_us: (&self.total.handshake).into(),
            idle: idle(self.memory),
            paced: Paced {
                rate: setting.rate_per_s,
                messages: paced.tally.messages,
                latency_us: (&paced.tally.latency).into(),
                server_cpu_us_per_message: report::cpu_us_per_message(paced.server_cpu_ns, &paced.tally),
            },
            saturated: Saturated {
                connections: self.saturated_connections,
                messages_per_s: report::per_second(saturated.tally.received_in_time, setting.duration),
                server_cpu_us_per_message: report::cpu_us_per_message(
                    saturated.server_cpu_ns,
                    &saturated.tally,
                ),
            },
            messages: self.total.messages,
            closed_cleanly: self.total.closed_cleanly,
            generator: self.generator(setting),
            warnings: self.warnings(setting),
        }
    }

    fn generator(&self, setting: &Setting) -> Generator {
        let (paced, saturated) = (&self.paced, &self.saturated);
        Generator {
            workers: setting.plan.workers,
            paced_messages_per_s: report::per_second(paced.tally.messages.sent, setting.duration),
            lag_us: (&paced.tally.lag).into(),
            paced_cpu_us_per_message: report::cpu_us_per_message(paced.generator_cpu_ns, &paced.tally),
            saturated_cpu_us_per_message: report::cpu_us_per_message(
                saturated.generator_cpu_ns,
                &saturated.tally,
            ),
        }
    }

    /// Where the generator, not the server, made the figures.
    fn warnings(&self, setting: &Setting) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(lag_us) = self.paced.tally.lag.quantile_us(0.99).filter(|&lag_us| lag_us > LAG_US_MAX) {
            warnings.push(format!(
                "the generator was {lag_us} µs late at its 99th percentile, more than {LAG_US_MAX}: the latencies are \
                 its own; lower --rate"
            ));
        }
        let offered = setting.rate_per_s as f64 * setting.duration.as_secs_f64();
        let achieved = self.paced.tally.messages.sent as f64 / offered;
        if achieved < ACHIEVED_SHARE_MIN {
            warnings.push(format!(
                "only {:.1} % of the offered messages were sent, less than {:.0} %: lower --rate or look at the \
                 failed connections",
                achieved * 100.0,
                ACHIEVED_SHARE_MIN * 100.0
            ));
        }
        for (phase, measured) in [("paced", &self.paced), ("saturated", &self.saturated)] {
            let generator =
                busy_share(measured, measured.generator_cpu_ns, setting.plan.workers, setting.cores);
            let server = busy_share(measured, measured.server_cpu_ns, setting.plan.shards, setting.cores);
            if generator > Some(BUSY_SHARE) && server < Some(BUSY_SHARE) {
                warnings.push(format!(
                    "in the {phase} phase the generator used more than {:.0} % of its cores and the server less: the \
                     rate is the generator's",
                    BUSY_SHARE * 100.0
                ));
            }
        }
        warnings
    }
}

/// CPU time as a share of what `threads` could have used on `cores` in the time of the phase.
fn busy_share(measured: &Measured, cpu_ns: Option<u64>, threads: u32, cores: usize) -> Option<f64> {
    let usable = f64::from(threads).min(cores as f64);
    cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e9 / measured.wall.as_secs_f64() / usable)
}

/// Memory per connection. What the echo leaves behind is added per connection to the idle slope: it concerns all
/// connections, while the slope is taken between two numbers of them.
fn idle([first, all, echoed]: [MemorySample; 3]) -> Idle {
    let rss_slope = slope(&first, &all, |sample| sample.rss_bytes);
    let left_behind = growth(&all, &echoed, |sample| sample.rss_bytes)
        .zip(i64::try_from(all.connections).ok().filter(|&connections| connections > 0))
        .map(|(bytes, connections)| bytes / connections);
    Idle {
        rss_bytes: all.rss_bytes,
        rss_bytes_per_conn: rss_slope,
        rss_after_echo_bytes_per_conn: rss_slope.zip(left_behind).map(|(idle, echo)| idle + echo),
        kernel_bytes_per_conn: slope(&first, &all, |sample| sample.kernel_bytes),
    }
}

fn growth(from: &MemorySample, to: &MemorySample, bytes: fn(&MemorySample) -> Option<u64>) -> Option<i64> {
    Some(i64::try_from(bytes(to)?).ok()? - i64::try_from(bytes(from)?).ok()?)
}

/// Bytes per connection between two samples; `None` if they are too close for the noise of either.
fn slope(from: &MemorySample, to: &MemorySample, bytes: fn(&MemorySample) -> Option<u64>) -> Option<i64> {
    let connections = to.connections.checked_sub(from.connections)?;
    if connections < SLOPE_CONNECTIONS_MIN {
        return None;
    }
    Some(growth(from, to, bytes)? / i64::try_from(connections).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: Setting = Setting {
        plan: Plan { connections: 1_000, workers: 2, shards: 2, table_connections_max: 18_000 },
        cores: 2,
        rate_per_s: 100,
        duration: Duration::from_secs(1),
    };

    fn measured(sent: u64) -> Measured {
        let mut tally = Tally::new();
        tally.messages.sent = sent;
        tally.messages.received = sent;
        tally.received_in_time = sent;
        Measured {
            tally,
            wall: Duration::from_secs(1),
            server_cpu_ns: Some(500_000_000),
            generator_cpu_ns: Some(500_000_000),
        }
    }

    fn sample(connections: u64, kib: u64) -> MemorySample {
        MemorySample { connections, rss_bytes: Some(kib * 1024), kernel_bytes: None }
    }

    fn findings() -> Findings {
        Findings {
            total: Tally::new(),
            ramp: Duration::from_secs(1),
            memory: [sample(200, 3_000), sample(1_000, 3_800), sample(1_000, 4_800)],
            paced: measured(100),
            saturated: measured(100),
            saturated_connections: 1_000,
        }
    }

    #[test]
    fn bytes_per_idle_connection_are_a_slope_and_leave_the_base_out() {
        let idle = findings().report("x", &SETTING).idle;
        assert_eq!(idle.rss_bytes, Some(3_800 * 1_024));
        assert_eq!(idle.rss_bytes_per_conn, Some(1_024));
        assert_eq!(idle.rss_after_echo_bytes_per_conn, Some(1_024 + 1_024));
        assert_eq!(idle.kernel_bytes_per_conn, None);
    }

    #[test]
    fn too_few_connections_give_no_slope() {
        let mut findings = findings();
        findings.memory[1].connections = 699;
        assert_eq!(findings.report("x", &SETTING).idle.rss_bytes_per_conn, None);
    }

    #[test]
    fn a_run_without_trouble_has_no_warnings() {
        assert_eq!(findings().report("x", &SETTING).warnings, [""; 0]);
    }

    #[test]
    fn a_late_generator_is_warned_of() {
        let mut findings = findings();
        findings.paced.tally.lag.record_ns(20_000_000);
        let warnings = findings.report("x", &SETTING).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("late"), "{warnings:?}");
    }

    #[test]
    fn a_rate_that_was_not_reached_is_warned_of() {
        let mut findings = findings();
        findings.paced = measured(98);
        let warnings = findings.report("x", &SETTING).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("98.0 %"), "{warnings:?}");
    }

    #[test]
    fn a_busy_generator_beside_an_idle_server_is_warned_of() {
        let mut findings = findings();
        findings.saturated.generator_cpu_ns = Some(1_900_000_000);
        assert!(findings.report("x", &SETTING).warnings[0].contains("saturated"));
        findings.saturated.server_cpu_ns = Some(1_900_000_000);
        assert_eq!(findings.report("x", &SETTING).warnings, [""; 0]);
    }

    #[test]
    fn stragglers_do_not_count_into_the_saturated_rate() {
        let mut findings = findings();
        findings.saturated.tally.received_in_time = 90;
        assert_eq!(findings.report("x", &SETTING).saturated.messages_per_s, 90.0);
    }
}
