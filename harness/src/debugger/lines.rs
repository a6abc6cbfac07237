//! The lines of a driver's sources that have code: by the PDB beside the image, or by the DWARF in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor};
use std::path::Path;

use object::{Object, ObjectSection};
use pdb_addr2line::pdb::{self, FallibleIterator, PDB};

/// The debug information of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugInformation {
    /// A PDB beside it, which lldb reads and gdb does not.
    Pdb,
    /// DWARF in it, which both read.
    Dwarf,
    /// None.
    None,
}

/// The lines that have code, by file.
#[derive(Clone, Debug)]
pub struct Lines {
    from: DebugInformation,
    files: BTreeMap<String, BTreeSet<u32>>,
    /// Why the PDB beside the image has none.
    broken: Option<String>,
}

impl Lines {
    /// Reads the lines of an image.
    ///
    /// # Errors
    /// The error of the host, where the image cannot be read. What is wrong with its debug information is [`missing`](Self::missing).
    pub fn read(image: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(image)?;
        let pdb = image.with_extension("pdb");
        if has_dwarf(&bytes) {
            return Ok(match of_dwarf(image, &bytes) {
                Ok(lines) => Self::of(DebugInformation::Dwarf, lines.iter().map(|(file, line)| (file.as_str(), *line))),
                Err(error) => Self::without(format!("its DWARF cannot be read ({error})")),
            });
        }
        if !pdb.is_file() {
            return Ok(Self::of(DebugInformation::None, []));
        }
        Ok(match of_pdb(std::fs::read(&pdb)?) {
            Ok(lines) => Self::of(DebugInformation::Pdb, lines.iter().map(|(file, line)| (file.as_str(), *line))),
            Err(error) => Self::without(format!("{} cannot be read ({error})", pdb.display())),
        })
    }

    /// Returns lines that are known.
    pub(super) fn of<'a>(from: DebugInformation, lines: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut files = BTreeMap::<String, BTreeSet<u32>>::new();
        for (file, line) in lines {
            files.entry(file.to_owned()).or_default().insert(line);
        }
        Self { from, files, broken: None }
    }

    fn without(broken: String) -> Self {
        Self { broken: Some(broken), ..Self::of(DebugInformation::None, []) }
    }

    /// Returns what the lines were read from.
    #[must_use]
    pub const fn from(&self) -> DebugInformation {
        self.from
    }

    /// Returns the files, each with its lines.
    pub fn files(&self) -> impl Iterator<Item = (&str, &BTreeSet<u32>)> {
        self.files.iter().map(|(file, lines)| (file.as_str(), lines))
    }

    /// Returns why there are no lines, if there are none.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        match (&self.broken, self.from) {
            (Some(broken), _) => Some(broken.clone()),
            (None, DebugInformation::None) => {
                Some("it has no debug information: no DWARF in it, and no .pdb beside it".into())
            }
            (None, _) if self.files.is_empty() => Some("its debug information has no lines".into()),
            (None, _) => None,
        }
    }
}

fn has_dwarf(image: &[u8]) -> bool {
    object::File::parse(image).is_ok_and(|file| file.section_by_name(".debug_line").is_some_and(|line| line.size() > 0))
}

/// Returns each file and line of an image's DWARF.
fn of_dwarf(image: &Path, bytes: &[u8]) -> Result<Vec<(String, u32)>, Box<dyn std::error::Error>> {
    let loader = addr2line::Loader::new(image).map_err(|error| error.to_string())?;
    let file = object::File::parse(bytes)?;
    let mut lines = Vec::new();
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        let range = section.address()..section.address() + section.size();
        let locations = loader.find_location_range(range.start, range.end).map_err(|error| error.to_string())?;
        for (_, _, location) in locations {
            if let (Some(file), Some(line)) = (location.file, location.line) {
                lines.push((file.to_owned(), line));
            }
        }
    }
    Ok(lines)
}

/// Returns each file and line of a PDB.
fn of_pdb(bytes: Vec<u8>) -> Result<Vec<(String, u32)>, pdb::Error> {
    let mut pdb = PDB::open(Cursor::new(bytes))?;
    let information = pdb.debug_information()?;
    let strings = pdb.string_table()?;
    let mut lines = Vec::new();
    let mut modules = information.modules()?;
    while let Some(module) = modules.next()? {
        let Some(module) = pdb.module_info(&module)? else { continue };
        let program = module.line_program()?;
        let mut rows = program.lines();
        while let Some(row) = rows.next()? {
            let file = program.get_file_info(row.file_index)?;
            lines.push((file.name.to_string_lossy(&strings)?.into_owned(), row.line_start));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_with_a_pdb() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("x.sys");
        std::fs::write(&image, "MZ").unwrap();
        let none = Lines::read(&image).unwrap();
        assert_eq!(none.from(), DebugInformation::None);
        assert!(none.missing().unwrap().contains("no .pdb beside it"));
        std::fs::write(folder.path().join("x.pdb"), "no PDB").unwrap();
        let broken = Lines::read(&image).unwrap();
        assert!(broken.missing().unwrap().contains("x.pdb cannot be read"), "{:?}", broken.missing());
        assert!(Lines::read(&folder.path().join("y.sys")).is_err());
    }
}
