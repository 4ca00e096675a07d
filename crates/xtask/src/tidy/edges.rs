//! Who may depend on whom: the arrows of the architecture, read from the manifests.
//! Invariant: a package that the table does not know is a problem, so no crate appears without its place.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{File, Problem, Tree};

/// Every package of the repository and the packages of the repository it may use.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("gannet-proto", &[]),
    ("gannet-driver", &[]),
    ("gannet", &["gannet-proto", "gannet-driver"]),
    ("gannet-server", &["gannet"]),
    ("loadgen", &["gannet"]),
    ("benches", &["gannet-proto", "gannet"]),
    ("gannet-fuzz", &["gannet-proto", "gannet"]),
    ("xtask", &[]),
];

/// The tables of a manifest that name dependencies.
const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Every edge between packages of the workspace that [`ALLOWED`] does not list.
pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut packages = Vec::new();
    for file in tree.ending_with("Cargo.toml") {
        match file.text.parse::<Table>() {
            Ok(manifest) => packages.extend(Package::read(file, manifest)),
            Err(error) => problems.push(file.problem(1, format!("not a manifest: {}", error.message()))),
        }
    }
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    problems.extend(packages.iter().flat_map(|package| package.problems(&ours)));
    problems
}

struct Package<'a> {
    file: &'a File,
    name: String,
    dependencies: BTreeSet<String>,
}

impl<'a> Package<'a> {
    /// `None` for a manifest of a workspace without a package.
    fn read(file: &'a File, manifest: Table) -> Option<Self> {
        let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let tables = targets.filter_map(Value::as_table).chain([&manifest]);
        let dependencies = tables.flat_map(dependencies_of).collect();
        Some(Self { file, name, dependencies })
    }

    fn problems(&self, ours: &BTreeSet<&str>) -> Vec<Problem> {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == self.name) else {
            let text =
                format!("package {} has no place: give it a row in the table of allowed edges", self.name);
            return vec![self.file.problem(self.line_of(&self.name), text)];
        };
        self.dependencies
            .iter()
            // A package may name itself: that is how its tests switch on features of its own.
            .filter(|dependency| **dependency != self.name)
            .filter(|dependency| {
                ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str())
            })
            .map(|dependency| {
                let text =
                    format!("{} must not depend on {dependency}: of ours it may use {allowed:?}", self.name);
                self.file.problem(self.line_of(dependency), text)
            })
            .collect()
    }

    /// The first line behind which `name` stands in the manifest.
    fn line_of(&self, name: &str) -> usize {
        // A dependency opens its line; the package name stands behind `name =`.
        let opens =
            |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
        let lines = || self.file.text.lines();
        let found = lines().position(opens).or_else(|| lines().position(|line| line.contains(name)));
        found.map_or(1, |index| index + 1)
    }
}

/// The package names in the dependency tables of `table`; a renamed dependency counts under its real name.
fn dependencies_of(table: &Table) -> Vec<String> {
    let tables = DEPENDENCY_TABLES.iter().filter_map(|name| table.get(*name)?.as_table());
    tables
        .flatten()
        .map(|(key, value)| value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned())
        .collect()
}
