//! The payload: a FAT32 disk beside the installation disc, with the answer file, the script, the driver's package and the agent.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::error::ImageError;
use crate::host::file_error::FileError;

/// The label, of eleven characters.
const LABEL: [u8; 11] = *b"DMUS       ";

/// Bytes of a cluster: the smallest, so that a small disk has as many as FAT32 asks for.
const CLUSTER: u32 = 512;

/// The least size: FAT32 has at least 65525 clusters (Microsoft's FAT specification, "FAT type determination").
const BYTES_MIN: u64 = 64 << 20;

/// Room beside the files: what the guest writes, such as a small dump.
const ROOM: u64 = 32 << 20;

/// Most bytes of a package or an agent.
const FILES_BYTES_MAX: u64 = 512 << 20;

/// A file of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFile {
    /// Its path on the disk, with `/` between its parts.
    pub path: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl PayloadFile {
    /// Returns a file.
    #[must_use]
    pub fn new(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into() }
    }
}

/// A driver's package, as `package` makes it.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its files, in the folder `driver`.
    pub files: Vec<PayloadFile>,
    /// The name of its INF.
    pub inf: String,
    /// Whether it has certificates that a guest must trust.
    pub certificates: bool,
}

impl Package {
    /// Reads the folder of a package.
    ///
    /// # Errors
    /// [`ImageError::File`] when it cannot be read, [`ImageError::NoPackage`] when it has not one INF or is too large.
    pub fn read(folder: &Path) -> Result<Self, ImageError> {
        let not = |reason: String| ImageError::NoPackage { folder: folder.into(), reason };
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(FileError::input(folder))?
            .map(|entry| entry.map(|entry| entry.path()).map_err(FileError::input(folder)))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| path.is_file());
        paths.sort();
        let (mut files, mut infs, mut bytes) = (Vec::new(), Vec::new(), 0);
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_str().map(str::to_owned);
            let name = name.ok_or_else(|| not(format!("{} has a name that is no UTF-8", path.display())))?;
            bytes += fs::metadata(&path).map_err(FileError::input(&path))?.len();
            if bytes > FILES_BYTES_MAX {
                return Err(not(format!("it has more than {} MiB", FILES_BYTES_MAX >> 20)));
            }
            if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("inf")) {
                infs.push(name.clone());
            }
            files.push(PayloadFile {
                path: format!("driver/{name}"),
                bytes: fs::read(&path).map_err(FileError::input(&path))?,
            });
        }
        let has = |name: &str| files.iter().any(|file| file.path == format!("driver/{name}"));
        let certificates = has("test-root.cer") && has("test-signer.cer");
        match <[String; 1]>::try_from(infs) {
            Ok([inf]) if inf.contains(['"', '%', '&', '^']) => {
                Err(not(format!("{inf} has a character that a script cannot name")))
            }
            Ok([inf]) => Ok(Self { files, inf, certificates }),
            Err(infs) => Err(not(format!("it has {} INF files", infs.len()))),
        }
    }
}

/// Reads the agent's program.
///
/// # Errors
/// [`ImageError::File`] when it cannot be read, [`ImageError::NoAgent`] when it is no program of Windows.
pub fn agent(path: &Path) -> Result<PayloadFile, ImageError> {
    let bytes = fs::read(path).map_err(FileError::input(path))?;
    if !bytes.starts_with(b"MZ") {
        return Err(ImageError::NoAgent { reason: format!("{} is no program for Windows", path.display()) });
    }
    Ok(PayloadFile::new("dmus-agent.exe", bytes))
}

