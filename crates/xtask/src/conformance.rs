//! The conformance table of the engine against any server: what each does in which case, as a matrix.
//! Invariant: a case that was run and a server that was named are in the matrix, whatever came of it.

mod matrix;

use std::fs;
use std::path::Path;

use self::matrix::Matrix;
use crate::steps::cargo_with;

/// What the tests read the servers from, and where they write what came; `crates/engine/tests/conformance/remote.rs`.
const URLS_VARIABLE: &str = "GANNET_CONFORMANCE_URLS";
const RESULTS_VARIABLE: &str = "GANNET_CONFORMANCE_RESULTS";
/// Where the results go, below the root.
const RESULTS: &str = "target/conformance.jsonl";

/// Which servers, and how the result is written.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {
    /// A server that echoes, as in `ws=ws://127.0.0.1:9001/`; may be given several times.
    #[arg(long = "url", value_name = "NAME=URL", required = true, value_parser = parse_url)]
    urls: Vec<String>,
    /// Write the matrix and everything that differs as Markdown.
    #[arg(long)]
    markdown: bool,
}

fn parse_url(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && url.starts_with("ws://") => Ok(text.to_owned()),
        _ => Err("it must be NAME=ws://host:port/path".to_owned()),
    }
}

/// Runs the cases that need no special server against each URL and prints what came.
///
/// # Errors
/// The tests could not be run or left no results. A server that fails cases is no error: that is what is asked.
pub(crate) fn run(root: &Path, flags: &Flags) -> Result<(), String> {
    let results = root.join(RESULTS);
    let variables =
        [(URLS_VARIABLE, flags.urls.join("\n")), (RESULTS_VARIABLE, results.to_string_lossy().into_owned())];
    cargo_with(root, &["test", "--quiet", "-p", "gannet", "--test", "conformance"], &variables)?;
    let lines = fs::read_to_string(&results).map_err(|error| format!("{RESULTS}: {error}"))?;
    let matrix = Matrix::parse(&lines)?;
    println!("{}", if flags.markdown { matrix.to_markdown() } else { matrix.to_text() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_url;

    #[test]
    fn a_server_is_a_name_and_a_url() {
        assert_eq!(parse_url("a=ws://h:1/p?q=1"), Ok("a=ws://h:1/p?q=1".to_owned()));
        assert!(parse_url("ws://h:1/").is_err() && parse_url("a=http://h").is_err());
        assert!(parse_url("=ws://h:1/").is_err());
    }
}
