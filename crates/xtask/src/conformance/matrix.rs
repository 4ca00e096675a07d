//! The results of a run as a matrix: rows of the acceptance matrix down, servers across.
//! Invariant: rows, cases and servers keep the order in which the results have them.

use std::fmt::Write as _;

use serde_json::Value;

/// One case on one server.
#[derive(Debug)]
struct Outcome {
    server: String,
    group: String,
    group_title: String,
    id: String,
    title: String,
    /// What was expected and what came instead.
    difference: Option<(String, String)>,
}

/// Everything that came.
#[derive(Debug)]
pub(super) struct Matrix {
    outcomes: Vec<Outcome>,
}

impl Matrix {
    /// Reads results, one JSON object per line.
    ///
    /// # Errors
    /// There are none, or a line is not as the tests write it.
    pub(super) fn parse(lines: &str) -> Result<Self, String> {
        let outcomes = lines.lines().map(parse_outcome).collect::<Result<Vec<_>, _>>()?;
        if outcomes.is_empty() { Err("there are no results".into()) } else { Ok(Self { outcomes }) }
    }

    fn servers(&self) -> Vec<&str> {
        unique(self.outcomes.iter().map(|outcome| outcome.server.as_str()))
    }

    /// The rows: id and title.
    fn groups(&self) -> Vec<(&str, &str)> {
        unique(self.outcomes.iter().map(|outcome| (outcome.group.as_str(), outcome.group_title.as_str())))
    }

    /// What a server did in a row: `ok`, or how many cases passed and what came in the others.
    fn cell(&self, group: &str, server: &str) -> String {
        let of_cell = |outcome: &&Outcome| outcome.group == group && outcome.server == server;
        let outcomes: Vec<&Outcome> = self.outcomes.iter().filter(of_cell).collect();
        let differences = outcomes.iter().filter_map(|outcome| outcome.difference.as_ref());
        let came = unique(differences.map(|(_, came)| came.as_str()));
        if came.is_empty() {
            return "ok".into();
        }
        let passed = outcomes.iter().filter(|outcome| outcome.difference.is_none()).count();
        format!("{passed}/{}: {}", outcomes.len(), came.join("; "))
    }

    /// How many cases a server passed, of how many.
    fn total(&self, server: &str) -> String {
        let outcomes = || self.outcomes.iter().filter(|outcome| outcome.server == server);
        let passed = outcomes().filter(|outcome| outcome.difference.is_none()).count();
        format!("{passed} of {}", outcomes().count())
    }

    /// Rows of equal width for a terminal.
    pub(super) fn to_text(&self) -> String {
        let rows = self.rows();
        let columns = rows.first().map_or(0, Vec::len);
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The matrix and the cases that differ, as two Markdown tables.
    pub(super) fn to_markdown(&self) -> String {
        let rows = self.rows();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            push_row(&mut text, row);
            if index == 0 {
                push_row(&mut text, &vec!["---".to_owned(); row.len()]);
            }
        }
        text.push_str("\n| case | input | expected | server | came |\n| --- | --- | --- | --- | --- |\n");
        for outcome in &self.outcomes {
            let Some((expected, came)) = &outcome.difference else { continue };
            let Outcome { server, id, title, .. } = outcome;
            push_row(&mut text, &[id, title, expected, server, came].map(String::from));
        }
        text
    }

    /// Title, rows and totals.
    fn rows(&self) -> Vec<Vec<String>> {
        let servers = self.servers();
        let row = |name: &str, title: &str, cell: &dyn Fn(&str) -> String| {
            let cells = servers.iter().map(|server| cell(server));
            [name.to_owned(), title.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
        };
        let mut rows = vec![row("row", "input", &str::to_owned)];
        for (group, title) in self.groups() {
            rows.push(row(group, title, &|server| self.cell(group, server)));
        }
        rows.push(row("", "cases passed", &|server| self.total(server)));
        rows
    }
}

fn push_row(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes all text");
}

/// The items without those that came before.
fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

fn parse_outcome(line: &str) -> Result<Outcome, String> {
    let wrong = |what: &str| format!("{what} in the result `{line}`");
    let value: Value = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
    let text = |name: &str| {
        let text = value[name].as_str().map(str::to_owned);
        text.ok_or_else(|| wrong(&format!("no {name}")))
    };
    let has_passed = value["passed"].as_bool().ok_or_else(|| wrong("no passed"))?;
    let difference = if has_passed { None } else { Some((text("expected")?, text("came")?)) };
    let (server, group, group_title) = (text("server")?, text("group")?, text("group_title")?);
    Ok(Outcome { server, group, group_title, id: text("id")?, title: text("title")?, difference })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str =
        r#"{"server":"ours","group":"P1","group_title":"unmasked","id":"P1a","title":"text","passed":true}"#;
    const FAILED: &str = r#"{"server":"other","group":"P1","group_title":"unmasked","id":"P1a","title":"text","passed":false,"expected":"Close 1002","came":"text of 5 bytes"}"#;

    #[test]
    fn a_cell_is_ok_or_what_came_instead() {
        let other_passed = PASSED.replace("ours", "other").replace("P1a", "P1b");
        let matrix = Matrix::parse(&[PASSED, FAILED, &other_passed].join("\n")).unwrap();
        let expected = "row  input         ours    other\n\
                        P1   unmasked      ok      1/2: text of 5 bytes\n     \
                             cases passed  1 of 1  1 of 2";
        assert_eq!(matrix.to_text(), expected);
    }

    #[test]
    fn the_markdown_lists_every_difference() {
        let text = Matrix::parse(&[PASSED, FAILED].join("\n")).unwrap().to_markdown();
        assert!(
            text.starts_with(
                "| row | input | ours | other |\n| --- | --- | --- | --- |\n| P1 | unmasked | ok |"
            ),
            "{text}"
        );
        assert!(text.ends_with("| P1a | text | Close 1002 | other | text of 5 bytes |\n"), "{text}");
    }

    #[test]
    fn results_that_are_none_are_an_error() {
        assert!(Matrix::parse("").is_err());
        assert!(Matrix::parse("{}").unwrap_err().contains("no passed"));
        assert!(Matrix::parse(&FAILED.replace("came", "went")).unwrap_err().contains("no came"));
    }
}
