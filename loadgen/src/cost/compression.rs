//! `loadgen cost --compression`: what a compressed echo costs, compared with what it cannot do without: the plain echo of
//! the same message and the bare calls of zlib-rs.
//! Invariant: all three handle the same messages, in blocks of the same rounds on the same core.

mod calls;
mod json;
mod reply;
mod script;

use super::blocks::{Contender, Subject};
use super::cases::Case;
use super::client::Client;
use super::cpu;
use super::dialogue::Dialogue;
use super::error::{Doing, Error};
use crate::systems::{self, Compression, RunningSystem, ServeArgs, System};

pub(crate) use calls::{Calls, Zlib};
pub(crate) use reply::CompressedReply;
pub(crate) use script::{Parameters, Script, frame_alone};

/// The cases that are measured when none are named.
pub(crate) const DEFAULT_CASES: &str = "64x1K,64x16K";
/// The systems whose sum ratios refer to.
pub(crate) const RATIO_TO: [&str; 2] = ["plain", "zlib"];

/// One JSON message of so many bytes; 64 or more.
pub(crate) fn message(bytes: usize) -> Vec<u8> {
    json::messages(1, bytes).concat()
}

/// Refuses cases that cannot be measured with compression.
///
/// # Errors
/// When messages are pipelined, or too short for the engine to compress them.
pub(crate) fn check(case: Case) -> Result<(), Error> {
    let bytes_min = gannet::Config::default().compressed_bytes_min.max(json::BYTES_MIN);
    if case.pipelined > 1 {
        return Err(Error::new(format!(
            "case {case}: compressed messages are measured one at a time; leave out p{}",
            case.pipelined
        )));
    }
    if case.payload_bytes < bytes_min {
        return Err(Error::new(format!(
            "case {case}: what is shorter than {bytes_min} bytes is not compressed"
        )));
    }
    Ok(())
}

/// The two servers that are compared.
pub(crate) struct Servers {
    plain: RunningSystem,
    compressing: RunningSystem,
}

impl Servers {
    /// Starts one server without compression and one with `compression`, for so many connections.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) fn start(compression: Compression, connections: u32) -> Result<Self, Error> {
        Ok(Self {
            plain: start(Compression::Off, connections)?,
            compressing: start(compression, connections)?,
        })
    }

    /// What is compared in a case, all of it on `core`.
    ///
    /// # Errors
    /// When a server cannot be reached or does not agree to compress.
    pub(crate) fn contenders(
        &self,
        case: Case,
        script: &Script,
        core: usize,
    ) -> Result<Vec<Contender>, Error> {
        let reach = |name: &str, server: &RunningSystem, dialogue: Dialogue| {
            cpu::pin_process(server.pid, core)?;
            let client = Client::open(server.addr, case.connections, dialogue)?;
            Ok(Contender { name: name.into(), subject: Subject::Server { pid: server.pid, client } })
        };
        let [plain, zlib] = RATIO_TO;
        Ok(vec![
            reach(plain, &self.plain, script.plain_dialogue())?,
            Contender { name: zlib.into(), subject: Subject::Calls(Box::new(script.calls())) },
            reach(System::Gannet.name(), &self.compressing, script.compressed_dialogue())?,
        ])
    }
}

/// Starts the engine with one shard.
///
/// # Errors
/// When it does not start.
pub(crate) fn start(compression: Compression, connections: u32) -> Result<RunningSystem, Error> {
    let args = ServeArgs { system: System::Gannet, shards: 1, max_connections: connections, compression };
    systems::start(args).doing(format_args!("start gannet with compression {}", compression.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cases_can_be_measured() {
        for case in DEFAULT_CASES.split(',') {
            assert_eq!(check(case.parse().unwrap()), Ok(()));
        }
    }

    #[test]
    fn pipelined_and_short_messages_are_refused_with_the_remedy() {
        let error = check("64x1Kp32".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("leave out p32"), "{error}");
        let error = check("64x255".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("256 bytes"), "{error}");
    }
}
