//! Clients that others wrote, against the release binary of `gannet echo`.
//! Invariant: a client that does not run is named with the reason, and fails the run when it was asked for by name.

pub(crate) mod server;
pub(crate) mod setup;

use std::path::Path;

use clap::ValueEnum;

use self::server::Server;
use self::setup::Script;
use crate::steps::cargo;

/// A client written by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// `websockets` for Python.
    Python,
    /// The package `ws` for Node.
    Ws,
    /// The `WebSocket` of Node itself.
    Node,
    /// `tungstenite`, the protocol of tokio-tungstenite: `crates/server/tests/tungstenite.rs`.
    Tungstenite,
}

/// The peers that are scripts in `crates/server/tests/interop/`.
const SCRIPTED: [Peer; 3] = [Peer::Python, Peer::Ws, Peer::Node];

/// What a client does about compression, and what must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    /// It offers none.
    Off,
    /// It offers compression and the server must not take it.
    Declined,
    /// It offers compression and the server must take it.
    On,
}

impl Compression {
    /// The word that the scripts know it by.
    const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Declined => "declined",
            Self::On => "on",
        }
    }
}

/// How a server is started, and which clients come to it.
struct Setting {
    flags: &'static [&'static str],
    clients: &'static [Compression],
}

/// Every server that the scripts run against.
const SETTINGS: [Setting; 3] = [
    Setting { flags: &["--compression", "off"], clients: &[Compression::Off, Compression::Declined] },
    Setting { flags: &["--compression", "shared"], clients: &[Compression::Off, Compression::On] },
    Setting { flags: &["--compression", "dedicated"], clients: &[Compression::On] },
];

/// Runs one peer, or all that this machine can run.
///
/// # Errors
/// Every difference that a peer found, and why the one asked for cannot run.
pub(crate) fn run(root: &Path, only: Option<Peer>) -> Result<(), String> {
    let wanted = |peer| only.is_none_or(|only| only == peer);
    let mut scripts = Vec::new();
    for peer in SCRIPTED.into_iter().filter(|&peer| wanted(peer)) {
        match setup::script(peer, root) {
            Ok(script) => scripts.push(script),
            Err(reason) if only.is_some() => return Err(reason),
            Err(reason) => println!("SKIPPED: {reason}"),
        }
    }
    if !scripts.is_empty() {
        run_scripts(root, &scripts)?;
    }
    if wanted(Peer::Tungstenite) {
        cargo(root, &["test", "--release", "--quiet", "-p", "gannet-server", "--test", "tungstenite"])?;
    }
    Ok(())
}

fn run_scripts(root: &Path, scripts: &[Script]) -> Result<(), String> {
    cargo(root, &["build", "--release", "--quiet", "-p", "gannet-server"])?;
    let mut differences = Vec::new();
    for setting in SETTINGS {
        let server = Server::start(setting.flags)?;
        for script in scripts {
            for &compression in setting.clients.iter().filter(|&&compression| script.can(compression)) {
                let what = format!("{}, compression {}", script.name, compression.name());
                match script.run(server.url(), compression) {
                    Ok(checks) => println!("{what}, {}: ok {checks} checks", server.name()),
                    Err(difference) => differences.push(format!("{what}, {}: {difference}", server.name())),
                }
            }
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}
