//! The file that a report is written to: tried before a run begins, claimed while it lasts, and replaced as a whole at its end.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use tempfile::tempfile_in;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::{CLAIM, FileError};
use crate::host::hash::sha256_hex;

/// A file that a report will be written to.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    /// Whether it is a pipe or a device, which cannot be replaced.
    is_stream: bool,
    /// A name of the kernel's that one process holds at a time, and that ends with it.
    _claim: UnixListener,
}

/// Why a file cannot take a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportFileError {
    /// The file or its folder cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another run, or another option of this one, writes it.
    #[error("{path} is written by another run, or named by two options of this one", path = path.display())]
    Claimed {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder.
    #[error("{path} is a folder, and a report is a file", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
}

impl Diagnosed for ReportFileError {
    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::Claimed { .. } => Class::Host,
            Self::Folder { .. } => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::Claimed { .. } => Some("name a file of its own for each report of each run".into()),
            Self::Folder { path } => Some(format!("name a file in it, such as {}", path.join("report").display())),
        }
    }
}

impl ReportFile {
    /// Tries that the file can be written, and claims it for this run. Nothing is written yet.
    ///
    /// # Errors
    /// [`ReportFileError::File`] when its folder cannot be created or written, [`ReportFileError::Claimed`] when another report
    /// is written there, [`ReportFileError::Folder`] for a folder.
    pub fn claim(path: &Path) -> Result<Self, ReportFileError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(FileError::own("create", folder))?;
        // What a link leads to is replaced, and not the link; a stream of this process stays what it is.
        let is_of_process = STREAMS.iter().any(|streams| path.starts_with(streams));
        let path = match path.canonicalize() {
            _ if is_of_process => path.into(),
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => folder
                .canonicalize()
                .map_err(FileError::own("find", folder))?
                .join(path.file_name().unwrap_or_default()),
            Err(error) => return Err(FileError::own("find", path)(error).into()),
        };
        if path.is_dir() {
            return Err(ReportFileError::Folder { path });
        }
        let is_stream = is_of_process || (path.exists() && !path.is_file());
        if !is_stream {
            let folder = path.parent().unwrap_or(Path::new("/"));
            tempfile_in(folder).map_err(FileError::own("write", &path))?;
            if path.exists() {
                fs::File::options().append(true).open(&path).map_err(FileError::own("write", &path))?;
            }
        }
        let claim = claim(&path).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => ReportFileError::Claimed { path: path.clone() },
            _ => FileError::own(CLAIM, &path)(error).into(),
        })?;
        Ok(Self { path, is_stream, _claim: claim })
    }

    /// Returns the absolute path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report. Readers see the file as it was or the whole report, whatever happens on the way.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written, as on a full disk; then it is as it was.
    pub fn write(&self, text: &str) -> Result<(), FileError> {
        let written = if self.is_stream { self.write_in_place(text) } else { self.replace(text) };
        written.map_err(FileError::own("write", &self.path))
    }

    fn write_in_place(&self, text: &str) -> io::Result<()> {
        fs::File::options().write(true).open(&self.path)?.write_all(text.as_bytes())
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are their owner's; a report has the rights that any new file has, or those of the one before it.
        let mut builder = tempfile::Builder::new();
        let new = builder.permissions(fs::Permissions::from_mode(READABLE));
        let mut file = new.tempfile_in(self.path.parent().unwrap_or(Path::new("/")))?;
        file.write_all(text.as_bytes())?;
        if let Ok(before) = fs::metadata(&self.path) {
            file.as_file().set_permissions(before.permissions())?;
        }
        file.persist(&self.path)?;
        Ok(())
    }
}

/// The folders of devices and of open files, such as `/dev/stdout`.
const STREAMS: [&str; 2] = ["/dev", "/proc"];

/// The mode of a report that was not there before, less the process's mask.
const READABLE: u32 = 0o666;

/// Claims a path: by a socket's name that is no file, so that nothing is left when a run is ended by force.
fn claim(path: &Path) -> io::Result<UnixListener> {
    let name = format!("dmus-report-{}", sha256_hex(path.as_os_str().as_encoded_bytes()));
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn creates_folders_and_replaces_what_a_link_leads_to() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("a/b/report.xml");
        ReportFile::claim(&path).unwrap().write("first").unwrap();
        let link = scratch.path().join("latest.xml");
        symlink(&path, &link).unwrap();
        ReportFile::claim(&link).unwrap().write("second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert!(link.is_symlink());
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "temporary files are left: {names:?}");
    }

    #[test]
    fn refuses_a_file_of_another_run_until_it_has_ended() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("report.xml");
        let first = ReportFile::claim(&path).unwrap();
        let error = ReportFile::claim(&scratch.path().join("./report.xml")).unwrap_err();
        assert!(matches!(error, ReportFileError::Claimed { .. }), "{error}");
        assert_eq!(error.class(), Class::Host);
        drop(first);
        ReportFile::claim(&path).unwrap();
        assert!(!path.exists(), "a claim writes nothing");
    }

    #[test]
    fn refuses_a_folder_and_a_file_below_a_file_before_anything_runs() {
        let scratch = Scratch::new().unwrap();
        let error = ReportFile::claim(scratch.path()).unwrap_err();
        assert_eq!(error.class(), Class::Usage);
        fs::write(scratch.path().join("file"), "").unwrap();
        let error = ReportFile::claim(&scratch.path().join("file/report.xml")).unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("file"), "{error}");
    }

    #[test]
    fn a_full_disk_leaves_the_report_as_it_was_and_is_named() {
        let full = ReportFile::claim(Path::new("/dev/full")).unwrap();
        let error = full.write("text").unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("/dev/full"), "{error}");
        ReportFile::claim(Path::new("/dev/null")).unwrap().write("text").unwrap();
        assert!(!Path::new("/dev/null").is_file(), "a device is not replaced");
    }
}
