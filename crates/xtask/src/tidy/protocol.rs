//! That every row of `docs/protocol.md` points at living code: a function that implements the rule and a test that
//! proves it. Invariant: a row without a function and a test says `not built: ` and why.

mod reference;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::{Problem, Tree};
use reference::{Kind, Sources};

/// The document with the tables.
const DOCUMENT: &str = "docs/protocol.md";
/// The first cell of the tables that are checked.
const ID: &str = "id";
/// id, rule, who, function, test.
const CELLS: usize = 5;
/// Who has to keep a rule.
const WHO: [&str; 3] = ["server", "client", "both"];
/// The RFCs that rows may be about.
const RFCS: [&str; 2] = ["6455", "7692"];
/// What stands in the place of the function when there is none; a colon and the reason follow.
const NOT_BUILT: &str = "not built";

/// Every row of the document that leads nowhere, repeats an id or is not a row.
pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let Some(document) = tree.files.iter().find(|file| file.path == DOCUMENT) else { return Vec::new() };
    let rows = rows(&document.text);
    if rows.is_empty() {
        return vec![
            document.problem(1, format!("no table whose first column is `{ID}`: nothing was checked")),
        ];
    }
    let sources = Sources::read(tree);
    let mut ids = HashSet::new();
    let mut problems = Vec::new();
    for (line, cells) in rows {
        let texts = row_problems(&sources, &cells, &mut ids);
        problems.extend(texts.into_iter().map(|text| document.problem(line, text)));
    }
    problems
}

fn row_problems<'a>(sources: &Sources<'_>, cells: &[&'a str], ids: &mut HashSet<&'a str>) -> Vec<String> {
    let &[id, _, who, function, test] = cells else {
        let found = cells.len();
        return vec![format!("a row of {found} cells, {CELLS} expected: id, rule, who, function, test")];
    };
    let mut problems: Vec<String> = id_problem(id, ids).into_iter().chain(who_problem(who)).collect();
    problems.extend(proof_problems(sources, id, function, test));
    problems
}

/// What kind of table a line belongs to.
enum Table {
    None,
    Checked,
    Other,
}

/// The rows of the tables whose first column is [`ID`], each with its line, counted from 1.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut rows = Vec::new();
    let mut table = Table::None;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            table = Table::None;
            continue;
        };
        table = match table {
            Table::None if cells[0] == ID => Table::Checked,
            Table::None => Table::Other,
            other => other,
        };
        let is_heading = cells[0] == ID || cells[0].starts_with("--");
        if matches!(table, Table::Checked) && !is_heading {
            rows.push((index + 1, cells));
        }
    }
    rows
}

/// The cells of a line of a table; `None` for any other line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.trim_end();
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    Some(inner.split('|').map(str::trim).collect())
}

/// An id is the RFC, the section and a number, as in `6455-5.1-3`.
fn id_problem<'a>(id: &'a str, ids: &mut HashSet<&'a str>) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = id.split('-').collect();
    let is_id = matches!(parts[..], [rfc, section, number]
        if RFCS.contains(&rfc) && section.split('.').all(is_number) && is_number(number));
    if !is_id {
        return Some(format!("{id:?} is no id: give one like 6455-5.1-3 (RFC, section, number)"));
    }
    (!ids.insert(id)).then(|| format!("{id} is there twice: give this row the next number"))
}

fn who_problem(who: &str) -> Option<String> {
    (!WHO.contains(&who)).then(|| format!("{who:?} keeps no rule: write one of {WHO:?}"))
}

/// What is wrong with the function and the test of a row.
fn proof_problems(sources: &Sources<'_>, id: &str, function: &str, test: &str) -> Vec<String> {
    match (function.strip_prefix(NOT_BUILT), test) {
        (Some(reason), "-") if reason.starts_with(": ") => Vec::new(),
        (Some(_), "-") => vec![format!("{id} is not built without a reason: say why")],
        (Some(_), _) => {
            vec![format!("{id} is not built but has a test: write `-` for the test or name the function")]
        }
        (None, _) => {
            let cells = [(function, Kind::Function), (test, Kind::Test)];
            cells.into_iter().flat_map(|(cell, kind)| sources.problems(id, cell, kind)).collect()
        }
    }
}
