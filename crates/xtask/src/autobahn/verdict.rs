//! What every case must result in, and what it did.
//! Invariant: both fields of a result count, `behavior` and `behaviorClose`; a missing one is as wrong as another value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How many cases the suite has.
pub(super) const CASES_TOTAL: usize = 517;
/// The result of a case that passed.
const OK: &str = "OK";
/// The result of a case whose outcome RFC 6455 leaves open.
const INFORMATIONAL: &str = "INFORMATIONAL";
/// The cases that are not to be [`OK`]. The suite gives them no verdict, whatever happens: a Ping behind a Close frame,
/// and close codes above 4999.
const INFORMATIONAL_CASES: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];
/// What stands for a result that is not in the report.
const MISSING: &str = "MISSING";

/// How the cases of a run ended.
#[derive(Debug)]
pub(super) struct Verdict {
    /// How many cases ended how; both fields are named where they differ.
    counts: BTreeMap<String, usize>,
    differences: Vec<Difference>,
}

/// A result that is not as expected.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    case: String,
    expected: &'static str,
    behavior: String,
    behavior_close: String,
    /// What the suite says about the case.
    report: PathBuf,
}

impl Verdict {
    /// Compares the `results` of `cases`, an object of the report's index, with what is expected. The suite's reports on
    /// the single cases are in the directory `reports`.
    pub(super) fn new(cases: &[String], results: &Value, reports: &Path) -> Self {
        let mut verdict = Self { counts: BTreeMap::new(), differences: Vec::new() };
        for case in cases {
            let result = &results[case];
            let field = |name: &str| result[name].as_str().unwrap_or(MISSING).to_owned();
            let (behavior, behavior_close) = (field("behavior"), field("behaviorClose"));
            let end = if behavior == behavior_close {
                behavior.clone()
            } else {
                format!("{behavior} with close {behavior_close}")
            };
            *verdict.counts.entry(end).or_default() += 1;
            let expected = expected(case);
            if behavior != expected || behavior_close != expected {
                let report = reports.join(field("reportfile"));
                let case = case.clone();
                verdict.differences.push(Difference { case, expected, behavior, behavior_close, report });
            }
        }
        verdict
    }

    /// How many results are not as expected.
    pub(super) const fn differences(&self) -> usize {
        self.differences.len()
    }

    /// The results that are not as expected, a line each under a headline; empty without any.
    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        if !self.differences.is_empty() {
            table = row("case", "expected", "behavior", "behaviorClose", "report");
        }
        for Difference { case, expected, behavior, behavior_close, report } in &self.differences {
            table += &row(case, expected, behavior, behavior_close, &report.display().to_string());
        }
        table
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let parts: Vec<String> = counts.iter().map(|(end, count)| format!("{count} {end}")).collect();
        write!(out, "{} of {}", parts.join(" + "), self.counts.values().sum::<usize>())
    }
}

fn expected(case: &str) -> &'static str {
    if INFORMATIONAL_CASES.contains(&case) { INFORMATIONAL } else { OK }
}

fn row(case: &str, expected: &str, behavior: &str, behavior_close: &str, report: &str) -> String {
    format!("{case:<8} {expected:<13} {behavior:<16} {behavior_close:<16} {report}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(results: &Value) -> Verdict {
        let cases = ["6.4.1", "7.1.6", "9.1.1"].map(str::to_owned);
        Verdict::new(&cases, results, Path::new("reports"))
    }

    fn results() -> Value {
        let ok = json!({"behavior": "OK", "behaviorClose": "OK", "reportfile": "case.json"});
        let open = json!({"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"});
        json!({"6.4.1": ok, "7.1.6": open, "9.1.1": ok})
    }

    #[test]
    fn ok_and_informational_where_they_belong_are_no_differences() {
        let verdict = verdict(&results());
        assert_eq!((verdict.differences(), verdict.table()), (0, String::new()));
        assert_eq!(verdict.to_string(), "2 OK + 1 INFORMATIONAL of 3");
    }

    #[test]
    fn either_field_alone_makes_a_difference() {
        for field in ["behavior", "behaviorClose"] {
            for value in ["NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"] {
                let mut results = results();
                results["6.4.1"][field] = value.into();
                let verdict = verdict(&results);
                assert_eq!(verdict.differences(), 1, "{field} {value}");
                assert!(verdict.table().contains("reports/case.json"), "{}", verdict.table());
            }
        }
    }

    #[test]
    fn an_open_case_that_is_ok_is_a_difference() {
        let mut results = results();
        results["7.1.6"] = results["6.4.1"].clone();
        assert_eq!(verdict(&results).differences(), 1);
    }

    #[test]
    fn a_case_without_a_result_is_a_difference() {
        let mut results = results();
        results.as_object_mut().unwrap().remove("9.1.1");
        let verdict = verdict(&results);
        assert_eq!(verdict.differences(), 1);
        assert_eq!(verdict.to_string(), "1 INFORMATIONAL + 1 MISSING + 1 OK of 3");
        assert_eq!(self::verdict(&Value::Null).differences(), 3);
    }

    #[test]
    fn fields_that_differ_are_counted_under_both_names() {
        let mut results = results();
        results["6.4.1"]["behavior"] = "NON-STRICT".into();
        assert!(verdict(&results).to_string().contains("1 NON-STRICT with close OK"));
    }
}
