//! `dmus clean`: removes run folders and, on request, what was provisioned.

use dmus::host::failure::Class;
use dmus::host::leftovers::{self, Cleaned};
use dmus::provision::Workspace;
use dmus::report::{error_line, out, out_json, table};
use serde_json::json;

use super::args::CleanArguments;
use super::error::Outcome;
use super::setup::mebibytes;

/// Removes run folders that no process writes and, with `--all`, everything that was provisioned; prints what was removed.
///
/// # Errors
/// None: what cannot be removed is printed, and the class is [`Class::Host`].
pub(super) fn clean(arguments: &CleanArguments) -> Outcome {
    let workspace = Workspace::find_anyhow();
    let swept = leftovers::sweep(Some(&workspace.cache()));
    let cleaned = leftovers::clean(&workspace.cache(), arguments.all);
    let class = (!cleaned.kept.is_empty()).then_some(Class::Host);
    if arguments.json {
        let Cleaned { removed, kept } = &cleaned;
        out_json(&json!({ "removed": removed, "kept": kept, "bytes": cleaned.bytes(), "swept": swept }));
        return Ok(class);
    }
    swept.iter().for_each(|what| out(&format!("swept     {what}")));
    let rows = cleaned.removed.iter();
    let rows: Vec<_> =
        rows.map(|removed| vec!["removed".to_owned(), mebibytes(removed.bytes), removed.what.clone()]).collect();
    if !rows.is_empty() {
        out(&table(&[], &[1], rows));
    }
    out(&format!("{} bytes removed ({})", cleaned.bytes(), mebibytes(cleaned.bytes())));
    cleaned.kept.iter().for_each(|what| error_line(&format!("kept: {what}")));
    Ok(class)
}
