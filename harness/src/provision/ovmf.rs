//! OVMF, the UEFI firmware by which guests with disks start: the folder that the user named, the system's, or one that is unpacked from
//! Debian's package. The build without enforced Secure Boot is taken, because a test-signed driver loads with no other.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{PrivateApt, Suites};
use super::error::ProvisionError;
use super::place::{fresh, need_disk};
use super::provisioner::{Provisioner, named_file};
use crate::host::file_error::FileError;

/// The variable that names a folder with OVMF's files to use instead of any other.
pub const OVMF_VARIABLE: &str = "DMUS_OVMF";

/// The package, and the folder of its files.
const PACKAGE: &str = "ovmf";
const IN_PACKAGE: &str = "usr/share/OVMF";

/// Folders of systems' packages.
const OF_SYSTEMS: [&str; 3] = ["/usr/share/OVMF", "/usr/share/edk2/x64", "/usr/share/edk2/ovmf"];

/// The names of code and variables, as Debian, Arch and Fedora have them.
const NAMES: [(&str, &str); 3] =
    [("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"), ("OVMF_CODE.fd", "OVMF_VARS.fd")];

/// The package, packed and unpacked, in MiB, with room to spare.
const DISK_MIB: u64 = 120;

/// The files of a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OvmfFiles {
    /// The code, which no guest writes.
    pub code: PathBuf,
    /// The variables of a machine that has never been started. Each machine gets a copy.
    pub variables: PathBuf,
}

impl OvmfFiles {
    /// Finds them in a folder.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        NAMES
            .iter()
            .map(|(code, variables)| Self { code: folder.join(code), variables: folder.join(variables) })
            .find(|files| files.code.is_file() && files.variables.is_file())
    }
}

/// Returns the folder that the user named, or the system's; `None` where there is neither.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one has no firmware.
fn here() -> Result<Option<PathBuf>, ProvisionError> {
    if let Some(named) = std::env::var_os(OVMF_VARIABLE) {
        let path = named_file(Path::new(&named))?;
        return match OvmfFiles::of(&path) {
            Some(_) => Ok(Some(path)),
            None => Err(ProvisionError::Unfit {
                path,
                reason: format!("it has neither of {}", NAMES.map(|(code, _)| code).join(", ")),
                remedy: format!("name the folder of an OVMF with {OVMF_VARIABLE}, or unset it to have one provisioned"),
            }),
        };
    }
    let system = OF_SYSTEMS.iter().map(Path::new).find(|folder| OvmfFiles::of(folder).is_some());
    Ok(system.map(Path::to_path_buf))
}

/// Returns the folder for a bundle, which has no firmware of its own.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one has no firmware, [`ProvisionError::NotPackaged`] where the system has none either.
pub(super) fn beside_bundle() -> Result<PathBuf, ProvisionError> {
    here()?.ok_or_else(|| ProvisionError::NotPackaged {
        what: "OVMF".into(),
        reason: "the bundle has no firmware for UEFI, and this system has none where packages put it".into(),
        remedy: format!(
            "install the system's package ovmf (or edk2-ovmf), or name a folder with it by {OVMF_VARIABLE}"
        ),
    })
}

/// Provisions the folder.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one has no firmware, and what keeps the package from being unpacked.
pub(super) fn folder(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(folder) = here()? {
        return Ok(folder);
    }
    let cache = provisioner.workspace.cache();
    let place = cache.join(PACKAGE);
    let folder = place.join("root").join(IN_PACKAGE);
    if OvmfFiles::of(&folder).is_some() {
        return Ok(folder);
    }
    need_disk("OVMF", &cache, DISK_MIB)?;
    provisioner.begin("OVMF", "guests with disks start by it; unpacking the newest package privately, once");
    let apt = PrivateApt::new(provisioner, "OVMF", Suites::STABLE)?;
    let missing = |reason: String| ProvisionError::NotPackaged {
        what: "OVMF".into(),
        reason: format!("{}: {reason}", apt.origin()),
        remedy: format!("install ovmf by hand, or name its folder with {OVMF_VARIABLE}"),
    };
    let version = apt.versions(PACKAGE).first().cloned().ok_or_else(|| missing("there is no ovmf".into()))?;
    let partial = fresh(&cache, PACKAGE)?;
    apt.unpack_one(PACKAGE, &version, &partial.join("root"))?;
    fs::rename(&partial, &place).map_err(FileError::own("create", &place))?;
    provisioner.journal(&format!("OVMF {version} from {}", apt.origin()));
    OvmfFiles::of(&folder).map(|_| folder).ok_or_else(|| missing("the package has other files".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn takes_a_folder_that_has_both_code_and_variables() {
        let folder = Scratch::new().unwrap();
        fs::write(folder.path().join("OVMF_CODE.fd"), "").unwrap();
        assert_eq!(OvmfFiles::of(folder.path()), None);
        fs::write(folder.path().join("OVMF_VARS.fd"), "").unwrap();
        let files = OvmfFiles::of(folder.path()).unwrap();
        assert!(files.code.ends_with("OVMF_CODE.fd") && files.variables.ends_with("OVMF_VARS.fd"));
    }
}
