//! The admin listener of the finished binary, over its sockets.

#![allow(clippy::unwrap_used)] // reason: test code

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

const GANNET: &str = env!("CARGO_BIN_EXE_gannet");
const UPGRADE: &str = "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A running echo server with an admin listener; ended by force if a test fails.
struct Gannet {
    child: Child,
    address: String,
    admin: String,
    /// Kept open, so that the server can log.
    _stderr: Option<BufReader<ChildStderr>>,
}

impl Gannet {
    fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    fn start_at(admin: &str, arguments: &[&str]) -> Self {
        let mut child = spawn(&[&["--admin", admin], arguments].concat(), Stdio::piped());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("admin listener") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let admin = line.trim_end().rsplit('=').next().unwrap().to_owned();
        Self { address: address_of(&mut child), child, admin, _stderr: Some(stderr) }
    }

    fn get(&self, target: &str) -> (u16, String) {
        ask(&self.admin, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn close(&self, id: &str, query: &str) -> (u16, String) {
        let head =
            format!("POST /connections/{id}/close{query} HTTP/1.1\r\nHost: localhost\r\nX-Gannet: 1\r\n\r\n");
        ask(&self.admin, &head)
    }

    /// The only connection that is open.
    fn connection(&self) -> Value {
        let (status, body) = self.get("/connections");
        assert_eq!(status, 200, "{body}");
        let list: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(list["connections"].as_array().unwrap().len(), 1, "{body}");
        list["connections"][0].clone()
    }

    /// The sum of a metric over all shards.
    fn metric(&self, series: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let (name, label) = series.split_once('{').unwrap_or((series, ""));
        let is_it = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| {
                rest.starts_with(['{', ' ']) && rest.contains(label.trim_end_matches('}'))
            })
        };
        text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric is `value`; shards publish their counts every 250 ms.
    fn wait_for(&self, series: &str, value: f64) {
        while self.metric(series) != value {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Gannet {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(arguments: &[&str], stderr: Stdio) -> Child {
    let mut command = Command::new(GANNET);
    command.args(["echo", "--listen", "127.0.0.1:0"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap()
}

/// What the start line says.
fn address_of(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.split("ws://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Status and body of the answer to `request`.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    // The listener may answer before it has read everything.
    stream.write_all(request.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

fn echo_once(stream: &mut TcpStream) {
    stream.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"\x81\x02hi");
}

fn read_close(stream: &mut TcpStream) -> (u16, String) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x88);
    let mut reason = vec![0; usize::from(head[1]) - 2];
    stream.read_exact(&mut reason).unwrap();
    (u16::from_be_bytes([head[2], head[3]]), String::from_utf8(reason).unwrap())
}

fn run(arguments: &[&str]) -> Output {
    Command::new(GANNET).args(arguments).output().unwrap()
}

#[test]
fn what_was_served_is_counted() {
    let gannet = Gannet::start(&["--shards", "2"]);
    let mut stream = open(&gannet.address);
    (0..3).for_each(|_| echo_once(&mut stream));
    gannet.wait_for("gannet_messages_total{direction=\"received\"}", 3.0);
    gannet.wait_for("gannet_messages_total{direction=\"sent\"}", 3.0);
    gannet.wait_for("gannet_bytes_total{direction=\"received\"}", 24.0);
    gannet.wait_for("gannet_sessions", 1.0);
    gannet.wait_for("gannet_connections", 1.0);
    assert_eq!(gannet.metric("gannet_responses_total{status=\"101\"}"), 1.0);
    stream.write_all(b"\x88\x82\0\0\0\0\x0f\xa0").unwrap();
    assert_eq!(read_close(&mut stream), (4000, String::new()));
    drop(stream);
    gannet.wait_for("gannet_closes_total{code=\"other\"}", 1.0);
    gannet.wait_for("gannet_connections", 0.0);
    assert_eq!(ask(&gannet.address, "GET / HTTP/1.0\r\n\r\n").0 / 100, 4);
    gannet.wait_for("gannet_accepted_total", 2.0);
}

#[test]
fn an_open_connection_is_listed_and_closed_with_the_code_and_reason_given() {
    let gannet = Gannet::start(&[]);
    let mut stream = open(&gannet.address);
    let row = gannet.connection();
    assert_eq!(row["peer"], stream.local_addr().unwrap().to_string());
    assert!(row["rtt_us"].is_u64() && row["unsent_bytes"].is_u64(), "{row}");
    let id = row["id"].as_str().unwrap();
    assert_eq!(gannet.close(id, "?code=1008&reason=enough"), (202, "closing\n".to_owned()));
    assert_eq!(read_close(&mut stream), (1008, "enough".to_owned()));
    // It waits for the Close of the peer: there is nothing left to be closed.
    assert_eq!(gannet.close(id, ""), (404, format!("there is no connection {id}\n")));
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xf0").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(gannet.close(id, "").0, 404);
    assert_eq!(gannet.close("99-0-0", "").0, 404);
    assert_eq!(gannet.close("0-x-0", "").0, 400);
}

#[test]
fn a_drain_ends_readiness_and_not_health_and_the_listener_stays_until_the_end() {
    let mut gannet = Gannet::start(&[]);
    assert_eq!(gannet.get("/readyz"), (200, "serving\n".to_owned()));
    assert_eq!(gannet.get("/healthz"), (200, "healthy\n".to_owned()));
    let mut stream = open(&gannet.address);
    gannet.signal("TERM");
    assert_eq!(read_close(&mut stream).0, 1001);
    assert_eq!(gannet.get("/readyz"), (503, "draining\n".to_owned()));
    assert_eq!(gannet.get("/healthz"), (200, "draining\n".to_owned()));
    assert_eq!(gannet.metric("gannet_draining"), 1.0);
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
    assert_eq!(gannet.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_full_server_is_healthy_and_not_ready() {
    let gannet = Gannet::start(&["--shards", "1", "--max-connections", "1"]);
    let _held = open(&gannet.address);
    let (status, body) = gannet.get("/readyz");
    assert_eq!((status, &*body), (503, "full: 1 connections of at most 1\n"));
    assert_eq!(gannet.get("/healthz").0, 200);
}

#[test]
fn a_page_of_another_site_gets_nothing() {
    let gannet = Gannet::start(&[]);
    let rebound = "GET /connections HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(ask(&gannet.admin, rebound).0, 403);
    let form = "POST /connections/0-0-0/close HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
        Content-Length: 2\r\n\r\n{}";
    assert_eq!(ask(&gannet.admin, form).0, 403);
    let preflight =
        "OPTIONS /connections/0-0-0/close HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n";
    assert_eq!(ask(&gannet.admin, preflight).0, 405);
}

#[test]
fn requests_that_are_none_and_bodies_without_end_are_refused() {
    let gannet = Gannet::start(&[]);
    assert_eq!(ask(&gannet.admin, "no http\r\n\r\n").0, 400);
    let head = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert_eq!(ask(&gannet.admin, &head).0, 431);
    let body = "POST /connections/0-0-0/close HTTP/1.1\r\nHost: localhost\r\nX-Gannet: 1\r\nContent-Length: 16385\r\n\r\n";
    assert_eq!(ask(&gannet.admin, &format!("{body}{}", "x".repeat(16_385))).0, 413);
    assert_eq!(gannet.get("/connections?limit=0").0, 400);
    assert_eq!(gannet.get("/").0, 404);
    // Those who ask for nothing keep nobody else from asking.
    let _silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&gannet.admin).unwrap()).collect();
    assert_eq!(gannet.get("/healthz").0, 200);
}

#[test]
fn an_address_that_others_reach_needs_the_token_in_every_request_but_the_health_ones() {
    let gannet = Gannet::start_at("0.0.0.0:0", &["--admin-token", "secret"]);
    let port = gannet.admin.rsplit(':').next().unwrap();
    let address = format!("127.0.0.1:{port}");
    let get = |target: &str, field: &str| {
        ask(&address, &format!("GET {target} HTTP/1.1\r\nHost: any.example\r\n{field}\r\n")).0
    };
    assert_eq!(get("/metrics", ""), 401);
    assert_eq!(get("/metrics", "Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(get("/metrics", "Authorization: Bearer secret\r\n"), 200);
    assert_eq!((get("/healthz", ""), get("/readyz", "")), (200, 200));
    let once = run(&["top", "--once", "--admin", &address, "--admin-token", "secret"]);
    assert!(once.status.success());
    let refused = run(&["top", "--once", "--admin", &address]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("401"));
}

#[test]
fn an_admin_listener_that_cannot_be_is_refused_in_one_line_before_anything_is_served() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, word) in [(&*taken, "choose another one"), ("0.0.0.0:0", "token"), ("localhost", "--admin")]
    {
        let output = run(&["echo", "--listen", "127.0.0.1:0", "--admin", address]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(address) && text.contains(word), "{text}");
        assert_eq!((text.lines().count(), output.stdout.len()), (1, 0), "{text}");
    }
}

#[test]
fn lines_that_the_log_target_does_not_take_are_counted() {
    let admin = free_address();
    let full_disk = File::options().write(true).open("/dev/full").unwrap();
    let mut child = spawn(&["--admin", &admin], full_disk.into());
    let gannet = Gannet { address: address_of(&mut child), child, admin, _stderr: None };
    gannet.wait_for("gannet_log_lines_dropped_total", 1.0);
    echo_once(&mut open(&gannet.address));
}

#[test]
fn top_prints_the_connections_once_without_a_terminal() {
    let gannet = Gannet::start(&["--max-connections", "77"]);
    let mut stream = open(&gannet.address);
    echo_once(&mut stream);
    gannet.wait_for("gannet_sessions", 1.0);
    let output = run(&["top", "--once", "--admin", &gannet.admin]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(": serving, 1 of 77 connections, 1 open, 0 B buffered"), "{text}");
    let titles: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(titles, ["ID", "CLIENT", "PATH", "SUBPROTOCOL", "AGE", "MSG/S", "BUFFERED", "UNSENT", "RTT"]);
    let id = gannet.connection()["id"].as_str().unwrap().to_owned();
    assert!(lines[2].starts_with(&id) && lines.len() == 3, "{text}");
}

#[test]
fn top_says_in_one_line_why_it_shows_nothing() {
    let free = free_address();
    let other = Gannet::start(&[]);
    for (address, word) in [(&free, "no answer"), (&other.address, "/metrics")] {
        let output = run(&["top", "--once", "--admin", address]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(address) && text.contains(word), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let no_terminal =
        Command::new(GANNET).arg("top").stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    assert_eq!(no_terminal.status.code(), Some(1));
}
