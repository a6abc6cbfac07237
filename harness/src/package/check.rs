//! Checks the packages of this project's driver as its test run does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use driver_package::Architecture;

use super::error::PackError;
use super::make::make;
use super::signers::Signers;
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::provision::image_check::Check;

/// Makes a package twice with a new test certificate, and checks that both have the same bytes and that a byte which is altered is
/// noticed.
///
/// # Errors
/// [`PackError`] when a package cannot be made.
pub fn check(image: &Path, inf: &Path, architecture: Architecture) -> Result<Vec<Check>, PackError> {
    let scratch = Scratch::new()?;
    let signers = Signers::test(&scratch.path().join("signer"))?;
    let mut made = Vec::new();
    for name in ["one", "other"] {
        made.push(make((image, inf), architecture, &scratch.path().join(name), None, &signers)?);
    }
    let (one, other) = (files(&made[0].folder)?, files(&made[1].folder)?);
    let name = |what: &str| format!("package for {}: {what}", architecture.name());
    let refusals: Vec<String> =
        made[0].verdict.windows.iter().filter(|it| it.is_meant).flat_map(|it| it.refusals.clone()).collect();
    let differing: Vec<&String> = one.keys().filter(|file| one.get(*file) != other.get(*file)).collect();
    let mut checks = vec![
        Check { name: name("each Windows that it is for would take it"), violation: first(&refusals) },
        Check { name: name("the same input makes the same bytes"), violation: first(&differing) },
    ];
    let mut unnoticed = Vec::new();
    for file in ["dmuscard.sys", "dmuscard.inf"] {
        let path = made[1].folder.join(file);
        let mut bytes = one.get(file).cloned().unwrap_or_default();
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(&path, &bytes).map_err(FileError::own("write", &path))?;
        let catalog = made[1].folder.join("dmuscard.cat");
        let verdict = driver_package::FolderVerdict::of(&made[1].folder, &catalog, std::time::SystemTime::now())?;
        let altered =
            |it: &driver_package::FileVerdict| it.name == file && it.state == driver_package::FileState::Altered;
        if verdict.holds() || !verdict.files.iter().any(altered) {
            unnoticed.push(format!("{file} with byte {middle} altered"));
        }
        fs::write(&path, one.get(file).cloned().unwrap_or_default()).map_err(FileError::own("write", &path))?;
    }
    checks.push(Check { name: name("an altered byte is noticed in its file"), violation: first(&unnoticed) });
    Ok(checks)
}

fn first(found: &[impl ToString]) -> Option<String> {
    found.first().map(ToString::to_string)
}

fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, PackError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(FileError::own("read", folder))? {
        let path = entry.map_err(FileError::own("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, fs::read(&path).map_err(FileError::own("read", &path))?);
    }
    Ok(files)
}
