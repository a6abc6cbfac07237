//! Where images are: a folder each, with a manifest. A half-made one has another name, and is never taken for a good one.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::media::WimImage;
use super::phase::Phase;
use crate::host::file_error::FileError;

/// The suffix of a half-made image's folder.
const HALF: &str = ".half";

/// The file with the manifest.
const MANIFEST: &str = "manifest.json";

/// The lock of a build.
const LOCK: &str = "lock";

/// The version of the manifest's form.
const VERSION: u32 = 1;

/// The mode of a finished disk.
const READ_ONLY: u32 = 0o444;

/// The description of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form.
    pub version: u32,
    /// The disc, as it was identified.
    pub disc: String,
    /// The disc's fingerprint.
    pub fingerprint: String,
    /// The edition that is installed.
    pub edition: WimImage,
    /// The firmware: `bios` or `uefi`.
    pub firmware: String,
    /// Memory of the machine, in MiB.
    pub memory_mib: u32,
    /// The size of the disk as the guest sees it, in GiB.
    pub disk_gib: u64,
    /// The phase that the build has come to.
    pub phase: Phase,
    /// The files of the disk up to the last restart, the lowest first. The last one is what the next start begins with.
    pub layers: Vec<String>,
    /// The file of the firmware's variables as of then.
    pub variables: Option<String>,
    /// Restarts of the guest so far.
    pub restarts: u32,
    /// The guest, as its agent has named it; of a finished image.
    pub guest: Option<String>,
    /// The QEMU that built it.
    pub qemu: String,
    /// When it was begun or finished.
    pub at: String,
    /// The length of the disk's file in bytes; of a finished image.
    pub bytes: Option<u64>,
}

impl Manifest {
    /// Returns the version that is written.
    #[must_use]
    pub const fn version() -> u32 {
        VERSION
    }
}

/// An image in the store.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it is half-made.
    pub half: bool,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Image {
    /// Returns the path of the disk of a finished image.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join(self.manifest.layers.first().map_or("", String::as_str))
    }

    /// Compares the image with its manifest.
    ///
    /// # Errors
    /// [`ImageError::Changed`] for a half-made image, and for a disk that has another length, is no qcow2, or can be written;
    /// [`ImageError::File`] for one that cannot be read.
    pub fn check(&self) -> Result<(), ImageError> {
        let changed = |reason: String| ImageError::Changed { name: self.name.clone(), reason };
        if self.half {
            return Err(changed(format!("it is half-made: it stopped in the phase {}", self.manifest.phase.name())));
        }
        let disk = self.disk();
        let about = fs::metadata(&disk).map_err(FileError::own("read", &disk))?;
        if Some(about.len()) != self.manifest.bytes {
            let expected = self.manifest.bytes.unwrap_or_default();
            return Err(changed(format!("its disk has {} bytes, and had {expected}", about.len())));
        }
        if about.permissions().mode() & 0o222 != 0 {
            return Err(changed("its disk can be written".into()));
        }
        let mut magic = [0; 4];
        let mut file = File::open(&disk).map_err(FileError::own("read", &disk))?;
        std::io::Read::read_exact(&mut file, &mut magic).map_err(FileError::own("read", &disk))?;
        if &magic != b"QFI\xfb" {
            return Err(changed("its disk is no qcow2".into()));
        }
        Ok(())
    }
}

