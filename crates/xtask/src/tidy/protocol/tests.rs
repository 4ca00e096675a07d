//! The check of `docs/protocol.md`, shown to fail on small documents.

use super::problems;
use crate::tidy::{File, Tree};

/// A file with two functions, a test, a test of a macro, and names that are neither.
const CODE: &str = "//! A file.\npub(crate) fn parse(bytes: &[u8]) {}\nconst fn write<'a>(text: &'a str) {}\n\
    // fn commented() {}\nconst TEXT: &str = \"fn quoted() {}\";\n\
    #[test]\n#[should_panic] // fn here\nfn it_parses() {}\n\
    proptest! {\n    #[test]\n    fn it_parses_anything(bytes in any()) {}\n}\n\
    conformance! { #[test] fn on_one_line() {} }\nfn helper() {}\n";
const CASES: &str =
    "//! Cases.\nconst CASES: [Case; 2] = [case(\"P8b\"), case(\"P9a a name\")];\n// case(\"P7\")\n";
const PATH: &str = "`crates/proto/src/a.rs`";
const HEAD: &str = "# A\n\n| id | rule | who | function | test |\n|---|---|---|---|---|\n";

/// The problems of a document with these rows; the first row is on line 5.
fn problems_of(rows: &str) -> Vec<String> {
    let files = [
        ("docs/protocol.md", format!("{HEAD}{rows}")),
        ("crates/proto/src/a.rs", CODE.to_owned()),
        ("crates/engine/tests/conformance/close.rs", CASES.to_owned()),
    ];
    let files = files.into_iter().map(|(path, text)| File { path: path.to_owned(), text }).collect();
    problems(&Tree { files }).iter().map(ToString::to_string).collect()
}

/// The problems of one row with this function and this test.
fn problems_of_proof(function: &str, test: &str) -> Vec<String> {
    problems_of(&format!("| 6455-5.1-1 | masks | server | {function} | {test} |\n"))
}

fn assert_one_problem(problems: &[String], start: &str) {
    assert!(problems.len() == 1 && problems[0].starts_with(start), "{start}: {problems:?}");
}

#[test]
fn a_row_that_names_a_function_and_a_test_is_tidy() {
    let tests = [
        format!("{PATH} `it_parses`"),
        format!("{PATH} `it_parses_anything`, `on_one_line`"),
        format!(
            "{PATH} `it_parses`; `crates/engine/tests/conformance/close.rs` `P8b` `P9a`; `autobahn 6.4.3`"
        ),
        "`autobahn 5.18`".to_owned(),
    ];
    for test in tests {
        assert_eq!(problems_of_proof(&format!("{PATH} `parse`, `write`"), &test), [""; 0], "{test}");
    }
}

#[test]
fn a_file_that_is_missing_is_one_problem() {
    let start = "docs/protocol.md:5: 6455-5.1-1: crates/proto/src/gone.rs is no Rust file";
    assert_one_problem(
        &problems_of_proof("`crates/proto/src/gone.rs` `parse`", &format!("{PATH} `it_parses`")),
        start,
    );
    // A path counts from the root, so that it can be opened.
    let start = "docs/protocol.md:5: 6455-5.1-1: src/a.rs is no Rust file";
    assert_one_problem(&problems_of_proof("`src/a.rs` `parse`", &format!("{PATH} `it_parses`")), start);
}

#[test]
fn a_function_that_is_missing_commented_or_quoted_is_a_problem() {
    for name in ["gone", "pars", "parse_all", "commented", "quoted", "here"] {
        let problems = problems_of_proof(&format!("{PATH} `{name}`"), &format!("{PATH} `it_parses`"));
        assert_one_problem(&problems, &format!("docs/protocol.md:5: 6455-5.1-1: Function {name} is not in"));
    }
}

#[test]
fn a_test_that_is_missing_or_a_plain_function_is_a_problem() {
    for name in ["gone", "helper", "parse", "P8b"] {
        let problems = problems_of_proof(&format!("{PATH} `parse`"), &format!("{PATH} `{name}`"));
        assert_one_problem(&problems, &format!("docs/protocol.md:5: 6455-5.1-1: Test {name} is not in"));
    }
}

