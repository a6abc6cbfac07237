//! `dmus doctor`: what this machine has, what it lacks, and what fixes it.

use dmus::host::leftovers;
use dmus::provision::Workspace;
use dmus::provision::doctor::{self, State};
use dmus::report::{out, out_json, table};
use dmus::testbed::measured;
use serde_json::json;

use super::args::DoctorArguments;
use super::error::Outcome;

/// Inspects this machine and prints a line for each finding.
///
/// # Errors
/// None: what cannot be read is a finding.
pub(super) fn doctor(arguments: &DoctorArguments) -> Outcome {
    let workspace = Workspace::find_anyhow();
    let swept = leftovers::sweep(Some(&workspace.cache()));
    if arguments.sweep {
        if arguments.json {
            out_json(&json!({ "swept": swept }));
        } else if swept.is_empty() {
            out("nothing was left over");
        } else {
            print_swept(&swept);
        }
        return Ok(None);
    }
    let measured = measured(&workspace)
        .map(|(choice, qemu)| format!("{}: {} (with {})", choice.accelerator.name(), choice.reason, qemu.display()));
    let findings = doctor::inspect(&workspace, measured);
    let class = doctor::class(&findings);
    if arguments.json {
        out_json(&json!({ "findings": findings, "healthy": class.is_none(), "swept": swept }));
        return Ok(class);
    }
    let mut rows = Vec::new();
    for finding in &findings {
        let word = match finding.state {
            State::Found => "ok",
            State::Provisioned => "later",
            State::Optional => "optional",
            State::Missing => "MISSING",
        };
        rows.push(vec![word.to_owned(), finding.what.to_owned(), finding.detail.clone()]);
        rows.extend(finding.remedy.iter().map(|remedy| vec![String::new(), String::new(), format!("fix: {remedy}")]));
    }
    out(&table(&[], &[], rows));
    print_swept(&swept);
    Ok(class)
}

fn print_swept(swept: &[String]) {
    swept.iter().for_each(|what| out(&format!("swept     {what}")));
}
