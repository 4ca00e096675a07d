//! References to code in a cell of a table: `path` and the names in that file.
//! Invariant: a name in a comment or a string is no function and no test.

use std::collections::HashMap;

use super::Tree;
use crate::tidy::scan::code_only;

/// The groups of the Autobahn test suite.
const AUTOBAHN_GROUPS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13"];

/// What the names of a cell are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Functions that implement a rule.
    Function,
    /// Tests that prove it: functions with `#[test]`, cases of the conformance table, cases of Autobahn.
    Test,
}

/// The Rust files of the tree by their path, as they are and without comments and literals.
pub(super) struct Sources<'a> {
    files: HashMap<&'a str, (&'a str, String)>,
}

impl<'a> Sources<'a> {
    pub(super) fn read(tree: &'a Tree) -> Self {
        let files = tree.ending_with(".rs");
        Self {
            files: files
                .map(|file| (file.path.as_str(), (file.text.as_str(), code_only(&file.text))))
                .collect(),
        }
    }

    /// What is wrong with a cell. Its words in backticks are paths, each followed by names in that file.
    pub(super) fn problems(&self, id: &str, cell: &str, kind: Kind) -> Vec<String> {
        let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if words.is_empty() {
            let form =
                "write `crates/…/file.rs` `name`, or `not built: ` and why in the place of the function";
            return vec![format!("{id} names no {kind:?} in {cell:?}: {form}")];
        }
        let mut problems = Vec::new();
        let mut path = None;
        for (index, word) in words.iter().enumerate() {
            if let Some(case) = word.strip_prefix("autobahn ") {
                let is_case = kind == Kind::Test && is_autobahn_case(case);
                problems
                    .extend((!is_case).then(|| format!("{id}: {case:?} is no case of Autobahn that tests")));
            } else if word.contains('/') {
                let has_names = words.get(index + 1).is_some_and(|next| !next.contains(['/', ' ']));
                problems.extend(self.path_problem(id, word, has_names));
                path = Some(*word);
            } else {
                problems.extend(self.name_problem(id, path, word, kind));
            }
        }
        problems
    }

    fn path_problem(&self, id: &str, path: &str, has_names: bool) -> Option<String> {
        if !self.files.contains_key(path) {
            return Some(format!("{id}: {path} is no Rust file: correct the path, counted from the root"));
        }
        (!has_names).then(|| format!("{id}: {path} without a name: say what in the file is meant"))
    }

    fn name_problem(&self, id: &str, path: Option<&str>, name: &str, kind: Kind) -> Option<String> {
        let Some(path) = path else {
            return Some(format!("{id}: {name:?} without a file: write the path in front of it"));
        };
        // A file that is missing was reported once.
        let (text, code) = self.files.get(path)?;
        let exists = match kind {
            Kind::Function => functions(code).any(|(_, function)| function == name),
            Kind::Test if is_case_id(name) => has_literal(text, name),
            Kind::Test => functions(code).any(|(line, function)| function == name && is_test(code, line)),
        };
        (!exists).then(|| format!("{id}: {kind:?} {name} is not in {path}: name what is there or write it"))
    }
}

/// The functions in `code`, each with its line counted from 0.
fn functions(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(index, line)| {
        line.split("fn ").skip(1).map(move |rest| {
            let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
            (index, &rest[..end])
        })
    })
}

/// Whether the function on line `index` has the attribute of a test, on its line or among the attributes above it.
fn is_test(code: &str, index: usize) -> bool {
    let lines: Vec<&str> = code.lines().collect();
    let is_above = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with("#[");
    let above = lines[..index].iter().rev().take_while(is_above);
    above.chain([&lines[index]]).any(|line| line.contains("#[test]"))
}

/// The cases of the conformance table have ids like `P8b`; functions begin with a small letter.
fn is_case_id(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Whether a string that is `id`, or begins with it as a word, stands in a line that is not a comment.
fn has_literal(text: &str, id: &str) -> bool {
    let literals = [format!("\"{id}\""), format!("\"{id} ")];
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().any(|line| literals.iter().any(|literal| line.contains(literal)))
}

/// Whether `case` has the form of a case of the Autobahn test suite, such as `6.4.3` or `5.18`.
fn is_autobahn_case(case: &str) -> bool {
    let parts: Vec<&str> = case.split('.').collect();
    let is_number = |part: &&str| part.parse::<u32>().is_ok_and(|number| number > 0);
    matches!(parts.len(), 2 | 3) && AUTOBAHN_GROUPS.contains(&parts[0]) && parts.iter().all(is_number)
}
