//! What every Rust source file keeps to.
//! Invariant: words are looked for in code only; comments and strings may speak of anything.

use super::scan::{code_only, has_word};
use super::{File, Problem, Tree};

/// The most lines of a source file.
const LINES_MAX: usize = 600;
/// The only places where `unsafe` may stand: one crate and one file.
const UNSAFE_ALLOWED: [&str; 2] = ["crates/driver/src/", "crates/proto/src/mask/simd.rs"];
/// Macros that nothing finished contains.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
/// Macros that write to the terminal, and the packages that may.
const PRINTING: [&str; 4] = ["println!", "print!", "eprintln!", "eprint!"];
const PRINTING_ALLOWED: [&str; 4] = ["loadgen/", "crates/server/", "crates/xtask/", "crates/proto/examples/"];

/// Every breach of the rules for source files.
pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    tree.ending_with(".rs").flat_map(problems_of).collect()
}

fn problems_of(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !file.text.starts_with("//!") {
        problems.push(file.problem(1, "a file opens with `//!`: say what it is and its invariant"));
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let text = format!("{lines} lines, {LINES_MAX} allowed: split the file by purpose");
        problems.push(file.problem(LINES_MAX + 1, text));
    }
    let code = code_only(&file.text);
    for (index, line) in code.lines().enumerate() {
        problems.extend(macro_problem(file, line).map(|text| file.problem(index + 1, text)));
        if has_word(line, "unsafe") {
            problems.extend(unsafe_problem(file, &code, index).map(|text| file.problem(index + 1, text)));
        }
    }
    problems
}

fn macro_problem(file: &File, line: &str) -> Option<String> {
    if let Some(name) = UNFINISHED.iter().find(|name| has_word(line, name)) {
        return Some(format!("{name} is for unfinished work: finish it or leave it out"));
    }
    let may_print = PRINTING_ALLOWED.iter().any(|place| file.path.starts_with(place));
    let name = PRINTING.iter().find(|name| !may_print && has_word(line, name))?;
    Some(format!("{name} outside the programs with a terminal {PRINTING_ALLOWED:?}: return or trace it"))
}

fn unsafe_problem(file: &File, code: &str, index: usize) -> Option<String> {
    if !UNSAFE_ALLOWED.iter().any(|place| file.path.starts_with(place)) {
        return Some(format!(
            "`unsafe` is allowed in {UNSAFE_ALLOWED:?} only: find a safe way or move it there"
        ));
    }
    if opens_block(code, index) && !has_proof(file, code, index) {
        return Some("an `unsafe` block without its proof: put a `SAFETY:` comment above it".into());
    }
    None
}

/// Whether the `unsafe` on line `index` is followed by `{`, on this line or a later one.
fn opens_block(code: &str, index: usize) -> bool {
    let rest: String = code.lines().skip(index).collect();
    let Some((_, behind)) = rest.split_once("unsafe") else { return false };
    behind.trim_start().starts_with('{')
}

/// Whether the comment directly above the statement that holds line `index` contains `SAFETY:`.
fn has_proof(file: &File, code: &str, index: usize) -> bool {
    let source: Vec<&str> = file.text.lines().collect();
    let code: Vec<&str> = code.lines().collect();
    let is_comment = |line: usize| code[line].trim().is_empty() && !source[line].trim().is_empty();
    // A statement may begin some lines above its `unsafe`: up to a comment, a blank line or the end of another.
    let ends_another =
        |line: usize| code[line].trim().is_empty() || code[line].trim_end().ends_with([';', '{', '}']);
    let statement = (0..index).rev().take_while(|&line| !ends_another(line)).last().unwrap_or(index);
    (0..statement).rev().take_while(|&line| is_comment(line)).any(|line| source[line].contains("SAFETY:"))
}
