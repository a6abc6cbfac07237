//! A bundle: what a run needs, in one folder, so that nothing is built or downloaded.
//!
//! `dmus` looks for one in the folder that [`VARIABLE`] names, then in itself, then beside itself (`../lib/dmus`); without one it works
//! in a checkout.
//! [`crate::dist`] makes bundles.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::artefact::Artefact;
use super::error::ProvisionError;
use crate::host::hash::sha256_hex;

/// The variable that names the folder of a bundle.
pub const VARIABLE: &str = "DMUS_BUNDLE";

/// The variable that names the folder in which `dmus` has the folders of a bundle's runs, and what they remember.
pub const HOME_VARIABLE: &str = "DMUS_HOME";

/// The folder of a bundle below the prefix that the program is installed in.
pub(crate) const BELOW_PREFIX: &str = "lib/dmus";

/// The file that says what a bundle holds.
pub(crate) const MANIFEST: &str = "bundle.json";

/// The folder of its scenarios.
pub(crate) const SCENARIOS: &str = "scenarios";

/// The number of the form of [`Manifest`].
const FORMAT: u32 = 1;

/// What a bundle holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The number of this form.
    pub(crate) format: u32,
    /// The version of the harness that the bundle belongs to.
    pub(crate) version: String,
    /// Its files, by their paths in it.
    pub(crate) files: BTreeMap<String, Content>,
}

/// The content of a file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// Its size, in bytes.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Describes the files of a folder, all but a manifest.
    ///
    /// # Errors
    /// [`io::Error`] when a file cannot be read.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(folder).map_err(io::Error::other)?.to_string_lossy().into_owned();
                if name != MANIFEST {
                    files.insert(name, Content::of(&path)?);
                }
            }
        }
        Ok(Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").into(), files })
    }
}

impl Content {
    /// Reads a file's.
    ///
    /// # Errors
    /// [`io::Error`] when the file cannot be read.
    fn of(path: &Path) -> io::Result<Self> {
        let content = fs::read(path)?;
        Ok(Self { bytes: content.len() as u64, sha256: sha256_hex(&content) })
    }
}

/// The folder of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// Opens the bundle in a folder. Files are compared by their sizes: [`damaged`](Self::damaged) reads them.
    ///
    /// # Errors
    /// [`ProvisionError::Bundle`] when there is none, or it is of another version, or a file is missing or cut short.
    pub(crate) fn open(folder: &Path) -> Result<Self, ProvisionError> {
        let manifest = manifest(folder)?;
        if manifest.version != env!("CARGO_PKG_VERSION") {
            let reason =
                format!("it is of version {}, and this program of {}", manifest.version, env!("CARGO_PKG_VERSION"));
            return Err(unusable(folder, reason));
        }
        for (name, content) in &manifest.files {
            let bytes = fs::metadata(folder.join(name)).map(|metadata| metadata.len());
            match bytes {
                Ok(bytes) if bytes == content.bytes => {}
                Ok(bytes) => {
                    return Err(unusable(folder, format!("{name} has {bytes} bytes instead of {}", content.bytes)));
                }
                Err(error) => return Err(unusable(folder, format!("{name}: {error}"))),
            }
        }
        let folder = folder.canonicalize().map_err(|error| unusable(folder, error.to_string()))?;
        Ok(Self { folder })
    }

    /// Returns its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of an artefact; `None` where bundles do not hold it.
    pub(super) fn artefact(&self, artefact: Artefact) -> Option<PathBuf> {
        file_of(artefact).map(|name| self.folder.join(name))
    }

    /// Lists the files whose content is not what the manifest says.
    ///
    /// # Errors
    /// [`ProvisionError::Bundle`] when the manifest cannot be read.
    pub(super) fn damaged(&self) -> Result<Vec<String>, ProvisionError> {
        let manifest = manifest(&self.folder)?;
        let differs = |(name, content): &(String, Content)| {
            Content::of(&self.folder.join(name)).ok().is_none_or(|found| found != *content)
        };
        Ok(manifest.files.into_iter().filter(differs).map(|(name, _)| name).collect())
    }
}

