//! The server and its page in Chromium, driven by the scripts in `crates/server/tests/browser/`.
//! Invariant: when it cannot run, the reason is named; a difference that it finds fails the step.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::interop::server::release_binary;
use crate::interop::setup::{checks_in, node_package, node_version, output_of};
use crate::steps::{cargo, succeed};

/// The version of `playwright-core`, which drives the browser; it depends on no other package.
const PLAYWRIGHT: &str = "1.65.1";
/// The script, below the root.
const SCRIPT: &str = "crates/server/tests/browser/main.mjs";
/// Where the pictures of the page go, below the root.
const PICTURES: &str = "target/browser";
/// What the browser is called, by who packs it.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// What the script needs besides the server.
struct Tools {
    node_path: PathBuf,
    chromium: PathBuf,
}

/// Runs the script; without Node, the browser or the network to install them it is skipped.
///
/// # Errors
/// The first difference that the script found.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tools = match tools(root) {
        Ok(tools) => tools,
        Err(reason) => {
            println!("SKIPPED: {reason}");
            return Ok(());
        }
    };
    cargo(root, &["build", "--release", "--quiet", "-p", "gannet-server"])?;
    let mut command = Command::new("node");
    command.arg(root.join(SCRIPT)).env("NODE_PATH", &tools.node_path);
    command.arg("--gannet").arg(release_binary()?).arg("--chromium").arg(&tools.chromium);
    command.arg("--pictures").arg(root.join(PICTURES));
    let stdout = output_of(&mut command)?;
    let checks = checks_in(&stdout).ok_or_else(|| format!("expected `ok N checks`, got {stdout:?}"))?;
    println!("{}: ok {checks} checks, pictures in {PICTURES}", browser_version(&tools.chromium));
    Ok(())
}

fn tools(root: &Path) -> Result<Tools, String> {
    node_version()?;
    // The certificate of the server with TLS is made by openssl.
    let is_missing = || on_path(&CHROMIUM).is_none() || on_path(&["openssl"]).is_none();
    if is_missing() {
        install(&["chromium", "openssl"])?;
    }
    let chromium = on_path(&CHROMIUM).ok_or("no chromium on the path")?;
    Ok(Tools { node_path: node_package(root, "playwright-core", PLAYWRIGHT)?, chromium })
}

/// Installs packages of Debian, where that is possible.
fn install(packages: &[&str]) -> Result<(), String> {
    let is_root = output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || on_path(&["apt-get"]).is_none() {
        return Err(format!(
            "{} are not all on the path, and only root can install them with apt-get",
            packages.join(", ")
        ));
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        succeed(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// The first of these programs that is found on the path.
fn on_path(names: &[&str]) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().find_map(|name| {
        directories.iter().map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
    })
}

/// The browser and its version, or its path where it does not tell.
fn browser_version(chromium: &Path) -> String {
    output_of(Command::new(chromium).arg("--version"))
        .map_or_else(|_| chromium.display().to_string(), |version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_the_first_of_its_names_that_exists() {
        let shell = on_path(&["no-such-program", "sh"]).unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"), "{shell:?}");
        assert_eq!(on_path(&["no-such-program"]), None);
    }
}
