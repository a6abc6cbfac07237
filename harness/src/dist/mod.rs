//! Makes what users download: tarballs, a program and a Debian package that hold everything that runs need, a QEMU included.
//!
//! Tarballs and package unpack to the same tree below a prefix: `bin/dmus`, its [bundle](crate::provision::bundle) in `lib/dmus`, manual pages,
//! completions and licences in `share`. The program holds what of the tree is not in `bin`. The same sources make the same tree, and the
//! same tree the same files.

mod archive;
mod bare_root;
mod deb;
mod embed;
mod emulator;
mod error;
mod files;
mod inputs;
mod libraries;
mod made;
mod notices;
mod team;
mod tree;
mod trial;

use std::fs;

use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;

use inputs::NAME;

pub use error::DistError;
pub use inputs::{Dist, Document, SMALLEST};
pub use made::{Made, MadeFile};
pub use team::{TEAM_FOLDER, Team};
pub use trial::{Played, play_in_bare_root};

/// The processor and the system that it is for.
const PLATFORM: &str = "x86_64-linux";

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
        self.note("packing the tarballs");
        let tarball = self.output.join(format!("{name}.tar.gz"));
        archive::pack(&prefix, &name, &tarball)?;
        let frames = archive::Frames::of(&prefix, &name, self.level)?;
        let small_tarball = self.output.join(format!("{name}.tar.zst"));
        frames.write(&small_tarball)?;
        let program =
            embed::embed(self, &prefix.join("bin").join(NAME), &frames.others, tree.bytes, scratch.path(), &name)?;
        let deb = if self.deb {
            self.note("packing the Debian package");
            Some(MadeFile::of(deb::pack(self, &prefix, &tree.glibc, scratch.path())?)?)
        } else {
            None
        };
        Ok(Made {
            tarball: MadeFile::of(tarball)?,
            small_tarball: MadeFile::of(small_tarball)?,
            program: MadeFile::of(program)?,
            deb,
            unpacked_bytes: tree.bytes,
            glibc: tree.glibc,
            left_out: tree.left_out,
        })
    }
}
