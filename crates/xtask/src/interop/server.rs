//! The server under test. Invariant: it ends with the value that stands for it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The first arguments of every server: a port that is free.
const ARGUMENTS: [&str; 3] = ["echo", "--listen", "127.0.0.1:0"];

/// A running `gannet echo`.
pub(super) struct Server {
    child: Child,
    name: String,
    url: String,
}

impl Server {
    /// Starts the release binary with `flags` and waits for its start line.
    ///
    /// # Errors
    /// The command line, when it does not start.
    pub(super) fn start(flags: &[&str]) -> Result<Self, String> {
        let binary = release_binary()?;
        let mut command = Command::new(&binary);
        command.args(ARGUMENTS).args(flags).env("RUST_LOG", "warn").stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let name = ["gannet echo"].iter().chain(flags).copied().collect::<Vec<_>>().join(" ");
        let mut server = Self { child, name, url: String::new() };
        let mut line = String::new();
        if let Some(stdout) = server.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let url = line.split([' ', ',']).find(|word| word.starts_with("ws://"));
        server.url =
            url.ok_or_else(|| format!("`{}` did not start: it said {line:?}", server.name))?.to_owned();
        Ok(server)
    }

    /// The command that was started, without the listen address.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where the release binary of the server is: this program lies in the debug directory of the target directory, the
/// server in its neighbour.
///
/// # Errors
/// Where this program lies is unknown.
pub(crate) fn release_binary() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("where xtask lies is unknown: {error}"))?;
    let target = this.ancestors().nth(2).ok_or("xtask does not lie in a target directory")?;
    Ok(target.join("release").join("gannet"))
}
