//! ISO 9660 (ECMA-119) and El Torito, as far as a disc is identified by them: the volume's name, how it starts a machine, and files by name.

use super::disc::{Disc, DiscError, DiscFile, SECTOR, number};

/// The first sector with a volume descriptor, and the most that are looked at: real discs have four.
const DESCRIPTORS: std::ops::Range<u64> = 16..48;

/// Most bytes of a folder that is searched; a root has some dozen records of some 50 bytes.
const FOLDER_BYTES_MAX: u64 = 4 << 20;

/// The platform of a boot entry for UEFI (UEFI specification, 13.3.2.1).
const PLATFORM_UEFI: u8 = 0xef;

/// The volume.
#[derive(Debug, Default)]
pub(super) struct Iso9660 {
    /// The volume's name.
    pub(super) name: String,
    root: DiscFile,
    /// Whether it starts machines with a BIOS.
    pub(super) bios: bool,
    /// Whether it starts machines with UEFI.
    pub(super) uefi: bool,
}

impl Iso9660 {
    /// Reads the descriptors; `None` for what is no such disc.
    ///
    /// # Errors
    /// [`DiscError`] for a descriptor that contradicts the disc, and for what the host cannot read.
    pub(super) fn read(disc: &Disc) -> Result<Option<Self>, DiscError> {
        let mut found: Option<Self> = None;
        let mut boot = None;
        for sector in DESCRIPTORS {
            let at = sector * SECTOR;
            if at + SECTOR > disc.bytes() {
                break;
            }
            let descriptor = disc.read("the volume descriptor", at, SECTOR)?;
            if &descriptor[1..6] != b"CD001" {
                break;
            }
            match descriptor[0] {
                0 if descriptor[7..39].starts_with(b"EL TORITO SPECIFICATION") => {
                    boot = Some(number(&descriptor, 71, 4));
                }
                1 if found.is_none() => {
                    let name = String::from_utf8_lossy(&descriptor[40..72]).trim_end_matches([' ', '\0']).to_owned();
                    found = Some(Self { name, root: record(&descriptor[156..190]), ..Self::default() });
                }
                255 => break,
                _ => {}
            }
        }
        let Some(mut volume) = found else { return Ok(None) };
        if let Some(sector) = boot {
            let catalogue = disc.read("the boot catalogue", sector * SECTOR, SECTOR)?;
            let mut platform = catalogue[1];
            for entry in catalogue.chunks_exact(32).skip(1) {
                match entry[0] {
                    0x90 | 0x91 => platform = entry[1],
                    0x88 if platform == PLATFORM_UEFI => volume.uefi = true,
                    0x88 if platform == 0 => volume.bios = true,
                    _ => {}
                }
            }
        }
        Ok(Some(volume))
    }

    /// Finds a file or folder; names are compared without case, version and closing dot.
    ///
    /// # Errors
    /// [`DiscError`] for a folder that is not on the disc, or too large to be one.
    pub(super) fn find(&self, disc: &Disc, path: &[&str]) -> Result<Option<DiscFile>, DiscError> {
        let mut place = self.root.clone();
        for name in path {
            if place.bytes > FOLDER_BYTES_MAX {
                let fault = format!("has {} bytes, more than the {FOLDER_BYTES_MAX} that are searched", place.bytes);
                return Err(DiscError::Malformed { what: "a folder", at: place.pieces[0].0, fault });
            }
            let folder = place.read(disc, "a folder", 0, place.bytes)?;
            match records(&folder).find(|(found, _)| found.eq_ignore_ascii_case(name)) {
                Some((_, file)) => place = file,
                None => return Ok(None),
            }
        }
        Ok(Some(place))
    }
}

/// Reads the place of a directory record (ECMA-119, 9.1).
fn record(bytes: &[u8]) -> DiscFile {
    let length = number(bytes, 10, 4);
    DiscFile { pieces: vec![(number(bytes, 2, 4) * SECTOR, length)], bytes: length }
}

/// Returns names and places of a folder's records. A record ends in the sector that it begins in.
fn records(folder: &[u8]) -> impl Iterator<Item = (String, DiscFile)> + '_ {
    folder.chunks(usize::try_from(SECTOR).unwrap_or(2048)).flat_map(|sector| {
        let mut at = 0;
        std::iter::from_fn(move || {
            let length = usize::from(*sector.get(at)?);
            // A record has 33 bytes before its name.
            let bytes = sector.get(at..at + length).filter(|_| length > 33)?;
            at += length;
            let name = bytes.get(33..33 + usize::from(bytes[32])).unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            let name = name.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned();
            Some((name, record(bytes)))
        })
    })
}
