//! `dmus list`: the cases of scenarios, and what each needs.

use dmus::provision::Workspace;
use dmus::report::{error_line, out, table};
use dmus::scenario::{Case, Host, Requirement, Scenario, Unmet};
use serde_json::{Value, json};

use super::error::Outcome;
use super::run_arguments::ListArguments;
use super::scenarios;

/// A case and whether it would run.
struct Row<'a> {
    scenario: &'a Scenario,
    case: &'a Case,
    needs: Vec<String>,
    unmet: Option<Unmet>,
}

/// Prints a line for each case that the options choose. Builds, downloads and starts nothing.
///
/// # Errors
/// [`Error::Scenario`](super::error::Error::Scenario) when a file is unknown or malformed, or its matrix has too many cases;
/// [`Error::LastRun`](super::error::Error::LastRun) when `--last-failed` finds no record.
pub(super) fn list(arguments: &ListArguments) -> Outcome {
    let workspace = Workspace::find()?;
    let (last, mut named) = scenarios::last_failed(&workspace, &arguments.selection, &arguments.scenarios)?;
    if last.is_none() && named.is_empty() {
        named = scenarios::all();
    }
    let loaded = scenarios::load(&workspace, &named)?;
    let chosen = scenarios::selection(&arguments.selection, last, None, None).choose(loaded);
    let qemu = Host::qemu_at_hand(arguments.qemu.as_deref(), &workspace.cache());
    let host = Host { bundle: workspace.bundle.is_some(), qemu: qemu.as_deref() };
    let row = |scenario, case| {
        let needs = Scenario::needs(scenario, case).iter().map(Requirement::name).collect();
        Row { scenario, case, needs, unmet: scenario.unmet(case, &host) }
    };
    let rows: Vec<Row<'_>> =
        chosen.iter().flat_map(|scenario| scenario.cases.iter().map(move |case| row(scenario, case))).collect();
    let skipped = rows.iter().filter(|row| row.unmet.is_some()).count();
    if arguments.json {
        let cases: Vec<Value> = rows.iter().map(object).collect();
        out(&json!({ "cases": cases, "count": rows.len(), "skipped": skipped }).to_string());
        return Ok(None);
    }
    if !rows.is_empty() {
        let lines = rows.iter().map(|row| {
            let skip =
                row.unmet.as_ref().map_or_else(String::new, |unmet| format!("{}; {}", unmet.reason, unmet.remedy));
            let known = row.scenario.known_issues.iter().filter(|issue| issue.is_about(row.case)).count();
            let known = if known == 0 { String::new() } else { known.to_string() };
            vec![
                row.scenario.full_name(row.case),
                row.scenario.tags.join(" "),
                set(row.scenario).to_owned(),
                row.needs.join(" "),
                known,
                skip,
            ]
        });
        out(&table(&["case", "tags", "set", "needs", "known issues", "skipped here"], &[4], lines));
    }
    error_line(&format!("{} cases of {} scenarios, {skipped} would be skipped here", rows.len(), chosen.len()));
    Ok(None)
}

fn set(scenario: &Scenario) -> &'static str {
    if scenario.integration { "integration" } else { "full" }
}

fn object(row: &Row<'_>) -> Value {
    let Row { scenario, case, needs, unmet } = row;
    let axes: serde_json::Map<String, Value> =
        case.axes.iter().map(|(axis, text)| (axis.clone(), text.clone().into())).collect();
    let issues = scenario.known_issues.iter().filter(|issue| issue.is_about(case));
    let issues: Vec<Value> = issues
        .map(|issue| {
            json!({ "reason": issue.reason, "link": issue.link, "review_by": issue.review_by.to_string(),
                    "expect": issue.expect.to_string() })
        })
        .collect();
    json!({
        "name": scenario.full_name(case),
        "scenario": scenario.name,
        "title": scenario.title,
        "file": scenario.path.to_string_lossy(),
        "line": case.line,
        "axes": axes,
        "tags": scenario.tags,
        "set": set(scenario),
        "needs": needs,
        "known_issues": issues,
        "skipped": unmet,
    })
}
