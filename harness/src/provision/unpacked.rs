//! A program that the product does not hold, such as one that is compared with: the one that the user named, or one that is unpacked
//! from packages, as QEMU is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{PrivateApt, Suites};
use super::command::capture;
use super::error::ProvisionError;
use super::place::{fresh, need_disk};
use super::provisioner::{Provisioner, named_file};
use super::workspace::Workspace;
use crate::host::file_error::FileError;

/// A program that is unpacked from packages.
pub(super) struct Unpacked {
    /// Its name for people.
    pub(super) what: &'static str,
    /// What it is for, and that it is unpacked.
    pub(super) why: &'static str,
    /// The folder in the cache; the packages are in `root` in it.
    pub(super) folder: &'static str,
    /// The name of its launcher in the folder.
    pub(super) program: &'static str,
    /// The variable that names another one to use.
    pub(super) variable: &'static str,
    /// Packages that hold it, the best first.
    pub(super) packages: &'static [&'static str],
    /// Where the packages come from.
    pub(super) suites: Suites,
    /// The packages, packed and unpacked, in MiB, with room to spare.
    pub(super) disk_mib: u64,
    /// Writes the launchers into the folder.
    pub(super) write_launchers: fn(&Path) -> Result<(), ProvisionError>,
}

/// Returns whether a program tells its version.
pub(super) fn runs(program: &Path) -> bool {
    capture(Command::new(program).arg("--version")).is_some_and(|captured| captured.status.success())
}

impl Unpacked {
    /// Returns the path of the launcher, whether or not it is there.
    pub(super) fn launcher(&self, workspace: &Workspace) -> PathBuf {
        workspace.cache().join(self.folder).join(self.program)
    }

    /// Returns the program that the user named, if one is named.
    ///
    /// # Errors
    /// [`ProvisionError::Unfit`] when it does not run, and [`ProvisionError::File`] when there is no such file.
    pub(super) fn named(&self) -> Result<Option<PathBuf>, ProvisionError> {
        let Some(path) = std::env::var_os(self.variable) else { return Ok(None) };
        let path = named_file(Path::new(&path))?;
        if runs(&path) {
            return Ok(Some(path));
        }
        Err(ProvisionError::Unfit {
            path,
            reason: "`--version` fails".into(),
            remedy: format!("name another with {}, or unset it to have one provisioned", self.variable),
        })
    }

    /// Returns the program under the cache, and unpacks it there if it is missing.
    ///
    /// # Errors
    /// [`ProvisionError`] for what keeps the packages from being unpacked.
    pub(super) fn private(&self, provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
        let launcher = self.launcher(provisioner.workspace);
        if launcher.is_file() && runs(&launcher) {
            return Ok(launcher);
        }
        let cache = provisioner.workspace.cache();
        need_disk(self.what, &cache, self.disk_mib)?;
        provisioner.begin(self.what, self.why);
        let apt = PrivateApt::new(provisioner, self.what, self.suites)?;
        let held = self.packages.iter().find(|package| !apt.versions(package).is_empty());
        let Some(package) = held else {
            return Err(self.not_packaged(format!("{}: there is no {}", apt.origin(), self.packages.join(", "))));
        };
        let partial = fresh(&cache, self.folder)?;
        apt.unpack_closure(package, &partial.join("root"))?;
        (self.write_launchers)(&partial)?;
        let folder = cache.join(self.folder);
        fs::rename(&partial, &folder).map_err(FileError::own("create", &folder))?;
        if runs(&launcher) {
            provisioner.journal(&format!("{} from {}", self.what, apt.origin()));
            return Ok(launcher);
        }
        Err(self.not_packaged(format!("{}: the unpacked program does not run", apt.origin())))
    }

    /// Returns the error about packages that do not have the program, for a reason.
    pub(super) fn not_packaged(&self, reason: String) -> ProvisionError {
        let remedy = format!("install {} by hand and name it with {}", self.what, self.variable);
        ProvisionError::NotPackaged { what: self.what.into(), reason, remedy }
    }
}
