//! A client for Autobahn's fuzzing server (`wstest -m fuzzingserver`): it echoes every message of every case.
//! Invariant: the verdict is the suite's. A connection that ends in any way is no reason to stop; a server that cannot
//! be reached is.
#![forbid(unsafe_code)]

mod client;

use std::process::ExitCode;

use clap::Parser;
use gannet_proto::deflate::{Offer, PerMessageDeflate, WindowBits};
use gannet_proto::{Codec, Connection, Message, SendError};

use crate::client::{Client, Error};

/// Echoes every message of Autobahn's fuzzing server.
#[derive(Debug, Parser)]
struct Flags {
    /// The fuzzing server, such as ws://127.0.0.1:9001.
    url: String,
    /// The name of this client in the report of the server.
    #[arg(long, default_value = "gannet-client")]
    agent: String,
    /// The compression that is offered.
    #[arg(long, value_enum, default_value_t = Compression::Dedicated)]
    compression: Compression,
    /// Which cases to run, counted from 1 as the server does [default: all].
    #[arg(long = "case", value_name = "N", value_delimiter = ',')]
    cases: Vec<u32>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Compression {
    /// None.
    Off,
    /// Without context takeover.
    Shared,
    /// With context takeover.
    Dedicated,
}

impl Compression {
    fn offer(self) -> Option<Offer> {
        match self {
            Self::Off => None,
            Self::Shared => Some(Offer(PerMessageDeflate::SHARED)),
            Self::Dedicated => Some(Offer(PerMessageDeflate::dedicated(WindowBits::MAX))),
        }
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let Some(host) = flags.url.strip_prefix("ws://").map(|host| host.trim_end_matches('/')) else {
        eprintln!("echo_client: {:?} does not begin with ws://", flags.url);
        return ExitCode::FAILURE;
    };
    match run(host, &flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_client: {host}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases and has the server write its report.
fn run(host: &str, flags: &Flags) -> Result<(), Error> {
    let agent = &flags.agent;
    let offer = flags.compression.offer();
    let count = case_count(host)?;
    let cases = if flags.cases.is_empty() { (1..=count).collect() } else { flags.cases.clone() };
    for case in cases {
        let client = Client::connect(host, &format!("/runCase?case={case}&agent={agent}"), offer)?;
        match client.run(&mut Connection::reply) {
            Ok(ending) => println!("case {case} of {count}: {ending}"),
            Err(error) => println!("case {case} of {count}: {error}"),
        }
    }
    let client = Client::connect(host, &format!("/updateReports?agent={agent}"), None)?;
    client.run(&mut ignore).map(drop)
}

/// Asks the server how many cases it has.
fn case_count(host: &str) -> Result<u32, Error> {
    let mut count = None;
    let client = Client::connect(host, "/getCaseCount", None)?;
    client.run(&mut |_connection, message, _codec, _out| {
        count = message.as_text().and_then(|text| text.parse().ok());
        Ok(())
    })?;
    count.ok_or_else(|| {
        std::io::Error::other("no number of cases was sent: is this the fuzzing server?").into()
    })
}

fn ignore(_: &mut Connection, _: Message<'_>, _: &mut Codec, _: &mut Vec<u8>) -> Result<(), SendError> {
    Ok(())
}
