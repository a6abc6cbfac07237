//! A bundle in the program itself: two sections of its ELF file that no loader maps, unpacked into the user's cache on first use.
//!
//! [`ABOUT`] says what [`PACKED`] holds: a tar archive, compressed by zstd (RFC 8878), of what stands beside the program in the tarball.
//! Section headers are at the end of the file, so that a program which is cut short anywhere has none.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object::read::ReadCache;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};
use serde::{Deserialize, Serialize};

use super::bundle::{BELOW_PREFIX, Bundle};
use super::error::ProvisionError;
use super::place::{fresh, need_disk};
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
use crate::host::interrupt;

/// The section with [`About`] as JSON.
pub(crate) const ABOUT: &str = ".dmus.about";

/// The section with the archive.
pub(crate) const PACKED: &str = ".dmus.bundle";

/// The window of the archive's compression, as the logarithm of its bytes: QEMU and its libraries repeat each other over many
/// megabytes. A reader needs as much memory.
pub(crate) const WINDOW_LOG: u32 = 27;

/// The number of the form of both sections.
const FORMAT: u32 = 1;

/// The folder of unpacked bundles in the cache.
const FOLDER: &str = "bundles";

/// The file that a process holds locked while it unpacks.
const LOCK: &str = "lock";

/// The interval at which the lock is tried.
const POLL: Duration = Duration::from_millis(20);

/// Digits of the hash that name the folder of a bundle.
const DIGITS: usize = 16;

/// Says what an archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// The number of this form.
    format: u32,
    /// The version of the harness that the bundle belongs to.
    version: String,
    /// The folder in the archive that stands for the prefix that a program is installed in.
    prefix: String,
    /// The SHA-256 of the archive as it is packed, in hexadecimal.
    sha256: String,
    /// The size of what it unpacks to, in bytes.
    unpacked_bytes: u64,
}

impl About {
    /// Describes a packed archive with one folder, which unpacks to so many bytes.
    pub(crate) fn of(packed: &[u8], prefix: &str, unpacked_bytes: u64) -> Self {
        let version = env!("CARGO_PKG_VERSION").into();
        Self { format: FORMAT, version, prefix: prefix.into(), sha256: sha256_hex(packed), unpacked_bytes }
    }
}

/// The archive in a program.
#[derive(Debug)]
pub(super) struct Embedded {
    program: PathBuf,
    about: About,
    packed: Range<u64>,
}

impl Embedded {
    /// Finds the archive in a program; `None` where it has none.
    ///
    /// # Errors
    /// [`ProvisionError::Bundle`] when the program is cut short, or its archive is of another version.
    pub(super) fn find(program: &Path) -> Result<Option<Self>, ProvisionError> {
        let unusable = |reason: String| ProvisionError::Bundle { folder: program.into(), reason };
        let cut_short = |error: object::Error| unusable(format!("the program is cut short or altered ({error})"));
        let Ok(file) = File::open(program) else { return Ok(None) };
        let cache = ReadCache::new(file);
        let image: ElfFile64<'_, object::Endianness, _> = ElfFile64::parse(&cache).map_err(cut_short)?;
        let (Some(about), Some(packed)) = (image.section_by_name(ABOUT), image.section_by_name(PACKED)) else {
            return Ok(None);
        };
        let about = about.data().map_err(cut_short)?;
        let about: About = serde_json::from_slice(about).map_err(|error| unusable(format!("{ABOUT}: {error}")))?;
        if about.format != FORMAT {
            return Err(unusable(format!("{ABOUT} has form {}, and this program reads {FORMAT}", about.format)));
        }
        if about.version != env!("CARGO_PKG_VERSION") {
            let own = env!("CARGO_PKG_VERSION");
            return Err(unusable(format!("it is of version {}, and this program of {own}", about.version)));
        }
        let (begin, bytes) = packed.file_range().unwrap_or_default();
        Ok(Some(Self { program: program.into(), about, packed: begin..begin + bytes }))
    }

