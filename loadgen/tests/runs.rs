//! Whole runs of the program: the exit code and the counts in its JSON tell the truth about the server.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;

use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

/// Runs the program with `arguments` and `--json`; `name` keeps the files of the tests apart.
fn loadgen(name: &str, arguments: &[&str]) -> (ExitStatus, Option<Value>) {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let _ = std::fs::remove_file(&json);
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(arguments)
        .args(["--duration", "1", "--rate", "500", "--json"])
        .arg(&json)
        .output()
        .expect("the program runs");
    print!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let report = std::fs::read(&json).ok().map(|text| serde_json::from_slice(&text).expect("valid JSON"));
    (output.status, report)
}

/// Serves each connection with `serve` on a thread of its own, until the test process ends.
fn server(serve: fn(&mut WebSocket<TcpStream>)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Ok(mut socket) = accept(stream) {
                    serve(&mut socket);
                }
            });
        }
    });
    address
}

fn test_url(name: &str, serve: fn(&mut WebSocket<TcpStream>)) -> (ExitStatus, Value) {
    let url = format!("ws://{}/", server(serve));
    let (status, report) = loadgen(name, &["--conns", "20", "--url", &url]);
    (status, report.expect("a report")["systems"][0].take())
}

fn count(system: &Value, name: &str) -> u64 {
    system["messages"][name].as_u64().expect("a count")
}

#[test]
fn fifty_connections_to_each_system_lose_nothing() {
    let (status, report) = loadgen("systems", &["--conns", "50"]);
    assert_eq!(status.code(), Some(0));
    let report = report.unwrap();
    assert_eq!((&report["schema"], &report["conns"]), (&1.into(), &50.into()));
    let names: Vec<_> = report["systems"].as_array().unwrap().iter().map(|system| &system["name"]).collect();
    assert_eq!(names, ["gannet", "tokio-tuned", "tokio"]);
    for system in report["systems"].as_array().unwrap() {
        assert_eq!((&system["opened"], &system["failed"]), (&50.into(), &0.into()));
        assert_eq!(system["closed_cleanly"], 50);
        assert_eq!((&system["paced"]["sent"], &system["paced"]["received"]), (&500.into(), &500.into()));
        assert_eq!(["lost", "duplicated", "reordered", "corrupted"].map(|name| count(system, name)), [0; 4]);
        assert!(system["paced"]["server_cpu_us_per_message"].as_f64() > Some(0.0));
        assert!(system["saturated"]["messages_per_s"].as_f64() > Some(0.0));
    }
}

#[test]
fn connections_that_the_server_drops_fail_the_run() {
    let (status, system) = test_url("drops", |socket| {
        // Leave with the message unanswered.
        let _ = socket.read();
    });
    assert_eq!(status.code(), Some(1));
    assert_eq!((&system["opened"], &system["failed"]), (&20.into(), &20.into()));
    assert_eq!((&system["failures"]["died"], &system["closed_cleanly"]), (&20.into(), &0.into()));
    assert_eq!((count(&system, "sent"), count(&system, "lost")), (20, 20));
}

#[test]
fn messages_that_come_twice_fail_the_run() {
    let (status, system) = test_url("twice", |socket| {
        while let Ok(message) = socket.read() {
            let copies = if matches!(message, Message::Binary(_)) { 2 } else { 0 };
            for _ in 0..copies {
                let _ = socket.send(message.clone());
            }
        }
    });
    assert_eq!(status.code(), Some(1));
    assert_eq!((count(&system, "lost"), count(&system, "reordered"), count(&system, "corrupted")), (0, 0, 0));
    assert_eq!(count(&system, "duplicated"), count(&system, "received"));
    assert_eq!((&system["failed"], &system["closed_cleanly"]), (&0.into(), &20.into()));
}

#[test]
fn a_server_that_was_not_started_here_has_no_process_figures() {
    let (status, system) = test_url("url", |socket| {
        while let Ok(message) = socket.read() {
            if message.is_binary() {
                let _ = socket.send(message);
            }
        }
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(system["name"], "url");
    assert!(system["idle"]["rss_bytes_per_conn"].is_null());
    assert!(system["paced"]["server_cpu_us_per_message"].is_null());
}

#[test]
fn a_run_that_cannot_fit_does_not_start() {
    let (status, report) = loadgen("shards", &["--conns", "4000000", "--shards", "1"]);
    assert_eq!((status.code(), report), (Some(2), None));
}

#[test]
fn a_url_of_another_scheme_does_not_start() {
    let (status, report) = loadgen("scheme", &["--conns", "1", "--url", "wss://127.0.0.1/"]);
    assert_eq!((status.code(), report), (Some(2), None));
}

#[test]
fn a_compressed_echo_is_measured_beside_the_plain_one_and_the_bare_calls() {
    for compression in ["shared", "dedicated"] {
        let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cost-{compression}.json"));
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["cost", "--compression", compression, "--cases", "4x1K,4x16K"])
            .args(["--rounds", "1", "--block-ms", "5", "--json"])
            .arg(&json)
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["ratio_to"], serde_json::json!(["plain", "zlib"]));
        for case in report["cases"].as_array().unwrap() {
            assert!(
                case["compressed_bytes"].as_f64().unwrap() < 0.7 * case["payload_bytes"].as_f64().unwrap()
            );
            let systems = case["systems"].as_array().unwrap();
            let names: Vec<_> = systems.iter().map(|system| &system["name"]).collect();
            assert_eq!(names, ["plain", "zlib", "gannet"]);
            assert!(systems.iter().all(|system| system["blocks"][0]["messages"].as_u64() > Some(0)));
        }
    }
}
