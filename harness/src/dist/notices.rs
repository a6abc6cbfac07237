//! The licences of the crates that the programs of a download are made of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use super::error::DistError;
use crate::host::file_error::FileError;
use crate::provision::Workspace;

/// The crates whose programs a download holds.
const ROOTS: [&str; 5] = ["dmus", "dmus-card", "vhost-user-guard", "nt-host", "dmuscard"];

/// Returns the names, versions and licences of all crates that the programs depend on, and each text of a licence once, with
/// the crates that it comes with.
///
/// # Errors
/// [`DistError::Malformed`] when cargo does not tell of what they are made, [`DistError::File`] when a text cannot be read.
pub(super) fn text(workspace: &Workspace) -> Result<String, DistError> {
    let manifest = workspace.root.join("Cargo.toml");
    let malformed = |reason: String| DistError::Malformed { path: manifest.clone(), reason };
    let metadata =
        MetadataCommand::new().manifest_path(&manifest).exec().map_err(|error| malformed(error.to_string()))?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for id in dependencies(&metadata).ok_or_else(|| malformed("cargo resolves no dependencies".into()))? {
        let package = &metadata[&id];
        if package.source.is_none() {
            continue;
        }
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.clone().unwrap_or_else(|| "see its text".into());
        let _ = writeln!(list, "{name}: {licence}");
        let folder =
            package.manifest_path.parent().map_or(Path::new("."), cargo_metadata::camino::Utf8Path::as_std_path);
        for text in licences(folder)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let mut all = format!("The programs are made of these crates, beside the project's own:\n\n{list}");
    for (text, names) in texts {
        let names: Vec<String> = names.into_iter().collect();
        let _ = write!(all, "\n{}\n{}\n\n{}\n", "-".repeat(100), names.join(", "), text.trim());
    }
    Ok(all)
}

/// Returns the packages that the programs are made of, in order of their ids; without what only builds or tests them.
fn dependencies(metadata: &Metadata) -> Option<BTreeSet<PackageId>> {
    let resolve = metadata.resolve.as_ref()?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut waiting: VecDeque<&PackageId> = metadata
        .packages
        .iter()
        .filter(|package| ROOTS.contains(&package.name.as_str()))
        .map(|found| &found.id)
        .collect();
    let mut all = BTreeSet::new();
    while let Some(id) = waiting.pop_front() {
        if !all.insert(id.clone()) {
            continue;
        }
        for dependency in &nodes.get(id)?.deps {
            if dependency.dep_kinds.iter().any(|found| found.kind == DependencyKind::Normal) {
                waiting.push_back(&dependency.pkg);
            }
        }
    }
    Some(all)
}

/// Reads the texts of licences in the folder of a crate.
fn licences(folder: &Path) -> Result<Vec<String>, DistError> {
    const NAMES: [&str; 4] = ["LICEN", "COPYING", "NOTICE", "UNLICENSE"];
    let mut texts = Vec::new();
    for path in fs::read_dir(folder).map_err(FileError::own("read", folder))?.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|prefix| name.starts_with(prefix)) {
            let text = fs::read(&path).map_err(FileError::own("read", &path))?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_the_programs_are_made_of_and_not_what_tests_them() {
        let workspace = Workspace::find().unwrap();
        let text = text(&workspace).unwrap();
        for name in ["vhost-user-backend ", "talc ", "clap "] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
        }
        assert!(!text.lines().any(|line| line.starts_with("petgraph ") || line.starts_with("dmus ")));
        assert!(text.contains("Permission is hereby granted"));
    }
}