/// Writes the disk, and reads each file back.
///
/// # Errors
/// [`ImageError::File`] when the host cannot write it, or it does not read back as it was written.
pub fn write(path: &Path, files: &[PayloadFile]) -> Result<(), ImageError> {
    let written = FileError::own("write", path);
    let attempt = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        // Each file takes at most a cluster more than it has bytes, and eight bytes of tables a cluster.
        let bytes: u64 = files.iter().map(|file| file.bytes.len() as u64 + 4096).sum();
        file.set_len((bytes + bytes / 32 + ROOM).next_multiple_of(1 << 20).max(BYTES_MIN))?;
        let options =
            FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(CLUSTER).volume_label(LABEL);
        fatfs::format_volume(&mut file, options)?;
        file.seek(SeekFrom::Start(0))?;
        let disk = FileSystem::new(&file, FsOptions::new())?;
        for PayloadFile { path, bytes } in files {
            let mut folder = disk.root_dir();
            let mut parts: Vec<&str> = path.split('/').collect();
            let name = parts.pop().unwrap_or_default();
            for part in parts {
                folder = folder.create_dir(part)?;
            }
            folder.create_file(name)?.write_all(bytes)?;
        }
        disk.unmount()?;
        file.sync_all()
    };
    attempt().map_err(written)?;
    for file in files {
        if read(path, &file.path)?.as_ref() != Some(&file.bytes) {
            let error =
                std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{} does not read back", file.path));
            return Err(FileError::own("write", path)(error).into());
        }
    }
    Ok(())
}

/// Reads a file of the disk; `None` where it has none of this path.
///
/// # Errors
/// [`ImageError::File`] when the disk cannot be read.
pub fn read(path: &Path, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
    let attempt = || -> std::io::Result<Option<Vec<u8>>> {
        // For reading and writing, because the file system marks what it has open; nothing of it is changed.
        let disk = FileSystem::new(File::options().read(true).write(true).open(path)?, FsOptions::new())?;
        let root = disk.root_dir();
        match root.open_file(name) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(FILES_BYTES_MAX).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    Ok(attempt().map_err(FileError::own("read", path))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn a_payload_is_a_fat32_disk_named_dmus_that_reads_back() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("payload.img");
        let files = [
            PayloadFile::new("Autounattend.xml", "<x/>"),
            PayloadFile::new("driver/a name that is long.inf", vec![7; 100_000]),
            PayloadFile::new("driver/b.sys", ""),
        ];
        write(&path, &files).unwrap();
        let disk =
            FileSystem::new(File::options().read(true).write(true).open(&path).unwrap(), FsOptions::new()).unwrap();
        assert_eq!((disk.fat_type(), disk.volume_label()), (FatType::Fat32, "DMUS".into()));
        drop(disk);
        for file in &files {
            assert_eq!(read(&path, &file.path).unwrap().as_ref(), Some(&file.bytes));
        }
        assert_eq!(read(&path, "MEMORY.DMP").unwrap(), None);
        // Others read it: a boot sector with its signature.
        assert_eq!(fs::read(&path).unwrap()[510..512], [0x55, 0xaa]);
    }

    #[test]
    fn a_package_has_one_inf_and_says_whether_its_certificates_came_with_it() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("package");
        fs::create_dir(&folder).unwrap();
        let error = Package::read(&folder).unwrap_err().to_string();
        assert!(error.contains("0 INF files"), "{error}");
        fs::write(folder.join("my.INF"), "x").unwrap();
        fs::write(folder.join("test-root.cer"), "x").unwrap();
        let package = Package::read(&folder).unwrap();
        assert_eq!((package.inf.as_str(), package.certificates, package.files.len()), ("my.INF", false, 2));
        fs::write(folder.join("test-signer.cer"), "x").unwrap();
        assert!(Package::read(&folder).unwrap().certificates);
        fs::write(folder.join("two.inf"), "x").unwrap();
        assert!(Package::read(&folder).unwrap_err().to_string().contains("2 INF files"));
    }

    #[test]
    fn an_agent_is_a_program_for_windows() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("agent.exe");
        fs::write(&path, "#!/bin/sh").unwrap();
        assert!(agent(&path).unwrap_err().to_string().contains("no program for Windows"));
        fs::write(&path, "MZ").unwrap();
        assert_eq!(agent(&path).unwrap().path, "dmus-agent.exe");
    }
}
