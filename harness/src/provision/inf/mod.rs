//! Reads the INF of a driver: what its installation leaves in the registry, by which the guest finds it installed.
//!
//! The crate `driver-package` reads its sections and strings; this one what an installation makes of them. Rules: the pages of the
//! directives in the Windows driver documentation.

mod add_reg;
mod decoration;
mod error;
mod install;
mod reader;
mod registry;
mod service;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use driver_package::inf::{self, Fault, SYNTAX, Warnings};
use guest_protocol::{Installation, InstalledInterface, RegisteredInterface};

use crate::host::file_error::FileError;

pub use error::InfError;

/// Longest INF, in bytes: those of whole driver families have some hundred KiB.
const INF_BYTES_MAX: usize = 4 << 20;

/// An INF that was read.
#[derive(Clone, Debug)]
pub struct Inf {
    /// The file.
    pub path: PathBuf,
    /// What it installs.
    pub installation: Installation,
    /// What it says and is not carried out, or looks wrong, with its line.
    warnings: Vec<String>,
    /// The files of the services' binaries, without their folders.
    binaries: Vec<String>,
}

/// Reads an INF file.
///
/// # Errors
/// [`InfError::File`] where it cannot be read, [`InfError::Malformed`] with line and rule where Windows would refuse it,
/// or install nothing by it.
pub fn read(path: &Path) -> Result<Inf, InfError> {
    let bytes = fs::read(path).map_err(FileError::input(path))?;
    parse(path, &bytes)
}

/// Reads the bytes of an INF file.
///
/// # Errors
/// [`InfError::Malformed`], as for [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Inf, InfError> {
    let at = |fault: Fault| InfError::malformed(path, &fault);
    if bytes.len() > INF_BYTES_MAX {
        return Err(at(Fault::new(0, format!("it has more than {INF_BYTES_MAX} bytes"), SYNTAX)));
    }
    let mut warnings = Warnings::default();
    let text = inf::decode(bytes, &mut warnings).map_err(at)?;
    let file = inf::File::parse(&text).map_err(at)?;
    let strings = inf::Strings::of(&file).map_err(at)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut reader = reader::Reader::new(&file, &strings, &mut warnings);
    let installation = reader.installation(&name).map_err(at)?;
    let binaries = reader.binaries();
    let mut warnings = warnings.lines(path);
    warnings.extend(strings.warnings(path));
    Ok(Inf { path: path.into(), installation, warnings, binaries })
}

impl Inf {
    /// Lists what the INF says and is not carried out, or looks wrong; `driver` is the name of the driver's file, if it is
    /// known.
    #[must_use]
    pub fn warnings(&self, driver: Option<&OsStr>) -> Vec<String> {
        let mut found = self.warnings.clone();
        let driver = driver.map(OsStr::to_string_lossy).filter(|name| !name.is_empty());
        if let Some(driver) = driver
            && !self.binaries.is_empty()
            && !self.binaries.iter().any(|binary| binary.eq_ignore_ascii_case(&driver))
        {
            found.push(format!(
                "{}: ServiceBinary is {}, and the driver is {driver}",
                self.path.display(),
                self.binaries.join(", ")
            ));
        }
        found
    }
}

/// Compares the device interfaces that the INF installs for a device with those that its driver registered, and says what
/// does not agree.
#[must_use]
pub fn compare_interfaces(
    inf: &str,
    installed: &[InstalledInterface],
    registered: &[RegisteredInterface],
) -> Vec<String> {
    let same = |class: &[u8; 16], reference: &str, other: &[u8; 16], other_reference: &str| {
        class == other && reference.eq_ignore_ascii_case(other_reference)
    };
    let mut found = Vec::new();
    for interface in registered {
        let RegisteredInterface { class, reference } = interface;
        if !installed.iter().any(|known| same(class, reference, &known.class, &known.reference)) {
            found.push(format!(
                "the driver registers \"{reference}\" in the category {}, for which {inf} has no AddInterface: the \
                 interface has no FriendlyName and no CLSID",
                registry::guid_text(class)
            ));
        }
    }
    for known in installed {
        if !registered.iter().any(|one| same(&one.class, &one.reference, &known.class, &known.reference)) {
            found.push(format!(
                "{inf} has AddInterface for \"{}\" in the category {}, which the driver does not register: the interface \
                 is never enabled. The reference string must be the name given to PcRegisterSubdevice",
                known.reference,
                registry::guid_text(&known.class)
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
