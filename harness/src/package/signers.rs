//! Who signs: a test certificate of this user's, one that the user has, or nobody.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use der::Encode as _;
use driver_package::{Signer, TestAuthority};

use super::error::PackError;
use crate::host::file_error::FileError;

/// The files of the test certificate.
const ROOT: &str = "root.cer";
const CERTIFICATE: &str = "signer.cer";
const KEY: &str = "signer.key";

/// The mode of the key's file: its owner's alone.
const KEY_MODE: u32 = 0o600;

/// A certificate and its key, by their files.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// The certificate, or a chain of them with the signer's first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Who signs.
#[derive(Debug)]
pub enum Signers {
    /// Nobody: another tool does.
    Nobody,
    /// A certificate that the user has.
    Key(Box<Signer>),
    /// The user's test certificate, with the root that guests must trust.
    Test(Box<Signer>, Box<TestAuthority>),
}

impl Signers {
    /// Reads a certificate of the user's.
    ///
    /// # Errors
    /// [`PackError`] when a file cannot be read, or cannot be used to sign.
    pub fn key(files: &KeyFiles) -> Result<Self, PackError> {
        let read = |path: &Path| fs::read(path).map_err(FileError::input(path));
        let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
        let names = [&files.certificate, &files.key].map(|path| path.display().to_string());
        let signer = Signer::read((&names[0], &certificate), (&names[1], &key))?;
        Ok(Self::Key(Box::new(signer)))
    }

    /// Reads this user's test certificate, and makes one the first time.
    ///
    /// # Errors
    /// [`PackError`] when it cannot be read or made, or part of it is gone.
    pub fn test(folder: &Path) -> Result<Self, PackError> {
        let paths = [ROOT, CERTIFICATE, KEY].map(|name| folder.join(name));
        if !folder.exists() {
            create(folder)?;
        }
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            let missing = missing.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(PackError::HalfSigner { folder: folder.into(), missing });
        }
        let read = |path: &Path| fs::read(path).map_err(FileError::input(path));
        let key = String::from_utf8_lossy(&read(&paths[2])?).into_owned();
        let authority = TestAuthority::read(&read(&paths[0])?, &read(&paths[1])?, &key)?;
        Ok(Self::Test(Box::new(authority.signer()), Box::new(authority)))
    }
}

/// Returns the folder of this user's test certificate (XDG Base Directory Specification).
///
/// # Errors
/// [`PackError::NoHome`] when the environment names no folder.
pub fn test_folder() -> Result<PathBuf, PackError> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")));
    Ok(data.ok_or(PackError::NoHome)?.join("dmus").join("test-signer"))
}

/// Makes a test certificate, whole or not at all; that of another process which was faster stays.
fn create(folder: &Path) -> Result<(), PackError> {
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(FileError::own("create", parent))?;
    let half = tempfile::Builder::new()
        .prefix(".test-signer-")
        .tempdir_in(parent)
        .map_err(FileError::own("create", parent))?;
    let authority = TestAuthority::create()?;
    let write = |name: &str, bytes: &[u8]| {
        let path = half.path().join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(KEY_MODE).open(&path);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes)).map_err(FileError::own("write", path))
    };
    let encoded =
        |certificate: &x509_cert::Certificate| certificate.to_der().map_err(driver_package::PackageError::from);
    write(ROOT, &encoded(&authority.root)?)?;
    write(CERTIFICATE, &encoded(&authority.certificate)?)?;
    write(KEY, authority.key_pem()?.as_bytes())?;
    match fs::rename(half.path(), folder) {
        Ok(()) => {
            _ = half.keep();
            Ok(())
        }
        Err(_) if folder.exists() => Ok(()),
        Err(error) => Err(FileError::own("create", folder)(error).into()),
    }
}
