//! Makes the catalogue of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::file::read_regular;
use crate::inf::{PackageInf, is_inf};
use crate::verify::find;
use crate::{Architecture, Catalog, HashedFile, PackageError, Systems, Version};

/// The first Windows that reads catalogues of version 2: Windows 8.
const VERSION_2_SINCE: (u32, u32) = (6, 2);

/// A folder with one INF, whose catalogue is to be made.
#[derive(Clone, Debug)]
pub struct Package {
    /// The folder.
    pub folder: PathBuf,
    /// The INF's file.
    pub inf: PathBuf,
    /// What the INF says.
    pub says: PackageInf,
}

impl Package {
    /// Reads a folder's INF: its only one, or the one that is named.
    ///
    /// # Errors
    /// [`PackageError`] when the folder cannot be read, has no INF, or several and none is named.
    pub fn read(folder: &Path, named: Option<&str>) -> Result<Self, PackageError> {
        let failed = |source| PackageError::File { what: "read", path: folder.into(), source };
        let mut infs: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            infs.push(entry.map_err(failed)?.path());
        }
        infs.retain(|path| is_inf(path) && path.is_file());
        infs.sort();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(named) = named {
            infs.retain(|path| name(path).eq_ignore_ascii_case(named));
        }
        let wrong = |reason: String| PackageError::Package { path: folder.into(), reason };
        let inf = match (&infs[..], named) {
            ([inf], _) => inf.clone(),
            ([], Some(named)) => return Err(wrong(format!("it has no {named}"))),
            ([], None) => return Err(wrong("it has no INF, which says what a package is".into())),
            (several, _) => {
                let names: Vec<String> = several.iter().take(3).map(|path| name(path)).collect();
                return Err(wrong(format!(
                    "it has {} INFs ({}): say which one (--inf)",
                    several.len(),
                    names.join(", ")
                )));
            }
        };
        let says = PackageInf::parse(&read_regular(&inf)?).map_err(|fault| PackageError::inf(&inf, fault))?;
        Ok(Self { folder: folder.into(), inf, says })
    }

    /// Returns the architecture that the package is for: that of the INF's models, or of several the one that is wanted.
    ///
    /// # Errors
    /// [`PackageError::Package`] when none of them is wanted, or which one is not said.
    pub fn architecture(&self, wanted: Option<Architecture>) -> Result<Architecture, PackageError> {
        let known: Vec<Architecture> = self.says.systems.iter().map(|(architecture, _)| *architecture).collect();
        let names: Vec<&str> = known.iter().map(|architecture| architecture.name()).collect();
        match (wanted, &known[..]) {
            (Some(wanted), _) if known.contains(&wanted) => Ok(wanted),
            (None, [only]) => Ok(*only),
            (None, _) => Err(PackageError::Package {
                path: self.inf.clone(),
                reason: format!("it has models for {}: say which of them the folder is for", names.join(" and ")),
            }),
            (Some(wanted), _) => Err(PackageError::Package {
                path: self.inf.clone(),
                reason: format!("it has no models for {}, but for {}", wanted.name(), names.join(" and ")),
            }),
        }
    }

    /// Returns the version of a catalogue that all systems of an architecture's models read.
    #[must_use]
    pub fn version(&self, architecture: Architecture) -> Version {
        let oldest = self.says.systems.iter().find(|(known, _)| *known == architecture).map(|(_, oldest)| *oldest);
        if oldest.is_some_and(|oldest| oldest < VERSION_2_SINCE) { Version::V1 } else { Version::V2 }
    }

    /// Returns the path of the catalogue of an architecture.
    ///
    /// # Errors
    /// [`PackageError::Package`] when the INF names none, or one outside the folder.
    pub fn catalog_path(&self, architecture: Architecture) -> Result<PathBuf, PackageError> {
        let wrong = |reason: String| PackageError::Package { path: self.inf.clone(), reason };
        let name = self
            .says
            .catalog(architecture)
            .ok_or_else(|| wrong("its [Version] has no CatalogFile: without one the package is unsigned".into()))?;
        if name.contains(['/', '\\']) || !name.to_lowercase().ends_with(".cat") {
            return Err(wrong(format!(
                "CatalogFile is \"{name}\": it is a name that ends with .cat, without a folder"
            )));
        }
        Ok(self.folder.join(name))
    }

    /// Makes the catalogue: the hashes of the INF and of every file that it copies.
    ///
    /// # Errors
    /// [`PackageError::Package`] when a file that the INF names is not there, [`PackageError`] when one cannot be read.
    pub fn catalog(&self, version: Version, architecture: Architecture) -> Result<Catalog, PackageError> {
        let mut files = vec![HashedFile::read(&self.inf)?];
        for name in self.says.files_of(architecture) {
            let path = find(&self.folder, name).ok_or_else(|| PackageError::Package {
                path: self.inf.clone(),
                reason: format!("it copies {name}, which is not in {}", self.folder.display()),
            })?;
            files.push(HashedFile::read(&path)?);
        }
        let oldest = self.says.systems.iter().find(|(known, _)| *known == architecture).map(|(_, oldest)| *oldest);
        let mut oldest = oldest.unwrap_or((10, 0));
        if version == Version::V2 {
            // Windows 7 and older do not read it, and must not be named by it.
            oldest = oldest.max(VERSION_2_SINCE);
        }
        let systems = Systems::since(architecture, oldest);
        Ok(Catalog::new(version, &files, &systems, &self.says.hardware_ids, self.says.date))
    }
}
