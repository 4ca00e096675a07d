//! A case on an engine in this process, and what has to hold inside it afterwards.
//!
//! Invariant: the slot of the connection is free again, a connection beside it still works, and the handler saw one
//! opening, the right messages and one end.

use crate::app::{BYSTANDER_PATH, Record};
use crate::bytes::{FIN, TEXT, text};
use crate::case::Case;
use crate::client::{Client, Seen};
use crate::request::Request;
use crate::wire::Wire;

/// An engine that can be looked into.
pub(crate) trait Server {
    fn connect(&self) -> Box<dyn Wire>;
    /// Waits until so many connections are open; false if that does not happen.
    fn settles_at(&self, connections: usize) -> bool;
    /// The calls for the connection of the case.
    fn record(&self) -> Record;
}

/// Runs `case` and looks at what it left.
pub(crate) fn check(case: &Case, server: &dyn Server) -> Result<(), String> {
    let mut bystander = Client::new(server.connect(), BYSTANDER_PATH);
    bystander.wire.send(&Request::legal().to_bytes(BYSTANDER_PATH));
    let opened = bystander.read_response();
    if !matches!(&opened, Seen::Response(response) if response.status == 101) {
        return Err(format!("the bystander was not let in: {opened}"));
    }
    let mut client = Client::new(server.connect(), "/");
    case.run(&mut client)?;
    drop(client);
    if !server.settles_at(1) {
        return Err("the slot was not freed".into());
    }
    check_echo(&mut bystander)?;
    check_record(case, &server.record())
}

fn check_echo(bystander: &mut Client) -> Result<(), String> {
    bystander.wire.send(&text("still here"));
    let seen = bystander.read_frame();
    let echo = Seen::Frame { first: FIN | TEXT, payload: b"still here".to_vec() };
    if seen == echo { Ok(()) } else { Err(format!("the bystander got {seen} instead of its echo")) }
}

fn check_record(case: &Case, record: &Record) -> Result<(), String> {
    let end = case.end();
    let is_end_right = match (&end, &record.closed[..]) {
        (None, []) => true,
        (Some((codes, was_clean)), [(code, clean)]) => codes.contains(code) && was_clean == clean,
        _ => false,
    };
    if record.opened == usize::from(end.is_some()) && record.messages == case.delivered() && is_end_right {
        return Ok(());
    }
    Err(format!(
        "the handler saw {record:?}; {} messages and the end {end:?} were expected",
        case.delivered()
    ))
}
