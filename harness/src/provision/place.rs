//! Makes a place for what is provisioned: an empty folder, on a disk with room.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ProvisionError;
use crate::host::file_error::FileError;

/// Returns an empty folder beside that of `name`, and removes what an interrupted run has left of both.
pub(super) fn fresh(cache: &Path, name: &str) -> Result<PathBuf, ProvisionError> {
    let partial = cache.join(format!("{name}.partial"));
    for stale in [&partial, &cache.join(name)] {
        if stale.exists() {
            fs::remove_dir_all(stale).map_err(FileError::own("remove", stale))?;
        }
    }
    Ok(partial)
}

/// Checks that the disk has room for a download, in MiB.
pub(super) fn need_disk(what: &str, path: &Path, needed_mib: u64) -> Result<(), ProvisionError> {
    let Ok(statistics) = rustix::fs::statvfs(path) else { return Ok(()) };
    let free_mib = (statistics.f_bavail * statistics.f_frsize) >> 20;
    if free_mib < needed_mib {
        return Err(ProvisionError::DiskFull { what: what.into(), path: path.into(), needed_mib, free_mib });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};

    #[test]
    fn refuses_a_download_that_cannot_fit_before_it_begins() {
        let error = need_disk("QEMU", Path::new("/"), u64::MAX).unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("MiB are free"), "{error}");
    }
}
