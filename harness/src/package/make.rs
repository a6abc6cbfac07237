//! Makes packages, and the catalogues of any folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use driver_package::{
    Architecture, FolderVerdict, Package, SignedCatalog, Signer, Version, unsigned_catalog, without_signature,
};

use super::error::PackError;
use super::files;
use super::signers::Signers;
use crate::host::file_error::FileError;

/// The driver's names in its package.
const IMAGE: &str = "dmuscard.sys";
const INF: &str = "dmuscard.inf";

/// A package that was made.
#[derive(Debug)]
pub struct Made {
    /// The architecture.
    pub architecture: Architecture,
    /// The folder.
    pub folder: PathBuf,
    /// What each Windows would say to it.
    pub verdict: FolderVerdict,
}

/// Makes the package of this project's driver for an architecture: image, INF, catalogue, certificates, and what to do with them.
/// What was there before is replaced when the new one is whole.
///
/// # Errors
/// [`PackError`] when something cannot be read, signed or written.
pub fn make(
    (image, inf): (&Path, &Path),
    architecture: Architecture,
    output: &Path,
    version: Option<Version>,
    signers: &Signers,
) -> Result<Made, PackError> {
    fs::create_dir_all(output).map_err(FileError::own("create", output))?;
    let half =
        tempfile::Builder::new().prefix(".half-made-").tempdir_in(output).map_err(FileError::own("create", output))?;
    let folder = half.path();
    let read = |path: &Path| fs::read(path).map_err(FileError::input(path));
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(FileError::own("write", path))
    };
    write(INF, &read(inf)?)?;
    let plain = read(image)?;
    let signed = match signers {
        Signers::Nobody => without_signature(IMAGE, &plain)?,
        Signers::Key(signer) | Signers::Test(signer, _) => signer.sign_image(IMAGE, &plain)?,
    };
    write(IMAGE, &signed)?;
    build(folder, None, Some(architecture), version, signers)?;
    for (name, bytes) in files::beside(architecture, signers)? {
        write(&name, &bytes)?;
    }
    let place = output.join(architecture.name());
    files::replace(folder, &place)?;
    let package = Package::read(&place, None)?;
    let verdict = FolderVerdict::of(&place, &package.catalog_path(architecture)?, SystemTime::now())?;
    Ok(Made { architecture, folder: place, verdict })
}

/// Makes the catalogue of any folder with an INF (its only one, or the one of a name) and the files that it names, where the INF says that
/// it is; returns its path. What was there before is replaced when the new one is whole.
///
/// Without a version it is the one that all systems of the INF read.
///
/// # Errors
/// [`PackError`] when the folder is no package, no Windows would take the signature, or something cannot be read, signed or written.
pub fn build(
    folder: &Path,
    inf: Option<&str>,
    architecture: Option<Architecture>,
    version: Option<Version>,
    signers: &Signers,
) -> Result<PathBuf, PackError> {
    let package = Package::read(folder, inf)?;
    let architecture = package.architecture(architecture)?;
    let path = package.catalog_path(architecture)?;
    let version = version.unwrap_or_else(|| package.version(architecture));
    let catalog = package.catalog(version, architecture)?;
    let bytes = match signers {
        Signers::Nobody => unsigned_catalog(&catalog)?,
        Signers::Key(signer) | Signers::Test(signer, _) => {
            let bytes = signer.sign_catalog(&catalog)?;
            check_signature(signer, &bytes)?;
            bytes
        }
    };
    let written = tempfile::NamedTempFile::with_prefix_in(".half-made-", folder).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &bytes)?;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(FILE_MODE))?;
        file.persist(&path).map_err(|error| error.error)
    });
    written.map_err(FileError::own("write", &path))?;
    Ok(path)
}

/// The mode of a catalogue's file: for all to read.
const FILE_MODE: u32 = 0o644;

/// Refuses a signer whose signature no Windows would take, whoever it trusts.
fn check_signature(signer: &Signer, catalog: &[u8]) -> Result<(), PackError> {
    let read = SignedCatalog::read("the new catalogue", catalog, SystemTime::now())?;
    let faults: Vec<&str> = read.signatures.iter().flat_map(|found| &found.faults).map(String::as_str).collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(PackError::Signer { name: signer_name(signer), faults: faults.join("; ") })
}

/// Returns the catalogue that a path means: the file itself, or of a folder the one that its INF names, else its only one.
///
/// # Errors
/// [`PackError`] when there is none, or several.
pub fn catalog_of(path: &Path) -> Result<PathBuf, PackError> {
    let about = fs::metadata(path).map_err(FileError::input(path))?;
    if !about.is_dir() {
        return Ok(path.into());
    }
    if let Ok(package) = Package::read(path, None)
        && let Ok(architecture) = package.architecture(None)
        && let Ok(named) = package.catalog_path(architecture)
    {
        return Ok(named);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(FileError::input(path))? {
        let file = entry.map_err(FileError::input(path))?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("cat")) {
            found.push(file);
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(found) => Err(PackError::Catalogs { folder: path.into(), count: found.len() }),
    }
}

/// Names a signer for people.
#[must_use]
pub fn signer_name(signer: &Signer) -> String {
    signer.certificates().first().map(|it| it.tbs_certificate().subject().to_string()).unwrap_or_default()
}
