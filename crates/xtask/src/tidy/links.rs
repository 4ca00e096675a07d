//! That the documents name what exists: relative links and file names in `README.md` and `docs/*.md`.
//! Invariant: what stands in a fenced block is an example and is not read.

use super::{File, Problem, Tree};

/// Endings that make a word in backticks the name of a file of the repository.
const FILE_ENDINGS: [&str; 2] = [".rs", ".md"];

/// Every link and file name that leads nowhere.
pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let is_document = |file: &&File| {
        file.path == "README.md" || file.path.strip_prefix("docs/").is_some_and(|name| !name.contains('/'))
    };
    tree.ending_with(".md").filter(is_document).flat_map(|file| problems_of(tree, file)).collect()
}

fn problems_of(tree: &Tree, file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut is_fenced = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            let links = link_targets(line).filter(|target| !tree.has(&resolve(&file.path, target)));
            let names = file_names(tree, line).filter(|name| !names_a_file(tree, &file.path, name));
            let text = |target| format!("{target:?} does not exist: correct the name or remove it");
            problems.extend(links.chain(names).map(|target| file.problem(index + 1, text(target))));
        }
    }
    problems
}

/// The relative targets of the Markdown links in `line`, without their fragments.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    relative
        .map(|target| target.split_once('#').map_or(target, |(path, _)| path))
        .filter(|path| !path.is_empty())
}

/// The words in backticks that name a file: they end like one, or begin with a directory of the root.
fn file_names<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = &'a str> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | '/');
    let words = line.split('`').skip(1).step_by(2).filter(move |word| word.chars().all(is_plain));
    words.filter(|word| {
        let is_below_root = |top: &str| tree.has(top) && !top.is_empty();
        FILE_ENDINGS.iter().any(|ending| word.ends_with(ending))
            || word.split_once('/').is_some_and(|(top, _)| is_below_root(top))
    })
}

/// A file may be named from the root, from the document, or by the last parts of its path.
fn names_a_file(tree: &Tree, document: &str, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    tree.has_tail(name) || tree.has(&resolve(document, name))
}

/// `target`, relative to the directory of `document`, as a path below the root.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
