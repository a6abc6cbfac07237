//! `dmus doctor`: what this machine has, what it lacks, and what fixes it.

use dmus::host::failure::Diagnosed;
use dmus::host::leftovers;
use dmus::image::{Image, ImageError, Store};
use dmus::provision::Workspace;
use dmus::provision::doctor::{self, Finding, State};
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
    let mut findings = doctor::inspect(&workspace, measured);
    findings.extend(images());
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

/// Returns a finding for the images of the user: how many are whole, and each that is not as it was made.
fn images() -> Vec<Finding> {
    let finding = |state, detail: String, remedy: Option<String>| Finding {
        what: "images",
        state,
        detail,
        remedy,
        of_host: true,
    };
    let listed = Store::of_user().and_then(|store| Ok((store.list()?, store.folder().display().to_string())));
    let (images, folder) = match listed {
        Ok(listed) => listed,
        Err(error) => return vec![finding(State::Optional, error.to_string(), error.remedy())],
    };
    let half = images.iter().flatten().filter(|image| image.half).count();
    let unsound = |image: &Result<Image, ImageError>| match image {
        Ok(image) if image.half => None,
        Ok(image) => image.check().err().map(|error| finding(State::Optional, error.to_string(), error.remedy())),
        Err(error) => Some(finding(State::Optional, error.to_string(), error.remedy())),
    };
    let unsound: Vec<Finding> = images.iter().filter_map(unsound).collect();
    let whole = images.len() - half - unsound.len();
    let text = format!("{whole} whole, {half} half-made under {folder}");
    [finding(State::Found, text, None)].into_iter().chain(unsound).collect()
}

fn print_swept(swept: &[String]) {
    swept.iter().for_each(|what| out(&format!("swept     {what}")));
}
