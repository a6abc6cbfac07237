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
        let bytes = fs::read(path).map_err(|source| PackageError::File { what: "read", path: path.into(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::of(&name, &bytes)
    }

    /// Hashes a file's bytes.
    ///
    /// # Errors
    /// [`PackageError::Image`] when they begin like an image and are none.
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self, PackageError> {
        let (kind, sha1, sha256) = if bytes.starts_with(b"MZ") {
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
