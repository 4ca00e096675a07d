//! The smoke run of the load generator, and what its JSON must say.
//! Invariant: a field that is missing fails the run like a field that is wrong.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::steps::cargo;

/// Connections of the smoke run.
const CONNECTIONS: u64 = 2_000;
/// The systems that it drives.
const SYSTEMS: [&str; 3] = ["gannet", "tokio-tuned", "tokio"];
/// The systems whose cost it measures.
const COST_SYSTEMS: [&str; 3] = ["gannet", "tokio-tuned", "raw"];
/// Where the JSON of both runs goes, below the root.
const LOAD_JSON: &str = "target/smoke-load.json";
const COST_JSON: &str = "target/smoke-cost.json";

/// Drives every system for a second, measures every cost case for a moment and checks both reports.
///
/// # Errors
/// What failed, or which figure is not as it must be.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let connections = CONNECTIONS.to_string();
    let systems = SYSTEMS.join(",");
    #[rustfmt::skip]
    cargo(root, &[
        "run", "--quiet", "-p", "loadgen", "--",
        "--conns", &connections, "--systems", &systems, "--duration", "1", "--json", LOAD_JSON,
    ])?;
    check_load(&read_json(root, LOAD_JSON)?)?;
    let systems = COST_SYSTEMS.join(",");
    #[rustfmt::skip]
    cargo(root, &[
        "run", "--quiet", "-p", "loadgen", "--",
        "cost", "--systems", &systems, "--rounds", "2", "--block-ms", "20", "--json", COST_JSON,
    ])?;
    check_cost(&read_json(root, COST_JSON)?)
}

fn read_json(root: &Path, file: &str) -> Result<Value, String> {
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))
}

/// Every connection of every system opened and closed cleanly, and no message went astray.
fn check_load(report: &Value) -> Result<(), String> {
    for name in SYSTEMS {
        let system = system(&report["systems"], name)?;
        let expectations = [
            ("/opened", CONNECTIONS),
            ("/closed_cleanly", CONNECTIONS),
            ("/failed", 0),
            ("/paced/lost", 0),
            ("/paced/duplicated", 0),
            ("/paced/reordered", 0),
            ("/paced/corrupted", 0),
        ];
        for (figure, expected) in expectations {
            match system.pointer(figure) {
                Some(value) if value.as_u64() == Some(expected) => {}
                value => {
                    let value = value.unwrap_or(&Value::Null);
                    return Err(format!("{LOAD_JSON}: {name}{figure} is {value}, {expected} expected"));
                }
            }
        }
        if system.pointer("/paced/received").and_then(Value::as_u64).unwrap_or(0) == 0 {
            return Err(format!("{LOAD_JSON}: {name} received no paced message"));
        }
    }
    Ok(())
}

/// Every system of every case answered. Figures are not judged: a smoke run is too short for that.
fn check_cost(report: &Value) -> Result<(), String> {
    let cases = report["cases"].as_array().filter(|cases| !cases.is_empty());
    for case in cases.ok_or_else(|| format!("{COST_JSON} has no cases"))? {
        for name in COST_SYSTEMS {
            let blocks = system(&case["systems"], name)?["blocks"].as_array();
            let answered = |block: &Value| block["messages"].as_u64().is_some_and(|messages| messages > 0);
            if !blocks.is_some_and(|blocks| !blocks.is_empty() && blocks.iter().all(answered)) {
                return Err(format!(
                    "{COST_JSON}: {name} has a block without messages in case {}",
                    case["case"]
                ));
            }
        }
    }
    Ok(())
}

fn system<'a>(systems: &'a Value, name: &str) -> Result<&'a Value, String> {
    let mut systems = systems.as_array().into_iter().flatten();
    systems.find(|system| system["name"] == name).ok_or_else(|| format!("the report lacks the system {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load_report() -> Value {
        let paced = json!({"received": 10_000, "lost": 0, "duplicated": 0, "reordered": 0, "corrupted": 0});
        let system = |name| json!({"name": name, "opened": 2_000, "failed": 0, "closed_cleanly": 2_000, "paced": paced});
        json!({"schema": 1, "systems": SYSTEMS.map(system)})
    }

    fn cost_report() -> Value {
        let system = |name| json!({"name": name, "blocks": [{"messages": 64}, {"messages": 65}]});
        json!({"schema": 1, "cases": [{"case": "64x20", "systems": COST_SYSTEMS.map(system)}]})
    }

    #[test]
    fn a_run_without_losses_passes() {
        assert_eq!(check_load(&load_report()), Ok(()));
        assert_eq!(check_cost(&cost_report()), Ok(()));
    }

    #[test]
    fn one_lost_message_or_one_failed_connection_fails() {
        for (figure, value) in
            [("/paced/lost", 1), ("/failed", 1), ("/opened", 1_999), ("/closed_cleanly", 1_999)]
        {
            let mut report = load_report();
            *report["systems"][1].pointer_mut(figure).unwrap() = value.into();
            let error = check_load(&report).unwrap_err();
            assert!(error.contains(&format!("tokio-tuned{figure} is {value}")), "{error}");
        }
    }

    #[test]
    fn a_missing_figure_or_system_fails() {
        let mut report = load_report();
        report["systems"][0]["paced"].as_object_mut().unwrap().remove("lost");
        assert!(check_load(&report).unwrap_err().contains("gannet/paced/lost is null"));
        assert!(check_load(&json!({"systems": []})).is_err());
        assert!(check_cost(&json!({"cases": []})).is_err());
    }

    #[test]
    fn a_cost_block_without_messages_fails() {
        let mut report = cost_report();
        report["cases"][0]["systems"][2]["blocks"][1]["messages"] = 0.into();
        assert!(check_cost(&report).unwrap_err().contains("raw"));
    }
}
