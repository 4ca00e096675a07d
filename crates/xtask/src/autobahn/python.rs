//! Python 2.7, the only one that the suite runs on, and the suite in a virtual environment of its own.
//! Invariant: nothing is installed outside the directory that the caller names.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::at;

/// The suite, at the version that the expectations were written for.
const SUITE: &str = "autobahntestsuite==25.10.1";
/// The last version that runs on Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.15.1";

/// What to tell when [`find`] finds nothing.
pub(super) const MISSING: &str = "Autobahn's test suite needs Python 2.7 with pip, and none was found, neither as \
    python2.7 on the PATH nor under pyenv: install it with `pyenv install 2.7.18`";

/// Finds a Python 2.7 that has pip.
pub(super) fn find() -> Option<PathBuf> {
    // A name on the PATH proves nothing: pyenv puts a python2.7 there that works only where that version is chosen.
    iter::once(PathBuf::from("python2.7")).chain(under_pyenv()).find(|python| has_pip(python))
}

/// Every Python 2.7 that pyenv built.
fn under_pyenv() -> Vec<PathBuf> {
    let Ok(output) = Command::new("pyenv").arg("root").output() else {
        return Vec::new();
    };
    let versions = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("versions");
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7"));
    names.map(|entry| entry.path().join("bin/python2.7")).collect()
}

fn has_pip(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs the suite below `directory`, unless it is there, and returns the path of its program.
///
/// # Errors
/// The command that failed, and what it wrote.
pub(super) fn install(directory: &Path, python: &Path) -> Result<PathBuf, String> {
    let environment = directory.join("venv");
    let program = environment.join("bin/wstest");
    // Written last, so an installation that was interrupted is begun anew.
    let installed = environment.join(SUITE);
    if installed.exists() {
        return Ok(program);
    }
    println!("installing {SUITE} in {} with {}", environment.display(), python.display());
    if environment.exists() {
        fs::remove_dir_all(&environment).map_err(at(&environment))?;
    }
    // virtualenv itself goes beside the environment, not into the user's Python.
    let tools = directory.join("tools");
    succeed(pip_install(python).arg("--upgrade").arg("--target").arg(&tools).arg(VIRTUALENV))?;
    succeed(Command::new(python).args(["-m", "virtualenv"]).arg(&environment).env("PYTHONPATH", &tools))?;
    succeed(pip_install(&environment.join("bin/python")).arg(SUITE))?;
    fs::write(&installed, "").map_err(at(&installed))?;
    Ok(program)
}

fn pip_install(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

/// Runs a command whose output matters only when it fails.
fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?} did not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} ended with {}\n{text}", output.status))
}
