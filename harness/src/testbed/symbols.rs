//! The symbols of a driver image: its PDB, if it is the one that the linker wrote with the image.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use object::Object;
use pdb_addr2line::ContextPdbData;
use pdb_addr2line::pdb::PDB;

use super::bug_check::Function;

/// What an image and its PDB are matched by: the debug directory's CodeView record names it in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
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
pub enum SymbolError {
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
fn open(image: &Path) -> Result<ContextPdbData<'static, 'static, std::io::Cursor<Vec<u8>>>, SymbolError> {
    let path = image.with_extension("pdb");
    let unreadable = |path: &Path, reason: String| SymbolError::Unreadable { path: path.into(), reason };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(SymbolError::Missing(path)),
        Err(error) => return Err(unreadable(&path, error.to_string())),
    };
    let file = fs::read(image).map_err(|error| unreadable(image, error.to_string()))?;
    let wanted = wanted(&file).map_err(|error| unreadable(image, error.to_string()))?;
    let broken = |error: pdb_addr2line::pdb::Error| unreadable(&path, error.to_string());
    let mut pdb = PDB::open(std::io::Cursor::new(bytes)).map_err(broken)?;
    let information = pdb.pdb_information().map_err(broken)?;
    // The image has the age of the debug information; the file's own counts every tool that wrote it.
    let age = pdb.debug_information().map_err(broken)?.age().unwrap_or(information.age);
    let found = Identity { guid: information.guid.to_bytes_le(), age };
    match wanted {
        None => Err(SymbolError::Unnamed(path)),
        Some(image) if image != found => Err(SymbolError::Other { path, pdb: found, image }),
        Some(_) => ContextPdbData::try_from_pdb(pdb).map_err(|error| unreadable(&path, error.to_string())),
    }
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

    #[test]
    fn says_that_a_pdb_is_missing_and_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = functions(&folder.path().join("x.sys"), &[1]).unwrap_err();
        assert!(matches!(&error, SymbolError::Missing(path) if path.ends_with("x.pdb")), "{error}");
    }
}
