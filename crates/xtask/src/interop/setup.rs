//! The runtimes and packages of the scripts, below `target/interop`, and how a script is run.
//! Invariant: the versions in this file decide; a directory is named after the version that it holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Compression, Peer};

/// The version of `websockets` for Python; it runs on Python 3.9 and newer.
const WEBSOCKETS: &str = "15.0.1";
/// The version of the package `ws` for Node; it depends on no other package.
const WS: &str = "8.23.0";
/// Where the packages are installed, below the root.
const INSTALLED: &str = "target/interop";
/// Where the scripts are, below the root.
const SCRIPTS: &str = "crates/server/tests/interop";

/// A script that is ready to run.
pub(super) struct Script {
    /// The client and its version.
    pub(super) name: String,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    /// Where Node looks for packages.
    node_path: Option<PathBuf>,
    always_offers: bool,
}

impl Script {
    /// Whether the client can be made to do so.
    pub(super) fn can(&self, compression: Compression) -> bool {
        compression != Compression::Off || !self.always_offers
    }

    /// Runs the script to its end; gives the number of checks that it made.
    ///
    /// # Errors
    /// What it printed, when it found a difference.
    pub(super) fn run(&self, url: &str, compression: Compression) -> Result<u64, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args([url, "--compression", compression.name()]);
        command.envs(self.node_path.iter().map(|path| ("NODE_PATH", path)));
        let stdout = output_of(&mut command)?;
        checks_in(&stdout).ok_or_else(|| format!("expected `ok N checks`, got {stdout:?}"))
    }
}

/// The number in the line `ok N checks`; none when nothing was checked.
pub(crate) fn checks_in(stdout: &str) -> Option<u64> {
    let checks = stdout.trim().strip_prefix("ok ")?.strip_suffix(" checks")?;
    checks.parse().ok().filter(|&checks| checks > 0)
}

/// Makes everything ready that the script of `peer` needs.
///
/// # Errors
/// What is missing.
pub(super) fn script(peer: Peer, root: &Path) -> Result<Script, String> {
    match peer {
        Peer::Python => python(root),
        Peer::Ws => ws(root),
        Peer::Node => node_itself(root),
        Peer::Tungstenite => Err("tungstenite is a test in Rust, not a script".to_owned()),
    }
}

fn python(root: &Path) -> Result<Script, String> {
    let directory = root.join(INSTALLED).join(format!("websockets-{WEBSOCKETS}"));
    let program = directory.join("bin/python");
    if !succeeds(Command::new(&program).args(["-c", "import websockets"])) {
        let is_new_enough = "import sys; sys.exit(sys.version_info < (3, 9))";
        let base = ["python3", "python"]
            .into_iter()
            .find(|name| succeeds(Command::new(name).args(["-c", is_new_enough])));
        let base = base.ok_or("no python of version 3.9 or newer on the path, which `websockets` needs")?;
        output_of(Command::new(base).args(["-m", "venv", "--clear"]).arg(&directory))?;
        let requirement = format!("websockets=={WEBSOCKETS}");
        output_of(Command::new(&program).args(["-m", "pip", "install", "--quiet", &requirement]))?;
    }
    Ok(Script {
        name: format!("websockets {WEBSOCKETS} for Python"),
        program,
        arguments: vec![root.join(SCRIPTS).join("python_websockets.py")],
        node_path: None,
        always_offers: false,
    })
}

fn ws(root: &Path) -> Result<Script, String> {
    node_version()?;
    Ok(Script {
        name: format!("ws {WS} for Node"),
        program: "node".into(),
        arguments: vec![root.join(SCRIPTS).join("node_ws.mjs")],
        node_path: Some(node_package(root, "ws", WS)?),
        always_offers: false,
    })
}

/// Installs a package for Node, if it is not there; gives the directory in which Node finds it (`NODE_PATH`).
///
/// # Errors
/// What npm printed.
pub(crate) fn node_package(root: &Path, name: &str, version: &str) -> Result<PathBuf, String> {
    let directory = root.join(INSTALLED).join(format!("{name}-{version}"));
    let node_path = directory.join("node_modules");
    let probe = format!("require('{name}')");
    if !succeeds(Command::new("node").args(["-e", &probe]).env("NODE_PATH", &node_path)) {
        let package = format!("{name}@{version}");
        let quiet = ["--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
        output_of(
            Command::new("npm").arg("install").args(quiet).arg("--prefix").arg(&directory).arg(package),
        )?;
    }
    Ok(node_path)
}

fn node_itself(root: &Path) -> Result<Script, String> {
    let version = node_version()?;
    // From Node 22 on it is there without the flag.
    let has_websocket = |flags: &&[&str]| {
        let probe = "process.exit(typeof WebSocket === 'function' ? 0 : 1)";
        succeeds(Command::new("node").args(*flags).args(["-e", probe]))
    };
    let flags = [&[][..], &["--experimental-websocket"]].into_iter().find(has_websocket);
    let flags =
        flags.ok_or_else(|| format!("node {version} has no WebSocket, which came with version 20.10"))?;
    let script = root.join(SCRIPTS).join("node_websocket.mjs");
    Ok(Script {
        name: format!("WebSocket of Node {version}"),
        program: "node".into(),
        arguments: flags.iter().map(PathBuf::from).chain([script]).collect(),
        node_path: None,
        always_offers: true,
    })
}

/// The version of Node.
///
/// # Errors
/// There is none on the path.
pub(crate) fn node_version() -> Result<String, String> {
    let version = output_of(Command::new("node").args(["-p", "process.versions.node"]));
    Ok(version.map_err(|error| format!("no node on the path: {error}"))?.trim().to_owned())
}

/// Whether `command` starts and succeeds; what it prints is of no interest.
fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What `command` prints on standard output.
///
/// # Errors
/// It does not start, or it fails; with what it printed.
pub(crate) fn output_of(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} did not start: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} ended with {}: {}",
        output.status,
        [stdout.trim(), stderr.trim()].join(" ").trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_that_counts_at_least_one_check_passes() {
        assert_eq!(checks_in("ok 579 checks\n"), Some(579));
        for stdout in
            ["", "ok 0 checks\n", "ok\n", "ok many checks\n", "text of 5 bytes: got 4\nok 3 checks\n"]
        {
            assert_eq!(checks_in(stdout), None, "{stdout:?}");
        }
    }

    #[test]
    fn a_command_that_fails_is_reported_with_what_it_printed() {
        let failure = output_of(Command::new("sh").args(["-c", "echo 4 came; echo 5 expected >&2; exit 1"]));
        let text = failure.unwrap_err();
        assert!(text.starts_with("sh ended with") && text.ends_with("4 came 5 expected"), "{text}");
        assert!(output_of(&mut Command::new("/no/such/program")).unwrap_err().contains("did not start"));
    }
}
