//! Finds and reads the scenarios that a command line names, and chooses their cases.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use card_control::Transport;
use dmus::provision::Workspace;
use dmus::scenario::{LastRun, Scenario, ScenarioError, Selection, files_in};

use super::error::Error;
use super::run_arguments::SelectionArguments;

/// The name of all scenarios of the suite.
const ALL: &str = "all";

/// Reads the scenarios that the names lead to, each file once, in their order.
///
/// # Errors
/// [`Error::Scenario`] when a name leads to none, or a file is malformed.
pub(super) fn load(workspace: &Workspace, named: &[PathBuf]) -> Result<Vec<Scenario>, Error> {
    let mut seen = BTreeSet::new();
    let mut scenarios = Vec::new();
    for named in named {
        let path = shipped(workspace, named);
        for file in files_in(&path).map_err(|error| unknown(workspace, named, error))? {
            if seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                scenarios.push(Scenario::load(&file)?);
            }
        }
    }
    Ok(scenarios)
}

/// Returns all scenarios of the suite, by name.
pub(super) fn all() -> Vec<PathBuf> {
    vec![ALL.into()]
}

/// Returns what the options choose. `last` is the record of the last run, where they name it.
pub(super) fn selection(
    arguments: &SelectionArguments,
    last: Option<LastRun>,
    transport: Option<Transport>,
    shuffle: Option<u64>,
) -> Selection {
    Selection {
        filter: arguments.filter.clone(),
        tags: arguments.tag.clone(),
        not_tags: arguments.not_tag.clone(),
        set: arguments.set,
        last_failed: last,
        transport,
        shard: arguments.shard,
        shuffle,
    }
}

/// Reads the record of the last run, where the options name it, and returns the scenarios to read: those that are named, else those that
/// failed.
///
/// # Errors
/// [`Error::LastRun`] when there is no record, or it cannot be read.
pub(super) fn last_failed(
    workspace: &Workspace,
    arguments: &SelectionArguments,
    named: &[PathBuf],
) -> Result<(Option<LastRun>, Vec<PathBuf>), Error> {
    if !arguments.last_failed {
        return Ok((None, named.to_vec()));
    }
    let last = LastRun::read(&workspace.cache())?;
    // A file that is gone since cannot fail again.
    let files = last.failed.iter().map(|(file, _)| file.clone()).filter(|file| file.is_file());
    let named = if named.is_empty() { files.collect() } else { named.to_vec() };
    Ok((Some(last), named))
}

/// Returns the path of a name: a file or folder of that name, or a shipped scenario or folder.
fn shipped(workspace: &Workspace, named: &Path) -> PathBuf {
    if named.exists() {
        return named.into();
    }
    let suite = workspace.scenarios();
    let name = match named.to_str() {
        Some(ALL) => return suite,
        Some("broken") => "broken-drivers",
        Some("passing") => "passing-drivers",
        Some(name) => name,
        None => return named.into(),
    };
    // What takes longer than a suite should is in a folder of its own.
    let files = [suite.join(name), suite.join("long").join(name)].map(|path| path.with_extension("toml"));
    let folder = Some(suite.join(name)).filter(|path| path.is_dir());
    files.into_iter().find(|path| path.is_file()).or(folder).unwrap_or_else(|| named.into())
}

/// Returns the error of a name that is no file: perhaps a misspelt scenario, so it lists which there are.
fn unknown(workspace: &Workspace, named: &Path, error: ScenarioError) -> Error {
    if named.exists() {
        return error.into();
    }
    let suite = workspace.scenarios();
    let files = [suite.clone(), suite.join("long")].into_iter().filter_map(|folder| files_in(&folder).ok()).flatten();
    let names = files.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    ScenarioError::Unknown { named: named.into(), names }.into()
}
