//! Makes driver images reproducible.
//!
//! The linker stamps an image with the time, and names its PDB by a hash of the PDB, which holds the folders that it was
//! linked in. Both are replaced by a hash of the rest of the image, in the image and in its PDB: equal code has equal
//! images, and a debugger still finds the PDB of an image.

use object::pe;
use object::read::pe::{ImageNtHeaders, PeFile};
use object::{FileKind, Object};
use sha2::{Digest, Sha256};

/// Why an image cannot be made reproducible.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdError {
    /// The file is no image.
    #[error("the linker's image cannot be read: {0}")]
    Image(#[from] object::Error),
    /// A part of the image is not found.
    #[error("the linker's image has no {0}")]
    Missing(&'static str),
    /// The PDB belongs to another image.
    #[error("the PDB does not name the image")]
    OtherPdb,
}

/// Bytes of an entry of the debug directory, and the offset of its time stamp.
const DEBUG_ENTRY: (usize, usize) = (28, 4);

/// The offsets of what depends on where and when an image was linked.
struct Places {
    /// Time stamps, of four bytes.
    stamps: Vec<usize>,
    /// The PDB's GUID.
    guid: usize,
    /// The checksum.
    checksum: usize,
}

impl Places {
    fn of<H: ImageNtHeaders>(image: &[u8]) -> Result<Self, IdError> {
        let file = PeFile::<H>::parse(image)?;
        let headers = file.dos_header().nt_headers_offset() as usize;
        let guid = file.pdb_info()?.ok_or(IdError::Missing("PDB"))?.guid();
        let directory = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG).ok_or(IdError::Missing("directory"))?;
        let entries = directory.data(image, &file.section_table())?;
        let first = entries.as_ptr() as usize - image.as_ptr() as usize;
        let mut stamps = vec![headers + 8];
        stamps.extend((0..entries.len() / DEBUG_ENTRY.0).map(|index| first + DEBUG_ENTRY.0 * index + DEBUG_ENTRY.1));
        let guid = place_of(image, &guid).ok_or(IdError::Missing("PDB name"))?;
        Ok(Self { stamps, guid, checksum: headers + 24 + 64 })
    }
}

/// Finds a GUID that occurs exactly once.
fn place_of(bytes: &[u8], guid: &[u8; 16]) -> Option<usize> {
    let mut places = bytes.windows(guid.len()).enumerate().filter(|(_, window)| *window == guid);
    let (place, _) = places.next()?;
    places.next().is_none().then_some(place)
}

/// Replaces what depends on where and when the image was linked. A second call changes nothing.
///
/// # Errors
/// [`IdError`] when the file is no image, has no PDB name, or the PDB belongs to another image.
pub(super) fn make_reproducible(image: &mut [u8], pdb: &mut [u8]) -> Result<(), IdError> {
    let places = match FileKind::parse(&*image)? {
        FileKind::Pe32 => Places::of::<pe::ImageNtHeaders32>(image)?,
        _ => Places::of::<pe::ImageNtHeaders64>(image)?,
    };
    let old: [u8; 16] = image[places.guid..][..16].try_into().map_err(|_| IdError::Missing("PDB name"))?;
    for place in places.stamps.iter().chain([&places.checksum]) {
        image[*place..][..4].fill(0);
    }
    image[places.guid..][..16].fill(0);
    let hash = Sha256::digest(&*image);
    let (guid, stamp) = (&hash[..16], &hash[16..20]);
    image[places.guid..][..16].copy_from_slice(guid);
    for place in &places.stamps {
        image[*place..][..4].copy_from_slice(stamp);
    }
    let sum = driver_audit::image::checksum(image);
    image[places.checksum..][..4].copy_from_slice(&sum.to_le_bytes());

    let guid: [u8; 16] = guid.try_into().map_err(|_| IdError::Missing("hash"))?;
    match place_of(pdb, &old).or_else(|| place_of(pdb, &guid)) {
        Some(place) => pdb[place..][..16].copy_from_slice(&guid),
        None => return Err(IdError::OtherPdb),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_guid_that_occurs_once() {
        let guid = [7; 16];
        let mut bytes = vec![0; 100];
        assert_eq!(place_of(&bytes, &guid), None);
        bytes[20..36].copy_from_slice(&guid);
        assert_eq!(place_of(&bytes, &guid), Some(20));
        bytes[60..76].copy_from_slice(&guid);
        assert_eq!(place_of(&bytes, &guid), None);
    }

    #[test]
    fn refuses_a_file_that_is_no_image() {
        assert!(matches!(make_reproducible(&mut [0; 100], &mut []), Err(IdError::Image(_))));
    }
}
