//! A run from the command line to the exit code: preflight, one system after the other, report.
//!
//! Invariant: at most one system runs at a time, and none is left behind.

use std::fs::File;
use std::process::ExitCode;
use std::time::Duration;

use crate::AnyError;
use crate::cli::RunArgs;
use crate::findings::Setting;
use crate::machine::{self, Machine};
use crate::plan::Plan;
use crate::preflight::{self, Demand, Facts};
use crate::report::{RunReport, SystemReport, table};
use crate::scenario::Scenario;
use crate::systems::{self, Compression, RunningSystem, ServeArgs, System};
use crate::target::Target;

/// Exit code of a run that could not start.
const CANNOT_START: u8 = 2;

/// What the clients are sent against.
enum Subject {
    /// A system that is started for the purpose.
    Started(System),
    /// A server that runs already.
    Url(Target),
}

/// Carries out the run that `args` asks for and prints its results.
///
/// # Errors
/// If the run broke off. Faults of a server are results and part of the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, AnyError> {
    let machine = Machine::read();
    let plan = Plan::new(args.conns, machine.cores, machine.nofile, args.shards);
    let subjects = match subjects(args) {
        Ok(subjects) => subjects,
        Err(error) => return Ok(cannot_start(&[error])),
    };
    let shortages = preflight::shortages(&demand(plan, args, &subjects), &Facts::read());
    if !shortages.is_empty() {
        return Ok(cannot_start(&shortages));
    }

    print_header(&machine, args, &plan);
    let mut systems = Vec::new();
    for subject in &subjects {
        systems.push(test(args, plan, machine.cores, subject)?);
    }
    let report = RunReport::new(command_line(), machine, args.conns, systems);
    print_report(report.systems());
    if let Some(path) = &args.json {
        let file = File::create(path).map_err(|error| format!("--json {}: {error}", path.display()))?;
        serde_json::to_writer_pretty(file, &report)?;
    }
    Ok(if report.is_flawless() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn subjects(args: &RunArgs) -> Result<Vec<Subject>, crate::target::TargetError> {
    match &args.url {
        Some(url) => Ok(vec![Subject::Url(Target::parse(url)?)]),
        None => Ok(args.systems.iter().copied().map(Subject::Started).collect()),
    }
}

/// What the machine must have for the hungriest of `subjects`.
fn demand(plan: Plan, args: &RunArgs, subjects: &[Subject]) -> Demand {
    let message_bytes = args.size.max(args.echo_bytes()) as u64;
    let is_local = |subject: &Subject| match subject {
        Subject::Started(_) => true,
        Subject::Url(target) => target.address.ip().is_loopback(),
    };
    let server_bytes = |subject: &Subject| match subject {
        Subject::Started(system) => Some(system.connection_bytes_estimate(message_bytes)),
        Subject::Url(_) => None,
    };
    Demand {
        plan,
        is_local: subjects.iter().all(is_local),
        server_bytes: subjects.iter().filter_map(server_bytes).max(),
        message_bytes,
    }
}

fn cannot_start(reasons: &[impl std::fmt::Display]) -> ExitCode {
    for reason in reasons {
        eprintln!("loadgen: {reason}");
    }
    ExitCode::from(CANNOT_START)
}

/// Runs all phases against one system; a server that was started ends with this function.
fn test(args: &RunArgs, plan: Plan, cores: usize, subject: &Subject) -> Result<SystemReport, AnyError> {
    let (name, target, mut server) = match subject {
        Subject::Started(system) => {
            let server = systems::start(ServeArgs {
                system: *system,
                shards: plan.shards,
                max_connections: plan.connections,
                compression: Compression::Off,
            })?;
            (system.name(), Target::at(server.addr), Some(server))
        }
        Subject::Url(target) => ("url", target.clone(), None),
    };
    let server_pid = server.as_ref().map(|server| server.pid);
    let findings = Scenario { args, plan, name, target: &target, server_pid }.run()?;
    let setting =
        Setting { plan, cores, rate_per_s: args.rate, duration: Duration::from_secs(args.duration) };
    let mut report = findings.report(name, &setting);
    if server.as_mut().is_some_and(|server| !RunningSystem::is_running(server)) {
        report
            .warnings
            .push("the server ended in the middle of the run; its own message is above".to_owned());
    }
    Ok(report)
}

fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

fn print_header(machine: &Machine, args: &RunArgs, plan: &Plan) {
    println!(
        "{} cores of {}, Linux {}, {} descriptors per table",
        machine.cores, machine.cpu, machine.kernel, machine.nofile
    );
    println!(
        "{} connections from {} workers, {} shards per server; messages of {} bytes; built with profile {}",
        plan.connections, plan.workers, plan.shards, args.size, machine.profile
    );
    if !machine::is_optimised() {
        println!(
            "warning: built without optimisation, the figures say little; use the dev or the release profile"
        );
    }
}

fn print_report(systems: &[SystemReport]) {
    println!("{}", table::draw(systems));
    for system in systems {
        for warning in &system.warnings {
            println!("warning: {}: {warning}", system.name);
        }
    }
}
