//! Packs a tree as a tarball that depends on nothing but the tree's paths, contents and execute permissions.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::host::file_error::FileError;

/// The time of every file, in seconds since 1970: a tarball whose files are of 1970 is refused by some tools, so it is the first
/// of January 1980, the first day that other archives can express.
const TIME: u64 = 315_532_800;

/// Packs a tree under a name; the file appears when it is complete.
///
/// # Errors
/// [`FileError`] when a file cannot be read or written.
pub(super) fn pack(tree: &Path, name: &str, tarball: &Path) -> Result<(), FileError> {
    let partial = tarball.with_extension("partial");
    let packed = write(tree, name, &partial).and_then(|()| fs::rename(&partial, tarball));
    if packed.is_err() {
        // It may not have been created.
        let _ = fs::remove_file(&partial);
    }
    packed.map_err(FileError::own("write", tarball))
}

fn write(tree: &Path, name: &str, partial: &Path) -> io::Result<()> {
    let encoder = GzBuilder::new().mtime(0).write(File::create(partial)?, Compression::best());
    let mut builder = Builder::new(encoder);
    for path in sorted(tree)? {
        let place = Path::new(name).join(path.strip_prefix(tree).map_err(io::Error::other)?);
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
    builder.into_inner()?.finish()?.sync_all()
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
