//! Builds the example cards of `device/pci`, which scenarios name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::ProvisionError;
use super::guests;
use super::provisioner::{Overrides, Provisioner};
use super::workspace::Workspace;
use crate::event::Observer;
use crate::host::file_error::FileError;

/// The folder of the examples, from the workspace's root.
const EXAMPLES: &str = "device/pci/examples";

/// The programs that this process has built, by name: a scenario may need one for each of many cases.
static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// Returns the program of an example card that this process has built.
#[must_use]
pub fn built(name: &str) -> Option<PathBuf> {
    BUILT.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// Builds an example card for the host, optimised, and returns its program.
///
/// # Errors
/// [`ProvisionError::NoExample`] for a name that no example has, with those that there are; [`ProvisionError`] as of any build.
pub fn build(name: &str, workspace: &Workspace, observer: &dyn Observer) -> Result<PathBuf, ProvisionError> {
    // Held while it is built: a case beside this one waits for the same program.
    let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = all.get(name) {
        return Ok(program.clone());
    }
    if workspace.bundle.is_some() {
        return Err(ProvisionError::NotBundled { what: format!("the example card {name}") });
    }
    let known = names(&workspace.root.join(EXAMPLES))?;
    if !known.iter().any(|known| known == name) {
        return Err(ProvisionError::NoExample { name: name.into(), known });
    }
    let provisioner = Provisioner::new(workspace, Overrides::default(), observer)?;
    let program = guests::example_card(&provisioner, name)?;
    all.insert(name.into(), program.clone());
    Ok(program)
}

/// Returns the names of the examples in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, ProvisionError> {
    let entries = std::fs::read_dir(folder).map_err(FileError::own("read", folder))?;
    let sources = entries.flatten().map(|entry| entry.path());
    let sources = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_examples_by_their_sources() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(EXAMPLES);
        assert!(names(&folder).unwrap().contains(&"mpu401".to_owned()));
        assert!(names(Path::new("/nowhere")).is_err());
    }
}