    /// Unpacks the bundle below a folder, unless an earlier start has, and opens it. It appears as a whole or not at all.
    ///
    /// # Errors
    /// [`ProvisionError::Bundle`] when the archive is altered, [`ProvisionError::DiskFull`] when it has no room,
    /// [`ProvisionError::File`] when the folder cannot be written, [`ProvisionError::Interrupted`] when the user interrupts.
    pub(super) fn unpacked(&self, cache: &Path) -> Result<Bundle, ProvisionError> {
        let bundles = cache.join(FOLDER);
        let name = self.about.sha256.get(..DIGITS).unwrap_or(&self.about.sha256);
        let folder = bundles.join(name);
        let open = || Bundle::open(&folder.join(&self.about.prefix).join(BELOW_PREFIX));
        if let Ok(bundle) = open() {
            return Ok(bundle);
        }
        fs::create_dir_all(&bundles).map_err(FileError::own("create", &bundles))?;
        let _lock = locked(&bundles.join(LOCK))?;
        // Another start may have unpacked it meanwhile.
        if let Ok(bundle) = open() {
            return Ok(bundle);
        }
        need_disk("the bundle in the program", &bundles, self.about.unpacked_bytes.div_ceil(1 << 20))?;
        let packed = self.packed()?;
        let partial = fresh(&bundles, name)?;
        let unpacked = unpack(&packed, &partial)
            .map_err(FileError::own("unpack", &folder))
            .and_then(|()| fs::rename(&partial, &folder).map_err(FileError::own("create", &folder)));
        if unpacked.is_err() {
            // What stays is removed by the next start that unpacks.
            let _ = fs::remove_dir_all(&partial);
        }
        unpacked?;
        open()
    }

    /// Reads the archive, and compares it with its hash.
    fn packed(&self) -> Result<Vec<u8>, ProvisionError> {
        let read = || {
            let mut file = File::open(&self.program)?;
            file.seek(SeekFrom::Start(self.packed.start))?;
            let mut packed = Vec::new();
            file.take(self.packed.end - self.packed.start).read_to_end(&mut packed)?;
            Ok(packed)
        };
        let packed: Vec<u8> = read().map_err(FileError::own("read", &self.program))?;
        let found = sha256_hex(&packed);
        if found != self.about.sha256 {
            let reason = format!("its archive has SHA-256 {found} instead of {}", self.about.sha256);
            return Err(ProvisionError::Bundle { folder: self.program.clone(), reason });
        }
        Ok(packed)
    }
}

/// Unpacks an archive into a folder.
fn unpack(packed: &[u8], folder: &Path) -> std::io::Result<()> {
    let mut decoder = zstd::Decoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG)?;
    tar::Archive::new(decoder).unpack(folder)
}