/// Returns the name of an artefact's file in a bundle; `None` for what only measures or compares.
pub(crate) const fn file_of(artefact: Artefact) -> Option<&'static str> {
    match artefact {
        Artefact::Qemu => Some("qemu/qemu-system-x86_64"),
        Artefact::NtHost => Some("nt-host"),
        Artefact::Driver => Some("dmuscard.sys"),
        // The guard is looked for beside it.
        Artefact::Card => Some(card_control::PROGRAM),
        Artefact::DriverX86
        | Artefact::SynthBench
        | Artefact::TransportBench
        | Artefact::TraceBench
        | Artefact::FluidSynth
        | Artefact::SoundFont
        | Artefact::Chromium
        | Artefact::Lldb
        | Artefact::Wine
        | Artefact::Agent
        | Artefact::AgentX86
        | Artefact::Axe
        | Artefact::Ovmf
        | Artefact::DiscWriter
        | Artefact::StandIn => None,
    }
}

/// Returns the folder in which a bundle's runs leave what they leave: as the environment has it, else the user's cache (XDG Base
/// Directory Specification).
///
/// # Errors
/// [`ProvisionError::NoHome`] when the environment names no folder at all.
pub(super) fn home() -> Result<PathBuf, ProvisionError> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(home) = std::env::var_os(HOME_VARIABLE).filter(|value| !value.is_empty()) {
        return std::path::absolute(home).map_err(|_| ProvisionError::NoHome);
    }
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    cache.ok_or(ProvisionError::NoHome)
}

fn manifest(folder: &Path) -> Result<Manifest, ProvisionError> {
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| unusable(folder, format!("{MANIFEST}: {error}")))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| unusable(folder, format!("{MANIFEST}: {error}")))?;
    if manifest.format != FORMAT {
        let reason = format!("{MANIFEST} has form {}, and this program reads {FORMAT}", manifest.format);
        return Err(unusable(folder, reason));
    }
    Ok(manifest)
}

fn unusable(folder: &Path, reason: String) -> ProvisionError {
    ProvisionError::Bundle { folder: folder.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};
    use crate::host::leftovers::Scratch;

    fn bundle(folder: &Path) {
        fs::create_dir_all(folder.join("qemu")).unwrap();
        fs::write(folder.join("nt-host"), "image").unwrap();
        fs::write(folder.join("qemu/loader"), "loader").unwrap();
        let text = serde_json::to_vec(&Manifest::of(folder).unwrap()).unwrap();
        fs::write(folder.join(MANIFEST), text).unwrap();
    }

    #[test]
    fn opens_what_it_describes_and_names_artefacts_in_it() {
        let folder = Scratch::new().unwrap();
        bundle(folder.path());
        let bundle = Bundle::open(folder.path()).unwrap();
        assert_eq!(bundle.artefact(Artefact::NtHost).unwrap(), bundle.folder().join("nt-host"));
        assert_eq!(bundle.artefact(Artefact::SynthBench), None);
        assert_eq!(bundle.damaged().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn refuses_what_is_missing_cut_short_or_of_another_version_or_form_with_its_place() {
        let folder = Scratch::new().unwrap();
        let path = folder.path();
        let refused = |part: &str| {
            let error = Bundle::open(path).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(&path.display().to_string()), "{text}");
            assert_eq!(error.class(), Class::MissingArtefact);
            assert!(error.remedy().is_some());
        };
        refused("bundle.json: No such file");
        bundle(path);
        fs::write(path.join("nt-host"), "ima").unwrap();
        refused("nt-host has 3 bytes instead of 5");
        fs::remove_file(path.join("nt-host")).unwrap();
        refused("nt-host: No such file");
        bundle(path);
        let text = fs::read_to_string(path.join(MANIFEST)).unwrap();
        fs::write(path.join(MANIFEST), text.replace(env!("CARGO_PKG_VERSION"), "0.0.1")).unwrap();
        refused("of version 0.0.1, and this program of");
        fs::write(path.join(MANIFEST), text.replace("\"format\":1", "\"format\":2")).unwrap();
        refused("form 2");
        fs::write(path.join(MANIFEST), "{").unwrap();
        refused("EOF while parsing");
    }

    #[test]
    fn finds_files_that_were_altered_but_not_cut() {
        let folder = Scratch::new().unwrap();
        bundle(folder.path());
        fs::write(folder.path().join("nt-host"), "imagf").unwrap();
        assert_eq!(Bundle::open(folder.path()).unwrap().damaged().unwrap(), ["nt-host"]);
    }
}
