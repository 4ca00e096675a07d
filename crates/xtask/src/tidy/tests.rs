//! Each rule, shown to fail on a small tree and to pass on the repository.
//! Invariant: a fake tree lives below `target` and is gone when its test ends.

use std::fs;
use std::path::PathBuf;

use super::scan::code_only;
use super::{check, problems};
use crate::root;

/// A tree of files below `target`.
struct FakeTree {
    root: PathBuf,
}

impl FakeTree {
    /// Writes `files`, each a path below the root and its content. `name` must be the test's own.
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let tree =
            Self { root: root().join("target/tidy-tests").join(format!("{name}-{}", std::process::id())) };
        for (path, text) in files {
            let path = tree.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    /// The problems of the tree, a line each.
    fn problems(&self) -> Vec<String> {
        problems(&self.root).unwrap().iter().map(ToString::to_string).collect()
    }
}

impl Drop for FakeTree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Asserts that a tree of `files` has exactly one problem, which begins with `start`.
fn assert_one_problem(name: &str, files: &[(&str, &str)], start: &str) {
    let problems = FakeTree::new(name, files).problems();
    assert!(problems.len() == 1 && problems[0].starts_with(start), "{start}: {problems:?}");
}

fn assert_tidy(name: &str, files: &[(&str, &str)]) {
    assert_eq!(FakeTree::new(name, files).problems(), [""; 0]);
}

const PROTO: (&str, &str) = ("crates/proto/Cargo.toml", "[package]\nname = \"gannet-proto\"\n");

#[test]
fn the_repository_is_tidy() {
    assert_eq!(check(&root()), Ok(()));
}

#[test]
fn an_edge_that_points_up_is_a_problem() {
    let driver =
        "[package]\nname = \"gannet-driver\"\n[dependencies]\nmio = \"1\"\ngannet-proto.workspace = true\n";
    assert_one_problem(
        "edge",
        &[PROTO, ("crates/driver/Cargo.toml", driver)],
        "crates/driver/Cargo.toml:5: gannet-driver must not depend on gannet-proto",
    );
}

#[test]
fn an_edge_hides_neither_in_other_tables_nor_behind_another_name() {
    for (name, table) in [("dev", "dev-dependencies"), ("target", "target.'cfg(unix)'.dependencies")] {
        let driver = format!(
            "[package]\nname = \"gannet-driver\"\n[{table}]\nwire = {{ package = \"gannet-proto\", path = \"..\" }}\n"
        );
        let start = "crates/driver/Cargo.toml:4: gannet-driver must not depend on gannet-proto";
        assert_one_problem(name, &[PROTO, ("crates/driver/Cargo.toml", &driver)], start);
    }
}

#[test]
fn a_package_without_a_place_is_a_problem() {
    let util = "[package]\nname = \"gannet-util\"\n";
    assert_one_problem(
        "place",
        &[("crates/util/Cargo.toml", util)],
        "crates/util/Cargo.toml:2: package gannet-util",
    );
}

#[test]
fn an_allowed_edge_is_tidy() {
    let engine = "[package]\nname = \"gannet\"\n[dependencies]\ngannet-proto.workspace = true\n";
    assert_tidy("allowed", &[PROTO, ("crates/engine/Cargo.toml", engine)]);
    let itself =
        "[package]\nname = \"gannet\"\n[dev-dependencies]\ngannet = { path = \".\", features = [\"sim\"] }\n";
    assert_tidy("itself", &[PROTO, ("crates/engine/Cargo.toml", itself)]);
}

#[test]
fn a_file_that_does_not_say_what_it_is_is_a_problem() {
    assert_one_problem("header", &[("src/a.rs", "use std::io;\n")], "src/a.rs:1: a file opens with `//!`");
}

#[test]
fn unsafe_outside_its_places_is_a_problem() {
    let code = "//! A file.\n\n// SAFETY: none.\nunsafe { f() }\n";
    assert_one_problem(
        "unsafe",
        &[("crates/engine/src/a.rs", code)],
        "crates/engine/src/a.rs:4: `unsafe` is allowed",
    );
    assert_one_problem(
        "attribute",
        &[("a.rs", "//! A file.\n#[unsafe(no_mangle)]\n")],
        "a.rs:2: `unsafe` is allowed",
    );
}

#[test]
fn the_word_unsafe_in_comments_strings_and_longer_names_is_tidy() {
    let code = "//! Not unsafe.\n#![forbid(unsafe_code)]\n/* unsafe /* unsafe */ unsafe */\n\
                const A: &str = \"unsafe \\\" unsafe\";\nconst B: &str = r#\"unsafe \" unsafe\"#;\n\
                const C: (char, char) = ('\"', '\\''); // unsafe\nfn f<'a>(not_unsafe: &'a str) {}\n";
    assert_tidy("words", &[("src/a.rs", code)]);
}

#[test]
fn an_unsafe_block_without_a_proof_is_a_problem() {
    let path = "crates/driver/src/a.rs";
    let start = "crates/driver/src/a.rs:4: an `unsafe` block without its proof";
    for (name, code) in [
        ("bare", "//! A file.\n\nfn f() {\n    unsafe { g() }\n}\n"),
        ("distant", "//! A file.\n// SAFETY: of another line.\nlet a = 1;\nlet b = unsafe { g() };\n"),
        ("broken", "//! A file.\n\n// Not a proof.\nunsafe\n{ g() }\n"),
    ] {
        assert_one_problem(name, &[(path, code)], start);
    }
}

#[test]
fn an_unsafe_block_below_its_proof_is_tidy() {
    let code = "//! A file.\nfn f() {\n    // SAFETY: g has no conditions,\n    // as its documentation says.\n    \
                let a =\n        unsafe { g() };\n}\n/// # Safety\n/// None.\nunsafe fn g() {}\n";
    assert_tidy("proof", &[("crates/driver/src/a.rs", code), ("crates/proto/src/mask/simd.rs", code)]);
}

#[test]
fn a_file_of_more_than_600_lines_is_a_problem() {
    let code = |lines: usize| format!("//! A file.\n{}", "\n".repeat(lines - 1));
    assert_one_problem("long", &[("src/a.rs", &code(601))], "src/a.rs:601: 601 lines, 600 allowed");
    assert_tidy("full", &[("src/a.rs", &code(600))]);
}

#[test]
fn unfinished_work_is_a_problem() {
    for (name, line) in
        [("todo", "todo!()"), ("dbg", "dbg!(1)"), ("unimplemented", "std::unimplemented!(\"later\")")]
    {
        let code = format!("//! A file.\nfn f() {{ {line} }}\n");
        assert_one_problem(name, &[("loadgen/src/a.rs", &code)], "loadgen/src/a.rs:2: ");
    }
}

#[test]
fn printing_is_for_the_programs_with_a_terminal() {
    let code = "//! A file.\nfn f() { println!(\"hello\") }\n";
    assert_one_problem("print", &[("crates/engine/src/a.rs", code)], "crates/engine/src/a.rs:2: println!");
    let allowed = ["loadgen/src/a.rs", "crates/server/src/a.rs", "crates/xtask/src/a.rs"];
    assert_tidy("terminal", &allowed.map(|path| (path, code)));
}

#[test]
fn a_link_that_leads_nowhere_is_a_problem() {
    let readme =
        "# A\n\n[here](docs/a.md#part), [there](docs/b.md), [web](https://example.org/c.md), [part](#a)\n";
    let files = [("README.md", readme), ("docs/a.md", "[back](../README.md)\n")];
    assert_one_problem("link", &files, "README.md:3: \"docs/b.md\" does not exist");
}

#[test]
fn a_file_name_that_does_not_exist_is_a_problem() {
    let document = "`a.rs` `crates/proto/src/a.rs` `src/a.rs` `crates/proto/` `README.md` `a/b` `f.rs {}`\n\
                    ```\n`example.rs`\n```\n`gone.rs`\n";
    let files = [("README.md", ""), ("docs/a.md", document), ("crates/proto/src/a.rs", "//! A file.\n")];
    assert_one_problem("name", &files, "docs/a.md:5: \"gone.rs\" does not exist");
    let directory = [("README.md", "See `crates/gone`.\n"), ("crates/proto/src/a.rs", "//! A file.\n")];
    assert_one_problem("directory", &directory, "README.md:1: \"crates/gone\" does not exist");
}

#[test]
fn code_keeps_the_lines_and_columns_of_the_source() {
    let source = "let a = \"x\ny\"; // é\nlet b = br##\"\"#\"##;";
    assert_eq!(code_only(source), "let a =   \n  ;     \nlet b = b         ;");
}