/// A folder of images.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Returns the user's (XDG Base Directory Specification).
    ///
    /// # Errors
    /// [`ImageError::NoHome`] when the environment names no folder.
    pub fn of_user() -> Result<Self, ImageError> {
        let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")));
        Ok(Self::at(data.ok_or(ImageError::NoHome)?.join("dmus").join("images")))
    }

    /// Returns the one at a path.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn place(&self, name: &str, half: bool) -> Result<PathBuf, ImageError> {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !letters || name.is_empty() || name.starts_with(['.', '-']) || name.ends_with(HALF) {
            return Err(ImageError::Name { name: name.into() });
        }
        Ok(self.folder.join(if half { format!("{name}{HALF}") } else { name.to_owned() }))
    }

    /// Opens an image; `None` where there is none.
    ///
    /// # Errors
    /// [`ImageError::Name`] for a name that is none, [`ImageError::Manifest`] and [`ImageError::File`] when its manifest cannot be read.
    pub fn open(&self, name: &str, half: bool) -> Result<Option<Image>, ImageError> {
        let folder = self.place(name, half)?;
        let path = folder.join(MANIFEST);
        if !folder.is_dir() {
            return Ok(None);
        }
        let text = match fs::read(&path) {
            Ok(text) => text,
            // A build that was ended before its first manifest.
            Err(error) if half && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::own("read", &path)(error).into()),
        };
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| ImageError::Manifest { path: path.clone(), reason: error.to_string() })?;
        let plain = |file: &String| !file.is_empty() && !file.contains('/');
        if manifest.version != VERSION {
            let reason = format!("it has version {}, and this harness reads {VERSION}", manifest.version);
            return Err(ImageError::Manifest { path, reason });
        }
        if !manifest.layers.iter().chain(&manifest.variables).all(plain) {
            return Err(ImageError::Manifest { path, reason: "it names files of other folders".into() });
        }
        Ok(Some(Image { name: name.into(), folder, half, manifest }))
    }

    /// Lists all images, finished ones and half-made ones, by name; what has no manifest that can be read is listed as an error.
    ///
    /// # Errors
    /// [`ImageError::File`] when the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Result<Image, ImageError>>, ImageError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::own("read", &self.folder)(error).into()),
        };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let open = |name: String| match name.strip_suffix(HALF) {
            Some(name) => self.open(name, true),
            None => self.open(&name, false),
        };
        Ok(names.into_iter().filter_map(|name| open(name).transpose()).collect())
    }

    /// Makes the folder of a half-made image, or enters the one that is there, and locks it.
    ///
    /// # Errors
    /// [`ImageError::Busy`] when another process builds it, [`ImageError::File`] when it cannot be made.
    pub fn claim(&self, name: &str) -> Result<(PathBuf, File), ImageError> {
        let folder = self.place(name, true)?;
        fs::create_dir_all(&folder).map_err(FileError::own("create", &folder))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(FileError::own("create", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok((folder, lock)),
            Err(_) => Err(ImageError::Busy { name: name.into() }),
        }
    }

    /// Writes the manifest of a half-made image, whole or not at all.
    ///
    /// # Errors
    /// [`ImageError::File`] when it cannot be written.
    pub fn note(folder: &Path, manifest: &Manifest) -> Result<(), ImageError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| ImageError::Manifest { path: path.clone(), reason: error.to_string() })?;
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error).map(drop)
        };
        Ok(write().map_err(FileError::own("write", &path))?)
    }

    /// Makes a half-made image whose disk is in one file a finished one.
    ///
    /// # Errors
    /// [`ImageError::File`] when it cannot be renamed or written.
    pub fn seal(&self, name: &str, manifest: &Manifest) -> Result<Image, ImageError> {
        let (half, place) = (self.place(name, true)?, self.place(name, false)?);
        let disk = half.join(manifest.layers.first().map_or("", String::as_str));
        fs::set_permissions(&disk, fs::Permissions::from_mode(READ_ONLY)).map_err(FileError::own("write", &disk))?;
        let bytes = fs::metadata(&disk).map_err(FileError::own("read", &disk))?.len();
        let manifest = Manifest { bytes: Some(bytes), ..manifest.clone() };
        Self::note(&half, &manifest)?;
        fs::rename(&half, &place).map_err(FileError::own("rename", &half))?;
        Ok(Image { name: name.into(), folder: place, half: false, manifest })
    }

    /// Removes an image, finished or half-made or both.
    ///
    /// # Errors
    /// [`ImageError::Absent`] when there is none, [`ImageError::Busy`] when it is being built, [`ImageError::File`] when it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), ImageError> {
        let mut removed = false;
        for half in [true, false] {
            let folder = self.place(name, half)?;
            if !folder.is_dir() {
                continue;
            }
            let lock = if half { Some(self.claim(name)?) } else { None };
            fs::remove_dir_all(&folder).map_err(FileError::own("remove", &folder))?;
            drop(lock);
            removed = true;
        }
        if removed { Ok(()) } else { Err(ImageError::Absent { name: name.into(), half: false }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::media::Architecture;
    use super::*;
    use crate::host::failure::{Class, Diagnosed};
    use crate::host::leftovers::Scratch;

    fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            disc: "a disc".into(),
            fingerprint: "x".into(),
            edition: WimImage {
                index: 1,
                name: "W".into(),
                edition: "E".into(),
                architecture: Architecture::Amd64,
                build: 26100,
                server: false,
                language: "en-US".into(),
            },
            firmware: "uefi".into(),
            memory_mib: 4096,
            disk_gib: 40,
            phase: Phase::Copy,
            layers: vec!["disk.0.qcow2".into()],
            variables: None,
            restarts: 1,
            guest: None,
            qemu: "11".into(),
            at: "now".into(),
            bytes: None,
        }
    }

    #[test]
    fn a_half_made_image_is_listed_as_one_and_becomes_read_only_when_it_is_whole() {
        let scratch = Scratch::new().unwrap();
        let store = Store::at(scratch.path().join("images"));
        assert!(store.list().unwrap().is_empty());
        let (folder, lock) = store.claim("one").unwrap();
        assert!(store.open("one", true).unwrap().is_none());
        fs::write(folder.join("disk.0.qcow2"), b"QFI\xfb and more").unwrap();
        Store::note(&folder, &manifest()).unwrap();
        assert!(matches!(store.claim("one"), Err(ImageError::Busy { .. })));
        assert!(matches!(store.remove("one"), Err(ImageError::Busy { .. })));
        drop(lock);
        assert!(store.open("one", false).unwrap().is_none());
        let half = store.list().unwrap().pop().unwrap().unwrap();
        assert!(half.half && half.check().unwrap_err().to_string().contains("stopped in the phase copy"));

        let image = store.seal("one", &manifest()).unwrap();
        image.check().unwrap();
        assert!(store.open("one", true).unwrap().is_none());
        let listed = store.list().unwrap();
        assert!(listed.len() == 1 && !listed[0].as_ref().unwrap().half);
        fs::set_permissions(image.disk(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(image.check().unwrap_err().to_string().contains("can be written"));
        fs::write(image.disk(), "shorter").unwrap();
        assert!(image.check().unwrap_err().to_string().contains("7 bytes"));
        store.remove("one").unwrap();
        assert_eq!(store.remove("one").unwrap_err().class(), Class::Usage);
    }

    #[test]
    fn refuses_names_that_lead_elsewhere_and_manifests_that_do() {
        let scratch = Scratch::new().unwrap();
        let store = Store::at(scratch.path().to_owned());
        for name in ["", "..", "a/b", "-x", "a b", "x.half"] {
            assert!(matches!(store.open(name, false), Err(ImageError::Name { .. })), "{name}");
        }
        let (folder, _lock) = store.claim("two").unwrap();
        Store::note(&folder, &Manifest { layers: vec!["../x".into()], ..manifest() }).unwrap();
        assert!(store.open("two", true).unwrap_err().to_string().contains("other folders"));
        Store::note(&folder, &Manifest { version: 9, ..manifest() }).unwrap();
        assert!(store.open("two", true).unwrap_err().to_string().contains("version 9"));
        fs::write(folder.join(MANIFEST), "{").unwrap();
        assert!(store.list().unwrap()[0].is_err());
    }
}
