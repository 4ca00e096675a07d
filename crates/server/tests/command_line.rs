//! The finished binary: what it prints, how it stops, and how it refuses to start.

#![allow(clippy::unwrap_used)] // reason: test code

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

const GANNET: &str = env!("CARGO_BIN_EXE_gannet");
const REQUEST: &str = "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A running server; ended by force if a test fails.
struct Gannet {
    child: Child,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Gannet {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self { child, stdout, line }
    }

    fn echo(arguments: &[&str]) -> Self {
        let mut command = Command::new(GANNET);
        command.args(["echo", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::start(command)
    }

    fn address(&self) -> &str {
        self.line.split("ws://").nth(1).unwrap().split('/').next().unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the exit code and what was logged.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line on stdout");
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Gannet {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

fn run(arguments: &[&str]) -> Output {
    Command::new(GANNET).args(arguments).output().unwrap()
}

/// Asserts that the server refuses to start: exit code 2 and a line that names all of `words`.
fn assert_refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn the_start_line_names_address_shards_backend_and_ceiling() {
    let gannet = Gannet::echo(&["--shards", "2", "--max-connections", "123"]);
    let expected = format!(
        "gannet: echo on ws://{}/echo, 2 shards, backend epoll, at most 123 connections\n",
        gannet.address()
    );
    assert_eq!(gannet.line, expected);
}

#[test]
fn a_message_is_echoed_and_both_signals_end_the_server_with_close_1001_and_exit_code_0() {
    for signal in ["INT", "TERM"] {
        let gannet = Gannet::echo(&[]);
        let mut stream = open(gannet.address());
        stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"\x81\x02hi");
        gannet.signal(signal);
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"\x88\x02\x03\xe9");
        stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]).unwrap();
        let (code, log) = gannet.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("closed_cleanly=1"), "{log}");
    }
}

#[test]
fn logs_are_one_json_object_a_line_on_request() {
    let gannet = Gannet::echo(&["--log-format", "json"]);
    gannet.signal("TERM");
    let (_, log) = gannet.end();
    assert!(
        log.lines().count() >= 2 && log.lines().all(|line| line.starts_with('{') && line.ends_with('}')),
        "{log}"
    );
}

#[test]
fn a_bad_flag_is_refused_with_its_value_and_what_is_allowed() {
    assert_refused(&["echo", "--shards", "none"], &["none", "`auto` or 1 to 1024"]);
    assert_refused(&["echo", "--backend", "kqueue"], &["kqueue", "epoll"]);
    assert_refused(&["echo", "--max-message-bytes", "0"], &["message_bytes_max is 0", "1 byte"]);
    assert_refused(&["echo", "--max-connections", "0"], &["max-connections is 0"]);
    assert_refused(&["echo", "--lisen", "127.0.0.1:1"], &["--lisen", "--help"]);
    assert_refused(&["echo", "--idle-timeout", "0"], &["0", "1..=600000"]);
}

#[test]
fn a_closed_standard_output_does_not_keep_it_from_serving() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" echo --listen \"$1\" >&-", GANNET, &address]);
    let mut gannet = command.stderr(Stdio::null()).spawn().unwrap();
    while TcpStream::connect(&address).is_err() {
        assert_eq!(gannet.try_wait().unwrap(), None, "it ended instead of serving");
    }
    open(&address);
    gannet.kill().unwrap();
    gannet.wait().unwrap();
}

#[test]
fn a_port_in_use_is_refused_although_the_kernel_would_share_it() {
    let holder = Gannet::echo(&[]);
    assert_refused(&["echo", "--listen", holder.address()], &["cannot listen on", holder.address()]);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap().to_string();
    assert_refused(&["echo", "--listen", &address], &[&address, "choose another address"]);
}

#[test]
fn a_ceiling_below_max_connections_is_refused_with_both_numbers() {
    assert_refused(
        &["echo", "--listen", "127.0.0.1:0", "--shards", "1", "--max-connections", "9000000000"],
        &["9000000000", "ceiling", "auto"],
    );
}

#[test]
fn one_process_holds_more_connections_than_its_descriptor_limit() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 300; exec \"$0\" echo --listen 127.0.0.1:0 --max-connections 600",
        GANNET,
    ]);
    let gannet = Gannet::start(command);
    assert!(gannet.line.contains("at most 600 connections"), "{}", gannet.line);
    let mut streams: Vec<TcpStream> = (0..600).map(|_| open(gannet.address())).collect();
    for stream in &mut streams {
        stream.write_all(&[0x82, 0x81, 0, 0, 0, 0, 9]).unwrap();
    }
    for stream in &mut streams {
        let mut reply = [0; 3];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [0x82, 1, 9]);
    }
    // The next one is turned away, and the others stay.
    let mut refused = TcpStream::connect(gannet.address()).unwrap();
    let mut head = [0; 12];
    refused.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 503");
    streams[0].write_all(&[0x82, 0x81, 0, 0, 0, 0, 9]).unwrap();
    let mut reply = [0; 3];
    streams[0].read_exact(&mut reply).unwrap();
}
