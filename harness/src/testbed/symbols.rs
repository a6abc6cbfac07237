//! The symbols of a driver image: its PDB, if it is the one that the linker wrote with the image.

use std::fmt;
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use object::Object;
use pdb_addr2line::ContextPdbData;
use pdb_addr2line::pdb::PDB;
use serde::Serialize;

/// A function, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// `file:line`.
    pub line: Option<String>,
}

/// What an image and its PDB are matched by: the debug directory's CodeView record names it in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    guid: [u8; 16],
    age: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.guid;
        write!(
            out,
            "{{{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-",
            g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6]
        )?;
        for (index, byte) in g[8..].iter().enumerate() {
            write!(out, "{}{byte:02x}", if index == 2 { "-" } else { "" })?;
        }
        write!(out, "}} age {}", self.age)
    }
}

/// Why a driver's functions have no names.
#[derive(Debug, thiserror::Error)]
pub(super) enum SymbolError {
    /// The PDB is not there.
    #[error("{} is missing: put the linker's PDB beside the image to see functions and lines of the driver", .0.display())]
    Missing(PathBuf),
    /// The image or the PDB cannot be read.
    #[error("{path} cannot be read, so the driver's functions have no names: {reason}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The image names no PDB at all.
    #[error(
        "{} is set aside: the image names no PDB (its debug directory has no CodeView record), and a PDB of another image \
         would name other functions. Link with /DEBUG", .0.display()
    )]
    Unnamed(PathBuf),
    /// The PDB is another image's.
    #[error(
        "{path} is set aside: it is {pdb}, and the image wants {image}. It was written for another build of the driver: copy the \
         PDB of this one beside the image", path = .path.display()
    )]
    Other {
        /// The PDB.
        path: PathBuf,
        /// Its identity.
        pdb: Identity,
        /// The identity that the image names.
        image: Identity,
    },
}

/// Returns the identity of the PDB that an image names; `None` if it names none.
fn wanted(image: &[u8]) -> Result<Option<Identity>, object::Error> {
    let file = object::File::parse(image)?;
    let named = file.pdb_info()?;
    Ok(named.map(|named| Identity { guid: named.guid(), age: named.age() }))
}

/// Opens the PDB beside an image.
fn open(image: &Path) -> Result<ContextPdbData<'static, 'static, Cursor<Vec<u8>>>, SymbolError> {
    let path = image.with_extension("pdb");
    let unreadable = |path: &Path, reason: String| SymbolError::Unreadable { path: path.into(), reason };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(SymbolError::Missing(path)),
        Err(error) => return Err(unreadable(&path, error.to_string())),
    };
    let file = fs::read(image).map_err(|error| unreadable(image, error.to_string()))?;
    let wanted = wanted(&file).map_err(|error| unreadable(image, error.to_string()))?;
    let Some(wanted) = wanted else { return Err(SymbolError::Unnamed(path)) };
    let broken = |error: pdb_addr2line::pdb::Error| unreadable(&path, error.to_string());
    let mut pdb = PDB::open(Cursor::new(bytes)).map_err(broken)?;
    let found = identity(&mut pdb).map_err(broken)?;
    if found != wanted {
        return Err(SymbolError::Other { path, pdb: found, image: wanted });
    }
    ContextPdbData::try_from_pdb(pdb).map_err(|error| unreadable(&path, error.to_string()))
}

/// Returns the identity of a PDB.
fn identity(pdb: &mut PDB<'static, Cursor<Vec<u8>>>) -> Result<Identity, pdb_addr2line::pdb::Error> {
    let information = pdb.pdb_information()?;
    // The image has the age of the debug information; the file's own counts every tool that wrote it.
    let age = pdb.debug_information()?.age().unwrap_or(information.age);
    Ok(Identity { guid: information.guid.to_bytes_le(), age })
}

