//! The files of a download.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::DistError;
use super::files::write;
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
use crate::host::lossy;

/// A file to download. Beside it is one with its SHA-256, in the form that `sha256sum --check` reads.
#[derive(Debug, Serialize)]
pub struct MadeFile {
    /// Its path.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A download.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The tarball that every machine unpacks, by gzip.
    pub tarball: MadeFile,
    /// The same tree, for machines with zstd.
    pub small_tarball: MadeFile,
    /// The program that holds its bundle.
    pub program: MadeFile,
    /// The Debian package.
    pub deb: Option<MadeFile>,
    /// The size of the tree when it is unpacked, in bytes.
    pub unpacked_bytes: u64,
    /// The oldest C library that its programs run with.
    pub glibc: String,
    /// The shipped scenarios that need a checkout, and are left out.
    pub left_out: Vec<String>,
}

impl MadeFile {
    /// Describes a file that was made, and writes its hash beside it.
    ///
    /// # Errors
    /// [`DistError::File`] when the file cannot be read, or its hash not be written.
    pub(super) fn of(path: PathBuf) -> Result<Self, DistError> {
        let content = fs::read(&path).map_err(FileError::own("read", &path))?;
        let sha256 = sha256_hex(&content);
        let name = lossy::text(Path::new(path.file_name().unwrap_or_default()));
        let mut beside = path.clone().into_os_string();
        beside.push(".sha256");
        write(Path::new(&beside), format!("{sha256}  {name}\n"))?;
        Ok(Self { bytes: content.len() as u64, sha256, path })
    }
}