/// Waits until no other process unpacks.
fn locked(path: &Path) -> Result<File, ProvisionError> {
    let lock = File::create(path).map_err(FileError::own("create", path))?;
    while lock.try_lock().is_err() {
        if interrupt::requested() {
            return Err(ProvisionError::Interrupted("waiting for another dmus that unpacks the bundle".into()));
        }
        std::thread::sleep(POLL);
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Barrier;

    use super::super::bundle::{MANIFEST, Manifest};
    use super::*;
    use crate::host::failure::{Class, Diagnosed};
    use crate::host::leftovers::Scratch;

    /// A small program for sections.
    const PROGRAM: &str = "/bin/true";

    /// Writes a program with a bundle of two files, described by `about`.
    fn program(folder: &Path, about: impl Fn(About) -> About) -> PathBuf {
        let tree = folder.join("tree");
        let bundle = tree.join(BELOW_PREFIX);
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("nt-host"), "image".repeat(1000)).unwrap();
        fs::write(bundle.join(MANIFEST), serde_json::to_vec(&Manifest::of(&bundle).unwrap()).unwrap()).unwrap();
        let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
        builder.append_dir_all("x", &tree).unwrap();
        let packed = builder.into_inner().unwrap().finish().unwrap();
        let about = about(About::of(&packed, "x", 5000));
        let (described, archive, program) = (folder.join("about"), folder.join("packed"), folder.join("program"));
        fs::write(&described, serde_json::to_vec(&about).unwrap()).unwrap();
        fs::write(&archive, packed).unwrap();
        let mut command = Command::new("objcopy");
        for (section, file) in [(ABOUT, &described), (PACKED, &archive)] {
            command.arg("--add-section").arg(format!("{section}={}", file.display()));
        }
        assert!(command.args([PROGRAM.as_ref(), program.as_path()]).status().unwrap().success());
        program
    }

    fn whole(about: About) -> About {
        about
    }

    fn bundles(cache: &Path) -> Vec<String> {
        let entries = fs::read_dir(cache.join(FOLDER)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_program_without_a_bundle_has_none() {
        assert!(Embedded::find(Path::new(PROGRAM)).unwrap().is_none());
        assert!(Embedded::find(&std::env::current_exe().unwrap()).unwrap().is_none());
    }

    #[test]
    fn unpacks_once_and_again_where_files_are_gone() {
        let folder = Scratch::new().unwrap();
        let cache = folder.path().join("cache");
        let embedded = Embedded::find(&program(folder.path(), whole)).unwrap().unwrap();
        let bundle = embedded.unpacked(&cache).unwrap();
        assert_eq!(bundle.damaged().unwrap(), Vec::<String>::new());
        let marked = bundle.folder().join("of the first start");
        fs::write(&marked, "").unwrap();
        assert_eq!(embedded.unpacked(&cache).unwrap(), bundle);
        assert!(marked.exists(), "it was unpacked again");
        fs::remove_file(bundle.folder().join("nt-host")).unwrap();
        assert_eq!(embedded.unpacked(&cache).unwrap(), bundle);
        assert!(!marked.exists() && bundle.folder().join("nt-host").exists());
        assert_eq!(bundles(&cache), [&embedded.about.sha256[..DIGITS], LOCK]);
    }

    #[test]
    fn starts_at_the_same_time_unpack_it_for_each_other() {
        let folder = Scratch::new().unwrap();
        let cache = folder.path().join("cache");
        let embedded = Embedded::find(&program(folder.path(), whole)).unwrap().unwrap();
        let ready = Barrier::new(4);
        std::thread::scope(|scope| {
            let start = || {
                ready.wait();
                embedded.unpacked(&cache).unwrap().damaged().unwrap()
            };
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            starts.into_iter().for_each(|start| assert_eq!(start.join().unwrap(), Vec::<String>::new()));
        });
    }

    #[test]
    fn refuses_a_program_that_is_cut_short_at_any_place_or_altered_and_leaves_nothing() {
        let folder = Scratch::new().unwrap();
        let path = program(folder.path(), whole);
        let content = fs::read(&path).unwrap();
        let embedded = Embedded::find(&path).unwrap().unwrap();
        let begin = usize::try_from(embedded.packed.start).unwrap();
        let refused = |error: ProvisionError, part: &str| {
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(&path.display().to_string()), "{text}");
            assert_eq!(error.class(), Class::MissingArtefact);
            assert!(error.remedy().is_some_and(|remedy| remedy.contains("download")));
        };
        for length in [content.len() - 1, begin + 10, begin, begin - 1, 1000] {
            fs::write(&path, &content[..length]).unwrap();
            refused(Embedded::find(&path).unwrap_err(), "cut short");
        }
        let mut altered = content;
        altered[begin + 20] ^= 1;
        fs::write(&path, altered).unwrap();
        let cache = folder.path().join("cache");
        refused(Embedded::find(&path).unwrap().unwrap().unpacked(&cache).unwrap_err(), "instead of");
        assert_eq!(bundles(&cache), [LOCK]);
    }

    #[test]
    fn refuses_another_version_or_form() {
        let folder = Scratch::new().unwrap();
        let older = program(folder.path(), |about| About { version: "0.0.1".into(), ..about });
        assert!(Embedded::find(&older).unwrap_err().to_string().contains("version 0.0.1, and this program of"));
        let later = program(folder.path(), |about| About { format: 2, ..about });
        assert!(Embedded::find(&later).unwrap_err().to_string().contains("form 2"));
    }

    #[test]
    fn blames_a_disk_without_room_before_anything_is_written() {
        let folder = Scratch::new().unwrap();
        let huge = program(folder.path(), |about| About { unpacked_bytes: u64::MAX, ..about });
        let cache = folder.path().join("cache");
        let error = Embedded::find(&huge).unwrap().unwrap().unpacked(&cache).unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.remedy().is_some_and(|remedy| remedy.contains("DMUS_HOME")));
        assert_eq!(bundles(&cache), [LOCK]);
    }
}