/// Returns the functions at relative addresses of an image, by the PDB beside it.
///
/// # Errors
/// [`SymbolError`] without a PDB that belongs to the image, or with one that cannot be read.
pub(super) fn functions(image: &Path, addresses: &[u32]) -> Result<Vec<Vec<Function>>, SymbolError> {
    let data = open(image)?;
    let path = image.with_extension("pdb");
    let context = data.make_context().map_err(|error| SymbolError::Unreadable { path, reason: error.to_string() })?;
    let at = |address: &u32| -> Vec<Function> {
        // A return address is after the call; one byte back is inside it.
        let Ok(Some(found)) = context.find_frames(address.saturating_sub(1)) else { return Vec::new() };
        let function = |frame: pdb_addr2line::Frame<'_>| Function {
            name: frame.function.unwrap_or_else(|| "?".into()),
            line: frame.file.map(|file| format!("{file}:{}", frame.line.unwrap_or_default())),
        };
        found.frames.into_iter().map(function).collect()
    };
    Ok(addresses.iter().map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_debuggers_write_it() {
        let guid = [0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8];
        let text = Identity { guid, age: 2 }.to_string();
        assert_eq!(text, "{01234567-89ab-cdef-0102-030405060708} age 2");
    }

    const GUID: [u8; 16] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6];

    fn put(file: &mut [u8], at: usize, value: u32) {
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// An image that names a PDB: headers, and one section with the debug directory and a CodeView record.
    fn image(age: u32) -> Vec<u8> {
        const OPTIONAL: usize = 0x58;
        const SECTION: usize = OPTIONAL + 240;
        let mut file = vec![0; 0x400];
        file[..2].copy_from_slice(b"MZ");
        put(&mut file, 0x3c, 0x40);
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        // The machine and one section; the size of the optional header.
        put(&mut file, 0x44, 0x0001_8664);
        put(&mut file, 0x54, 240);
        put(&mut file, OPTIONAL, 0x20b);
        put(&mut file, OPTIONAL + 108, 16);
        put(&mut file, OPTIONAL + 112 + 8 * 6, 0x1000);
        put(&mut file, OPTIONAL + 116 + 8 * 6, 28);
        for (field, value) in [(8, 0x200), (12, 0x1000), (16, 0x200), (20, 0x200)] {
            put(&mut file, SECTION + field, value);
        }
        // The directory's entry: CodeView, 24 bytes and a name, at 0x1020.
        for (field, value) in [(12, 2), (16, 26), (20, 0x1020), (24, 0x220)] {
            put(&mut file, 0x200 + field, value);
        }
        file[0x220..0x224].copy_from_slice(b"RSDS");
        file[0x224..0x234].copy_from_slice(&GUID);
        put(&mut file, 0x234, age);
        file[0x238..0x23a].copy_from_slice(b"x\0");
        file
    }

    /// A PDB with its two headers: a multi-stream file of pages of 512 bytes.
    fn pdb(guid: &[u8; 16], age: u32) -> Vec<u8> {
        const PAGE: usize = 512;
        let mut file = vec![0; 8 * PAGE];
        file[..32].copy_from_slice(b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0");
        // Eight pages, because readers look at 4096 bytes for the header. Page size, free page map, pages, bytes of the directory, and the page that lists its pages.
        for (index, value) in [PAGE as u32, 1, 8, 28, 0, 2].into_iter().enumerate() {
            put(&mut file, 32 + 4 * index, value);
        }
        put(&mut file, 2 * PAGE, 3);
        // The directory: four streams, their sizes, the pages of streams 1 and 3.
        for (index, value) in [4, 0, 32, 0, 64, 4, 5].into_iter().enumerate() {
            put(&mut file, 3 * PAGE + 4 * index, value);
        }
        // The PDB's own header: it was written once more than the debug information.
        put(&mut file, 4 * PAGE, 20_000_404);
        put(&mut file, 4 * PAGE + 8, age + 1);
        file[4 * PAGE + 12..4 * PAGE + 28].copy_from_slice(guid);
        put(&mut file, 5 * PAGE, u32::MAX);
        put(&mut file, 5 * PAGE + 4, 19_990_903);
        put(&mut file, 5 * PAGE + 8, age);
        file
    }

    fn result(image: &[u8], pdb: &[u8]) -> Result<(), SymbolError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.sys"), image).unwrap();
        fs::write(folder.path().join("x.pdb"), pdb).unwrap();
        open(&folder.path().join("x.sys")).map(|_| ())
    }

    #[test]
    fn sets_a_pdb_of_another_build_aside_and_names_both() {
        let other = [0xee; 16];
        for (pdb, text) in [(pdb(&other, 1), "eeeeeeee-eeee"), (pdb(&GUID, 2), "age 2")] {
            let error = result(&image(1), &pdb).unwrap_err();
            assert!(matches!(error, SymbolError::Other { .. }), "{error}");
            let error = error.to_string();
            assert!(error.contains(text) && error.contains("{06070809-0405-0203-0100-010203040506} age 1"), "{error}");
        }
        let same = result(&image(1), &pdb(&GUID, 1));
        assert!(!matches!(same, Err(SymbolError::Other { .. } | SymbolError::Unnamed(_))), "{same:?}");
    }

    #[test]
    fn believes_no_pdb_that_the_image_does_not_name() {
        let mut image = image(1);
        put(&mut image, 0x58 + 116 + 8 * 6, 0);
        put(&mut image, 0x58 + 112 + 8 * 6, 0);
        let error = result(&image, &pdb(&GUID, 1)).unwrap_err();
        assert!(matches!(error, SymbolError::Unnamed(_)), "{error}");
    }

    #[test]
    fn says_that_a_pdb_is_missing_and_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = functions(&folder.path().join("x.sys"), &[1]).unwrap_err();
        assert!(matches!(&error, SymbolError::Missing(path) if path.ends_with("x.pdb")), "{error}");
    }
}
