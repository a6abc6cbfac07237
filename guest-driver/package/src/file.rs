//! Files, as a catalogue knows them.

use std::fs;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{Image, Kind, PackageError};

/// A file's name and hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// The name without a folder.
    pub name: String,
    /// What of it is hashed.
    pub kind: Kind,
    /// The SHA-1 hash, for Windows 7.
    pub sha1: [u8; 20],
    /// The SHA-256 hash.
    pub sha256: [u8; 32],
}

impl HashedFile {
    /// Hashes a file: of an image what its signature does not change, of any other file all bytes.
    ///
    /// # Errors
    /// [`PackageError::File`] when it cannot be read, [`PackageError::Image`] when it begins like an image and is none.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let bytes = read_regular(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::of(&name, &bytes)
    }

    /// Hashes a file's bytes.
    ///
    /// # Errors
    /// [`PackageError::Image`] when they begin like an image and are none.
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self, PackageError> {
        let (kind, sha1, sha256) = if is_image(bytes) {
            let image = Image::read(name, bytes)?;
            (Kind::Image, image.hash::<Sha1>(), image.hash::<Sha256>())
        } else {
            (Kind::Flat, Sha1::digest(bytes).to_vec(), Sha256::digest(bytes).to_vec())
        };
        let (mut short, mut long) = ([0; 20], [0; 32]);
        short.copy_from_slice(&sha1);
        long.copy_from_slice(&sha256);
        Ok(Self { name: name.into(), kind, sha1: short, sha256: long })
    }
}

/// Returns whether bytes begin as an image in the Portable Executable format does; a program for DOS alone is hashed as it is.
pub(crate) fn is_image(bytes: &[u8]) -> bool {
    let begin = || {
        let at = u32::from_le_bytes(bytes.get(0x3c..0x40)?.try_into().ok()?) as usize;
        bytes.get(at..)
    };
    bytes.starts_with(b"MZ") && begin().is_some_and(|rest| rest.starts_with(b"PE\0\0"))
}

/// Reads a regular file: what is none, such as a pipe, may never end.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, PackageError> {
    let failed = |source| PackageError::File { what: "read", path: path.into(), source };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    fs::read(path).map_err(failed)
}
