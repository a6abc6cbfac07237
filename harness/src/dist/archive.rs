//! Packs a tree as an archive that depends on nothing but the tree's paths, contents and execute permissions.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::host::file_error::FileError;
use crate::provision::embedded::WINDOW_LOG;

/// The time of every file, in seconds since 1970: a tarball whose files are of 1970 is refused by some tools, so it is the first
/// of January 1980, the first day that other archives can express.
const TIME: u64 = 315_532_800;

/// Packs a tree under a name, compressed by gzip, which every machine unpacks; the file appears when it is complete.
///
/// # Errors
/// [`FileError`] when a file cannot be read or written.
pub(super) fn pack(tree: &Path, name: &str, tarball: &Path) -> Result<(), FileError> {
    complete(tarball, |partial| {
        let encoder = GzBuilder::new().mtime(0).write(File::create(partial)?, Compression::best());
        let mut builder = Builder::new(encoder);
        append(&mut builder, tree, name, |_| true)?;
        builder.into_inner()?.finish()?.sync_all()
    })
}

/// A tree that is compressed by zstd in two frames: what stands in `bin`, and everything else with the end of the archive. Both in a
/// row are an archive of all, and the second alone is one of what a program in `bin` needs.
pub(super) struct Frames {
    programs: Vec<u8>,
    pub(super) others: Vec<u8>,
}

impl Frames {
    /// Packs a tree under a name, at a level of zstd.
    ///
    /// # Errors
    /// [`FileError`] when a file cannot be read.
    pub(super) fn of(tree: &Path, name: &str, level: i32) -> Result<Self, FileError> {
        let is_program = |path: &Path| path.starts_with("bin");
        let pack = || {
            let mut programs = Builder::new(encoder(level)?);
            append(&mut programs, tree, name, is_program)?;
            let mut others = Builder::new(encoder(level)?);
            append(&mut others, tree, name, |path| !is_program(path))?;
            // The end of the archive comes after the second.
            let programs = std::mem::replace(programs.get_mut(), encoder(level)?).finish()?;
            Ok(Self { programs, others: others.into_inner()?.finish()? })
        };
        pack().map_err(FileError::own("pack", tree))
    }

    /// Writes the archive of all; it appears when it is complete.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub(super) fn write(&self, tarball: &Path) -> Result<(), FileError> {
        complete(tarball, |partial| {
            let mut file = File::create(partial)?;
            file.write_all(&self.programs)?;
            file.write_all(&self.others)?;
            file.sync_all()
        })
    }
}

fn encoder(level: i32) -> io::Result<zstd::Encoder<'static, Vec<u8>>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    // How many threads work changes nothing of the result; that some do, does.
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
    Ok(encoder)
}

/// Writes a file beside its place, and moves it there when it is complete.
fn complete(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), FileError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(&partial).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // It may not have been created.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(FileError::own("write", path))
}

/// Appends the files of a tree that are wanted, by their paths in it.
fn append<W: Write>(
    builder: &mut Builder<W>,
    tree: &Path,
    name: &str,
    wanted: impl Fn(&Path) -> bool,
) -> io::Result<()> {
    for path in sorted(tree)? {
        let inner = path.strip_prefix(tree).map_err(io::Error::other)?;
        if !wanted(inner) {
            continue;
        }
        let place = Path::new(name).join(inner);
        let metadata = fs::symlink_metadata(&path)?;
        let mut header = Header::new_gnu();
        header.set_mtime(TIME);
        header.set_size(0);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            builder.append_data(&mut header, place, io::empty())?;
        } else {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 });
            header.set_size(metadata.len());
            builder.append_data(&mut header, place, File::open(&path)?)?;
        }
    }
    Ok(())
}

/// Lists a tree, each folder before what is in it, names in order of their bytes.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut all = Vec::new();
    for path in entries {
        let inner = if path.is_dir() { sorted(&path)? } else { Vec::new() };
        all.push(path);
        all.extend(inner);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn packs_equal_trees_to_equal_bytes_whatever_their_times() {
        let scratch = Scratch::new().unwrap();
        let mut packed = Vec::new();
        for (name, names) in [("a", ["x", "y"]), ("b", ["y", "x"])] {
            let tree = scratch.path().join(name);
            fs::create_dir_all(tree.join("bin")).unwrap();
            names.iter().for_each(|file| fs::write(tree.join("bin").join(file), file).unwrap());
            fs::set_permissions(tree.join("bin/x"), fs::Permissions::from_mode(0o700)).unwrap();
            let file = File::open(tree.join("bin/y")).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            let tarball = scratch.path().join(format!("{name}.tar.gz"));
            pack(&tree, "tree", &tarball).unwrap();
            packed.push(fs::read(tarball).unwrap());
        }
        assert!(packed[0] == packed[1]);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed[0].as_slice()));
        let found: Vec<(String, u32)> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap()))
            .collect();
        let expected = [("tree/bin", 0o755), ("tree/bin/x", 0o755), ("tree/bin/y", 0o644)];
        assert_eq!(found, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn frames_are_an_archive_together_and_without_the_programs() {
        let scratch = Scratch::new().unwrap();
        let tree = scratch.path().join("tree");
        for name in ["bin/dmus", "lib/dmus/nt-host", "share/doc"] {
            fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            fs::write(tree.join(name), name).unwrap();
        }
        let frames = Frames::of(&tree, "x", 3).unwrap();
        assert!(frames.others == Frames::of(&tree, "x", 3).unwrap().others);
        let tarball = scratch.path().join("x.tar.zst");
        frames.write(&tarball).unwrap();
        let names = |archive: &[u8]| -> Vec<String> {
            let mut archive = tar::Archive::new(zstd::Decoder::with_buffer(archive).unwrap());
            let entries = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
            entries.collect()
        };
        let others = ["x/lib", "x/lib/dmus", "x/lib/dmus/nt-host", "x/share", "x/share/doc"];
        assert_eq!(names(&frames.others), others);
        assert_eq!(names(&fs::read(tarball).unwrap()), [["x/bin", "x/bin/dmus"].as_slice(), &others].concat());
    }

    #[test]
    fn leaves_nothing_where_it_cannot_write() {
        let scratch = Scratch::new().unwrap();
        let error = pack(&scratch.path().join("absent"), "tree", &scratch.path().join("x.tar.gz")).unwrap_err();
        assert!(error.to_string().contains("x.tar.gz"), "{error}");
        assert_eq!(
            fs::read_dir(scratch.path()).unwrap().flatten().filter(|e| e.path().extension().is_some()).count(),
            0
        );
    }
}
