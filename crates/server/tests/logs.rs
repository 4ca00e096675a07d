//! Where logs go must not matter to those who are served: a full disk, a pipe that nobody reads, nothing at all.

#![allow(clippy::unwrap_used)] // reason: test code

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const GANNET: &str = env!("CARGO_BIN_EXE_gannet");
const REQUEST: &str = "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A running echo server; ended by force if a test fails.
struct Gannet {
    child: Child,
    address: String,
}

impl Gannet {
    /// Starts it with `stderr`, and with something to log from the first moment on.
    fn start(stderr: Stdio) -> Self {
        let mut command = Command::new(GANNET);
        command.args(["echo", "--listen", "127.0.0.1:0"]).env("RUST_LOG", "not=a=filter");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("ws://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, address }
    }

    /// Asserts that it echoes, drains on SIGTERM and ends with exit code 0.
    fn assert_serves_and_ends(mut self) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut reply = [0; 4];
        stream.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"\x81\x02hi");
        let kill = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"\x88\x02\x03\xe9");
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Gannet {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that takes not a byte more; nobody reads from the end that comes with it.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn a_full_disk_behind_the_log_keeps_nobody_from_being_served() {
    Gannet::start(full_disk()).assert_serves_and_ends();
}

#[test]
fn a_pipe_that_nobody_reads_keeps_nobody_from_being_served_and_the_server_from_ending() {
    let (reader, writer) = full_pipe();
    Gannet::start(writer.into()).assert_serves_and_ends();
    drop(reader);
}

#[test]
fn a_pipe_whose_reader_is_gone_keeps_nobody_from_being_served() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Gannet::start(writer.into()).assert_serves_and_ends();
}

#[test]
fn what_was_logged_is_written_before_the_process_ends() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    Gannet::start(writer.into()).assert_serves_and_ends();
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].contains(r#"RUST_LOG is "not=a=filter", not a filter"#), "{log}");
    assert!(lines[1].contains("stopping signal=15"), "{log}");
    assert!(lines[2].contains("stopped opened=1 closed_cleanly=1"), "{log}");
    assert_eq!(lines.len(), 3, "{log}");
}

#[test]
fn a_refusal_to_start_has_its_exit_code_although_it_cannot_be_written() {
    let status = Command::new(GANNET).arg("--no-such-flag").stderr(full_disk()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
