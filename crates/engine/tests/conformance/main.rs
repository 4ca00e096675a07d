//! What a peer may send and what must come back: one table of cases, run on several wires.
//!
//! A case is data (`case`): bytes to send, answers to expect, calls that the handler must have seen. Without an argument
//! each case is a test on the real engine over TCP, `[tcp]`, and one on the simulated engine in virtual time, `[sim]`, there
//! with receives, sends and order disturbed by seeds. With `GANNET_CONFORMANCE_URLS` the cases that need no special server
//! run against others instead (`remote`).
//!
//! Invariant: a case knows no wire, and the client that runs it shares no code with the engine: frames and responses are
//! read by its own few lines (`client`).

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

mod app;
mod bytes;
mod case;
mod client;
mod inside;
mod remote;
mod request;
mod simulated;
mod tables;
mod tcp;
mod wire;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use case::Case;

fn main() -> ExitCode {
    if remote::is_wanted() {
        remote::run(tables::all());
        return ExitCode::SUCCESS;
    }
    let trials =
        tables::all().into_iter().flat_map(|case| [on_tcp(case.clone()), on_simulated(case)]).collect();
    let conclusion: Conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    conclusion.exit_code()
}

fn on_tcp(case: Case) -> Trial {
    Trial::test(format!("{} {} [tcp]", case.id, case.title), move || {
        inside::check(&case, &tcp::EngineServer::start(case.setup)).map_err(Failed::from)
    })
}

fn on_simulated(case: Case) -> Trial {
    Trial::test(format!("{} {} [sim]", case.id, case.title), move || {
        for (name, server) in simulated::servers(case.setup) {
            inside::check(&case, &server).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(())
    })
}
