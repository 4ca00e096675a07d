//! The rules of the repository that no compiler checks: who may depend on whom, how files open, where `unsafe` may
//! stand, how long a file may be, and that the documents name what exists, down to the test of each protocol rule.
//! Invariant: rules read the tree and never change it, and every problem names its file, its line and the remedy.

mod edges;
mod links;
mod protocol;
mod scan;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Path below the root.
    path: String,
    /// Line, counted from 1.
    line: usize,
    /// The rule, the offending value and the remedy.
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Checks all rules on the tree below `root`.
///
/// # Errors
/// Every problem, a line each.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let problems = problems(root).map_err(|error| format!("could not read the tree: {error}"))?;
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(format!("{} problems\n{}", lines.len(), lines.join("\n")))
}

/// All problems of the tree below `root`, sorted.
fn problems(root: &Path) -> io::Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let mut problems = edges::problems(&tree);
    problems.extend(sources::problems(&tree));
    problems.extend(links::problems(&tree));
    problems.extend(protocol::problems(&tree));
    problems.sort();
    Ok(problems)
}

/// A file of the repository.
#[derive(Debug)]
struct File {
    /// Path below the root, with `/` between the parts.
    path: String,
    /// The content; empty when it is not text.
    text: String,
}

/// The files of the repository, without what is built and what git keeps.
#[derive(Debug)]
struct Tree {
    files: Vec<File>,
}

impl Tree {
    fn read(root: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
                if !entry.file_type()?.is_dir() {
                    let text = String::from_utf8(fs::read(entry.path())?).unwrap_or_default();
                    files.push(File { path, text });
                } else if !matches!(name.as_str(), ".git" | "target") {
                    directories.push(path);
                }
            }
        }
        Ok(Self { files })
    }

    /// The files whose name ends with `suffix`.
    fn ending_with<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(suffix))
    }

    /// Whether `path` below the root is a file or a directory with files.
    fn has(&self, path: &str) -> bool {
        let directory = format!("{path}/");
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&directory))
    }

    /// Whether a path somewhere in the tree ends with `tail`.
    fn has_tail(&self, tail: &str) -> bool {
        let inner = format!("/{tail}");
        self.has(tail) || self.files.iter().any(|file| file.path.ends_with(&inner))
    }
}

impl File {
    fn problem(&self, line: usize, text: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line, text: text.into() }
    }
}