#[test]
fn a_conformance_case_that_is_missing_or_commented_is_a_problem() {
    for case in ["P8", "P8a", "P9", "P7"] {
        let cell = format!("`crates/engine/tests/conformance/close.rs` `{case}`");
        let problems = problems_of_proof(&format!("{PATH} `parse`"), &cell);
        assert_one_problem(&problems, &format!("docs/protocol.md:5: 6455-5.1-1: Test {case} is not in"));
    }
}

#[test]
fn an_autobahn_case_of_another_form_or_in_the_place_of_a_function_is_a_problem() {
    for case in ["8.1", "6", "6.4.3.1", "6.x", "14.1", "1.0"] {
        let problems = problems_of_proof(&format!("{PATH} `parse`"), &format!("`autobahn {case}`"));
        assert_one_problem(&problems, &format!("docs/protocol.md:5: 6455-5.1-1: \"{case}\" is no case"));
    }
    let problems = problems_of_proof("`autobahn 1.1.1`", "`autobahn 1.1.1`");
    assert_one_problem(&problems, "docs/protocol.md:5: 6455-5.1-1: \"1.1.1\" is no case");
}

#[test]
fn a_cell_without_a_path_or_without_a_name_is_a_problem() {
    let test = format!("{PATH} `it_parses`");
    for (function, start) in [
        ("", "6455-5.1-1 names no Function"),
        ("-", "6455-5.1-1 names no Function"),
        ("`parse`", "6455-5.1-1: \"parse\" without a file"),
        (PATH, "6455-5.1-1: crates/proto/src/a.rs without a name"),
    ] {
        assert_one_problem(&problems_of_proof(function, &test), &format!("docs/protocol.md:5: {start}"));
    }
    let problems = problems_of_proof(&format!("{PATH} `parse`"), "-");
    assert_one_problem(&problems, "docs/protocol.md:5: 6455-5.1-1 names no Test");
}

#[test]
fn a_row_that_is_not_built_has_a_reason_and_no_test() {
    assert_eq!(problems_of_proof("not built: no TLS yet", "-"), [""; 0]);
    for (function, test) in
        [("not built: ", "-"), ("not built", "-"), ("not built: no TLS yet", "`autobahn 1.1.1`")]
    {
        assert_one_problem(&problems_of_proof(function, test), "docs/protocol.md:5: 6455-5.1-1 ");
    }
}

#[test]
fn an_id_that_repeats_or_has_another_form_is_a_problem() {
    let row = |id: &str| format!("| {id} | rule | both | not built: a test | - |\n");
    let repeated = format!("{}{}\n{HEAD}{}", row("6455-5.1-1"), row("6455-5.1-2"), row("6455-5.1-1"));
    assert_one_problem(&problems_of(&repeated), "docs/protocol.md:12: 6455-5.1-1 is there twice");
    for id in ["", "5.1-1", "6455-5.1", "6455-5.-1", "2616-5.1-1", "6455-5.1-a", "6455-5.1-1-2"] {
        assert_one_problem(&problems_of(&row(id)), &format!("docs/protocol.md:5: {id:?} is no id"));
    }
}

#[test]
fn a_row_with_a_cell_too_many_or_too_few_is_a_problem() {
    for (row, cells) in [
        ("| 6455-5.1-1 | rule | both | not built: a test |\n", 4),
        ("| 6455-5.1-1 | a | b | both | not built: a test | - |\n", 6),
    ] {
        assert_one_problem(
            &problems_of(row),
            &format!("docs/protocol.md:5: a row of {cells} cells, 5 expected"),
        );
    }
}

#[test]
fn a_rule_is_for_the_server_the_client_or_both() {
    let problems = problems_of("| 6455-5.1-1 | rule | proxy | not built: a test | - |\n");
    assert_one_problem(&problems, "docs/protocol.md:5: \"proxy\" keeps no rule");
}

#[test]
fn other_tables_and_other_documents_are_not_read() {
    let row = "| 6455-5.1-1 | rule | both | not built: a test | - |\n";
    let other = "\nText.\n\n| section | why |\n|---|---|\n| §1 | an introduction |\n";
    assert_eq!(problems_of(&format!("{row}{other}")), [""; 0]);
    let files = vec![File { path: "docs/testing.md".to_owned(), text: format!("{HEAD}| x | y |\n") }];
    assert_eq!(problems(&Tree { files }), []);
}

#[test]
fn a_document_without_a_row_is_a_problem() {
    assert_one_problem(&problems_of(""), "docs/protocol.md:1: no table");
}
