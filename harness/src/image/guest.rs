//! An image as the guest of a run: what the guest writes goes into files of the run, and the image stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::payload::{self, PayloadFile};
use super::store::Store;
use crate::host::file_error::FileError;
use crate::machine::installer::create_overlay;
use crate::machine::{Disks, MachineError, SystemFirmware};
use crate::provision::OvmfFiles;

/// How long an image may take until its agent comes, unless told otherwise: a Windows starts within a minute or two on a processor of its
/// own, and may take a quarter of an hour under the emulator, half as much again with Driver Verifier.
pub const BOOT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The file that marks the disk for dumps.
const DUMP_MARK: &str = "dmus-dump.txt";

/// What the mark says to people.
const DUMP_TEXT: &str =
    "This disk takes the dump of a bug check. The harness reads it from here when the guest has crashed.\r\n";

/// An image as the guest of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageGuest {
    /// The image's name.
    pub name: String,
    /// The image's disk, which is only read.
    pub disk: PathBuf,
    /// The size of the disk as the guest sees it, in bytes.
    pub disk_bytes: u64,
    /// Memory of the machine, in bytes.
    pub memory: u64,
    /// The code of UEFI firmware and the image's variables; without, the machine has a BIOS.
    pub uefi: Option<(PathBuf, PathBuf)>,
    /// How long it may take until the agent comes.
    pub boot_limit: Duration,
}

impl ImageGuest {
    /// Finds an image of the store that is whole. `ovmf` is called for one that starts by UEFI.
    ///
    /// # Errors
    /// [`ImageError::Absent`] where there is none, [`ImageError::Changed`] for a half-made one and for one that is not as it was made, the
    /// error of `ovmf`.
    pub fn open<E: From<ImageError>>(
        store: &Store,
        name: &str,
        boot_limit: Duration,
        ovmf: impl FnOnce() -> Result<Option<OvmfFiles>, E>,
    ) -> Result<Self, E> {
        let found = match store.open(name, false)? {
            None => store.open(name, true)?,
            found => found,
        };
        let image = found.ok_or_else(|| ImageError::Absent { name: name.into(), half: false })?;
        image.check()?;
        let variables = image.manifest.variables.as_ref().map(|variables| image.folder.join(variables));
        let uefi = match variables {
            Some(variables) => ovmf()?.map(|files| (files.code, variables)),
            None => None,
        };
        Ok(Self {
            name: image.name.clone(),
            disk: image.disk(),
            disk_bytes: image.manifest.disk_gib << 30,
            memory: u64::from(image.manifest.memory_mib) << 20,
            uefi,
            boot_limit,
        })
    }

    /// Makes the disks of a run: an overlay on the image's, an empty one for a dump, and a copy of the firmware's variables. `file` returns
    /// the path of a file of the run by a name and an extension.
    ///
    /// # Errors
    /// [`MachineError`] where QEMU does not make the overlay, or the host cannot write.
    pub fn prepare(&self, qemu: &Path, file: impl Fn(&str, &str) -> PathBuf) -> Result<Disks, MachineError> {
        let (system, dump) = (file("overlay", "qcow2"), file("dump", "img"));
        create_overlay(qemu, &system, self.disk_bytes, &self.disk, &file("overlay", "log"))?;
        payload::write(&dump, &[PayloadFile::new(DUMP_MARK, DUMP_TEXT)]).map_err(|error| match error {
            ImageError::File(error) => MachineError::File(error),
            other => MachineError::Resource { what: "the disk for dumps", source: std::io::Error::other(other) },
        })?;
        let firmware = match &self.uefi {
            Some((code, from)) => {
                let variables = file("variables", "fd");
                let bytes = fs::read(from).map_err(FileError::own("read", from))?;
                fs::write(&variables, bytes).map_err(FileError::own("write", &variables))?;
                SystemFirmware::Uefi { code: code.clone(), variables }
            }
            None => SystemFirmware::Bios,
        };
        Ok(Disks { firmware, system, dump })
    }
}
