//! Makes what users download: a tarball and a Debian package that hold everything that runs need, a QEMU included.
//!
//! Both unpack to the same tree below a prefix: `bin/dmus`, its [bundle](crate::provision::bundle) in `lib/dmus`, manual pages,
//! completions and licences in `share`. The same sources make the same tree, and the same tree the same tarball.

mod archive;
mod bare_root;
mod deb;
mod emulator;
mod error;
mod files;
mod inputs;
mod libraries;
mod notices;
mod tree;

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
use crate::host::leftovers::Scratch;
use crate::host::lossy;

use inputs::NAME;

pub use bare_root::{Played, play_in_bare_root};
pub use error::DistError;
pub use inputs::{Dist, Document};

/// The processor and the system that it is for.
const PLATFORM: &str = "x86_64-linux";

/// A download.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The tarball.
    #[serde(serialize_with = "lossy::path")]
    pub tarball: PathBuf,
    /// Its size, in bytes.
    pub tarball_bytes: u64,
    /// The SHA-256 of the tarball.
    pub sha256: String,
    /// The Debian package.
    #[serde(serialize_with = "lossy::option")]
    pub deb: Option<PathBuf>,
    /// The size of the tree when it is unpacked, in bytes.
    pub unpacked_bytes: u64,
    /// The oldest C library that its programs run with.
    pub glibc: String,
    /// The shipped scenarios that need a checkout, and are left out.
    pub left_out: Vec<String>,
}

impl Dist<'_> {
    /// Makes the download. Its files appear when they are complete.
    ///
    /// # Errors
    /// [`DistError`] when a part cannot be built or found, or a file not be written.
    pub fn make(&self) -> Result<Made, DistError> {
        fs::create_dir_all(self.output).map_err(FileError::own("create", self.output))?;
        let scratch = Scratch::new()?;
        let name = format!("{NAME}-{}-{PLATFORM}", env!("CARGO_PKG_VERSION"));
        let prefix = scratch.path().join(&name);
        let tree = tree::lay_out(self, &prefix)?;
        self.note("packing the tarball");
        let tarball = self.output.join(format!("{name}.tar.gz"));
        archive::pack(&prefix, &name, &tarball)?;
        let deb = if self.deb {
            self.note("packing the Debian package");
            Some(deb::pack(self, &prefix, &tree.glibc, scratch.path())?)
        } else {
            None
        };
        let content = fs::read(&tarball).map_err(FileError::own("read", &tarball))?;
        let sha256 = sha256_hex(&content);
        // In the form that `sha256sum --check` reads.
        files::write(&tarball.with_extension("gz.sha256"), format!("{sha256}  {name}.tar.gz\n"))?;
        Ok(Made {
            tarball_bytes: content.len() as u64,
            sha256,
            tarball,
            deb,
            unpacked_bytes: tree.bytes,
            glibc: tree.glibc,
            left_out: tree.left_out,
        })
    }
}
