//! The names and the meaning of the JSON.

use super::*;

pub(crate) fn report(name: &str) -> SystemReport {
    let mut times = Times::new();
    times.record_ns(80_000);
    let messages = Messages { sent: 10, received: 10, lost: 0, duplicated: 0, reordered: 0, corrupted: 0 };
    SystemReport {
        name: name.to_owned(),
        opened: 5,
        failed: 0,
        failures: BTreeMap::new(),
        connects_per_s: 1_000.0,
        handshake_us: (&times).into(),
        idle: Idle {
            rss_bytes: Some(3_000_000),
            rss_bytes_per_conn: Some(6_912),
            rss_after_echo_bytes_per_conn: Some(7_000),
            kernel_bytes_per_conn: Some(8_500),
        },
        paced: Paced {
            rate: 10,
            messages,
            latency_us: (&times).into(),
            server_cpu_us_per_message: Some(7.5),
        },
        saturated: Saturated {
            connections: 5,
            messages_per_s: 90_000.0,
            server_cpu_us_per_message: Some(6.0),
        },
        messages,
        closed_cleanly: 5,
        generator: Generator {
            workers: 1,
            paced_messages_per_s: 10.0,
            lag_us: (&times).into(),
            paced_cpu_us_per_message: None,
            saturated_cpu_us_per_message: None,
        },
        warnings: Vec::new(),
    }
}

fn run(system: SystemReport) -> RunReport {
    RunReport::new("loadgen --conns 5".to_owned(), Machine::read(), 5, vec![system])
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_has(value: &serde_json::Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "`{name}` is missing among {:?}", keys(value));
    }
}

#[test]
fn the_names_of_schema_1_are_kept() {
    let json = serde_json::to_value(run(report("tokio"))).unwrap();
    assert_eq!(json["schema"], 1);
    assert_has(&json, &["command", "machine", "conns", "systems"]);
    assert_has(&json["machine"], &["kernel", "cpu", "cores", "mem_bytes", "nofile", "profile"]);
    let system = &json["systems"][0];
    assert_has(system, &["name", "opened", "failed", "connects_per_s", "closed_cleanly", "generator"]);
    assert_has(&system["handshake_us"], &["p50", "p99"]);
    assert_has(&system["idle"], &["rss_bytes_per_conn", "kernel_bytes_per_conn"]);
    let paced = &system["paced"];
    assert_has(paced, &["rate", "sent", "received", "lost", "duplicated", "reordered", "corrupted"]);
    assert_has(paced, &["server_cpu_us_per_message"]);
    assert_has(&paced["latency_us"], &["p50", "p90", "p99", "p999", "max"]);
    assert_has(&system["saturated"], &["messages_per_s", "server_cpu_us_per_message"]);
}

#[test]
fn a_figure_that_was_not_measured_is_null() {
    let mut url = report("url");
    url.paced.server_cpu_us_per_message = None;
    let json = serde_json::to_value(run(url)).unwrap();
    assert!(json["systems"][0]["paced"]["server_cpu_us_per_message"].is_null());
}

#[test]
fn one_bad_message_or_connection_spoils_a_run() {
    assert!(run(report("tokio")).is_flawless());
    let spoilers: [fn(&mut SystemReport); 5] = [
        |system| system.failed = 1,
        |system| system.messages.lost = 1,
        |system| system.messages.duplicated = 1,
        |system| system.messages.reordered = 1,
        |system| system.messages.corrupted = 1,
    ];
    for spoil in spoilers {
        let mut system = report("tokio");
        spoil(&mut system);
        assert!(!run(system).is_flawless());
    }
}

#[test]
fn cpu_per_message_needs_both_a_time_and_messages() {
    let mut tally = Tally::new();
    assert_eq!(cpu_us_per_message(Some(1_000), &tally), None);
    tally.messages.received = 4;
    assert_eq!(cpu_us_per_message(Some(10_002), &tally), Some(2.501));
    assert_eq!(cpu_us_per_message(None, &tally), None);
}
