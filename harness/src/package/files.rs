//! What stands in a package beside image, INF and catalogue.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use der::Encode as _;
use driver_package::{Architecture, PackageError};

use super::error::PackError;
use super::signers::Signers;
use crate::host::file_error::FileError;

/// Returns names and contents of the certificates and of the note on what to do.
pub(super) fn beside(architecture: Architecture, signers: &Signers) -> Result<Vec<(String, Vec<u8>)>, PackError> {
    let mut files = Vec::new();
    let trust = match signers {
        Signers::Nobody => NOT_SIGNED.to_owned(),
        Signers::Key(_) => SIGNED_BY_KEY.to_owned(),
        Signers::Test(_, authority) => {
            files.push(("test-root.cer".into(), authority.root.to_der().map_err(PackageError::from)?));
            files.push(("test-signer.cer".into(), authority.certificate.to_der().map_err(PackageError::from)?));
            TEST_SIGNED.to_owned()
        }
    };
    let text = format!(
        "Driver of the virtual DirectMusic card, {}\n\
         =============================================\n\n\
         dmuscard.sys  the driver\n\
         dmuscard.inf  how it is installed\n\
         dmuscard.cat  the hashes of both\n\n\
         {trust}\n\
         What a Windows does with this package has not been seen by the project yet: it follows from the pages that\n\
         `dmus cat verify` cites. Please report what you see, with %windir%\\inf\\setupapi.dev.log.\n",
        architecture.name()
    );
    files.push(("README.txt".into(), text.replace('\n', "\r\n").into_bytes()));
    Ok(files)
}

const NOT_SIGNED: &str = "Nothing here is signed. Sign dmuscard.sys and dmuscard.cat before you install it.\n";

const SIGNED_BY_KEY: &str = "To install it, as an administrator:\n\n    pnputil /add-driver dmuscard.inf /install\n\n\
    (Windows 7: pnputil -i -a dmuscard.inf)\n";

const TEST_SIGNED: &str = "\
It is signed with a test certificate. On a machine for tests, as an administrator:\n\n\
\x20   certutil -addstore -f Root test-root.cer\n\
\x20   certutil -addstore -f TrustedPublisher test-signer.cer\n\
\x20   bcdedit /set testsigning on\n\
\x20   shutdown /r /t 0\n\n\
and after the restart\n\n\
\x20   pnputil /add-driver dmuscard.inf /install\n\n\
(Windows 7: pnputil -i -a dmuscard.inf.) Secure Boot must be off: with it bcdedit refuses.\n\
Whoever has the key of this certificate can make drivers for such a machine: trust it on no other.\n";

/// The mode of a folder that others may read.
const FOLDER_MODE: u32 = 0o755;

/// Moves a whole folder to its place, and removes what was there.
pub(super) fn replace(new: &Path, place: &Path) -> Result<(), PackError> {
    let mode = fs::Permissions::from_mode(FOLDER_MODE);
    fs::set_permissions(new, mode).map_err(FileError::own("write", new))?;
    if place.exists() {
        let old = place.with_extension("old");
        if old.exists() {
            fs::remove_dir_all(&old).map_err(FileError::own("remove", &old))?;
        }
        fs::rename(place, &old).map_err(FileError::own("rename", place))?;
        fs::rename(new, place).map_err(FileError::own("rename", new))?;
        fs::remove_dir_all(&old).map_err(FileError::own("remove", &old))?;
    } else {
        fs::rename(new, place).map_err(FileError::own("rename", new))?;
    }
    Ok(())
}
