//! UDF (ECMA-167), as installation discs have it: one partition, physical blocks. Discs of Windows Vista and later keep their files here, and
//! only a note to readers of ISO 9660 there.

use super::disc::{Disc, DiscError, DiscFile, SECTOR, number};

/// The sector of the anchor (ECMA-167, 3/8.4.2.1).
const ANCHOR: u64 = 256;

/// Most descriptors of a volume that are read: real discs have six.
const DESCRIPTORS_MAX: u64 = 64;

/// Most bytes of a folder that is searched; `sources` of a disc has some 200 names.
const FOLDER_BYTES_MAX: u64 = 4 << 20;

/// Descriptor tags.
const TAG_ANCHOR: u64 = 2;
const TAG_PARTITION: u64 = 5;
const TAG_LOGICAL_VOLUME: u64 = 6;
const TAG_TERMINATOR: u64 = 8;
const TAG_FILE_SET: u64 = 256;
const TAG_FILE_IDENTIFIER: u64 = 257;
const TAG_FILE_ENTRY: u64 = 261;
const TAG_EXTENDED_FILE_ENTRY: u64 = 266;

/// The volume.
#[derive(Debug)]
pub(super) struct Udf {
    /// Where the partition begins, in bytes.
    partition: u64,
    /// The block with the root's file entry.
    root: u64,
}

/// What a file entry says.
struct Entry {
    is_folder: bool,
    file: DiscFile,
}

impl Udf {
    /// Reads the descriptors; `None` for what is no such disc.
    ///
    /// # Errors
    /// [`DiscError`] for a disc that is one and contradicts itself, or has partitions of a kind that is not read.
    pub(super) fn read(disc: &Disc) -> Result<Option<Self>, DiscError> {
        if disc.bytes() < (ANCHOR + 1) * SECTOR {
            return Ok(None);
        }
        let anchor = disc.read("the anchor", ANCHOR * SECTOR, SECTOR)?;
        if tag(&anchor) != Some(TAG_ANCHOR) {
            return Ok(None);
        }
        let (length, first) = (number(&anchor, 16, 4), number(&anchor, 20, 4));
        let (mut partition, mut file_set) = (None, None);
        for sector in (first..).take(usize::try_from((length / SECTOR).min(DESCRIPTORS_MAX)).unwrap_or_default()) {
            let descriptor = disc.read("a descriptor of the volume", sector * SECTOR, SECTOR)?;
            match tag(&descriptor) {
                Some(TAG_PARTITION) => partition = Some(number(&descriptor, 188, 4) * SECTOR),
                Some(TAG_LOGICAL_VOLUME) => {
                    let (block, maps) = (number(&descriptor, 212, 4), number(&descriptor, 268, 4));
                    if (block, maps, descriptor[440]) != (SECTOR, 1, 1) {
                        let fault =
                            format!("has {maps} partition maps and blocks of {block} bytes, which are not read");
                        return Err(DiscError::Malformed { what: "the logical volume", at: sector * SECTOR, fault });
                    }
                    file_set = Some(number(&descriptor, 252, 4));
                }
                Some(TAG_TERMINATOR) | None => break,
                Some(_) => {}
            }
        }
        let (Some(partition), Some(file_set)) = (partition, file_set) else { return Ok(None) };
        let at = partition + file_set * SECTOR;
        let descriptor = disc.read("the file set", at, SECTOR)?;
        expect(&descriptor, at, "the file set", &[TAG_FILE_SET])?;
        Ok(Some(Self { partition, root: number(&descriptor, 404, 4) }))
    }

    /// Finds a file or folder; names are compared without case.
    ///
    /// # Errors
    /// [`DiscError`] for an entry or a folder that is malformed.
    pub(super) fn find(&self, disc: &Disc, path: &[&str]) -> Result<Option<DiscFile>, DiscError> {
        let mut entry = self.entry(disc, self.root)?;
        for name in path {
            if !entry.is_folder {
                return Ok(None);
            }
            let bytes = entry.file.bytes;
            if bytes > FOLDER_BYTES_MAX {
                let fault = format!("has {bytes} bytes, more than the {FOLDER_BYTES_MAX} that are searched");
                return Err(DiscError::Malformed { what: "a folder", at: self.partition, fault });
            }
            let folder = entry.file.read(disc, "a folder", 0, bytes)?;
            match names(&folder).find(|(found, _)| found.eq_ignore_ascii_case(name)) {
                Some((_, block)) => entry = self.entry(disc, block)?,
                None => return Ok(None),
            }
        }
        Ok(Some(entry.file))
    }

    fn entry(&self, disc: &Disc, block: u64) -> Result<Entry, DiscError> {
        const WHAT: &str = "a file entry";
        let at = self.partition + block * SECTOR;
        let bytes = disc.read(WHAT, at, SECTOR)?;
        expect(&bytes, at, WHAT, &[TAG_FILE_ENTRY, TAG_EXTENDED_FILE_ENTRY])?;
        // Lengths of the attributes and of the allocation descriptors, and where both begin (ECMA-167, 4/14.9, 4/14.17).
        let lengths = if tag(&bytes) == Some(TAG_FILE_ENTRY) { 168 } else { 208 };
        let attributes = usize::try_from(number(&bytes, lengths, 4)).unwrap_or(usize::MAX);
        let descriptors = usize::try_from(number(&bytes, lengths + 4, 4)).unwrap_or(usize::MAX);
        let first = (lengths + 8).saturating_add(attributes);
        let part = bytes.get(first..first.saturating_add(descriptors)).ok_or_else(|| DiscError::Malformed {
            what: WHAT,
            at,
            fault: "has descriptors that end behind it".into(),
        })?;
        let length = number(&bytes, 56, 8);
        let pieces = match bytes[34] & 7 {
            0 => self.pieces(part, 8),
            1 => self.pieces(part, 16),
            3 => vec![(at + first as u64, part.len() as u64)],
            kind => {
                let fault = format!("has allocation descriptors of kind {kind}, which are not read");
                return Err(DiscError::Malformed { what: WHAT, at, fault });
            }
        };
        Ok(Entry { is_folder: bytes[27] == 4, file: DiscFile { pieces, bytes: length } })
    }

    /// Reads allocation descriptors of a length: the two highest bits of an extent's length are its kind, 0 for a recorded one.
    fn pieces(&self, descriptors: &[u8], length: usize) -> Vec<(u64, u64)> {
        let extents = descriptors.chunks_exact(length).map(|it| (number(it, 0, 4), number(it, 4, 4)));
        extents
            .take_while(|(bytes, _)| *bytes != 0 && bytes >> 30 == 0)
            .map(|(bytes, block)| (self.partition + block * SECTOR, bytes))
            .collect()
    }
}

/// Returns the number of a descriptor's tag whose checksum holds (ECMA-167, 3/7.2).
fn tag(descriptor: &[u8]) -> Option<u64> {
    let bytes = descriptor.get(..16)?;
    let sum = bytes.iter().enumerate().filter(|(at, _)| *at != 4).fold(0_u8, |sum, (_, byte)| sum.wrapping_add(*byte));
    (sum == bytes[4]).then(|| number(bytes, 0, 2))
}

fn expect(descriptor: &[u8], at: u64, what: &'static str, tags: &[u64]) -> Result<(), DiscError> {
    match tag(descriptor) {
        Some(found) if tags.contains(&found) => Ok(()),
        found => {
            Err(DiscError::Malformed { what, at, fault: format!("has the tag {found:?}, expected one of {tags:?}") })
        }
    }
}

/// Returns the names in a folder, and the blocks of their file entries (ECMA-167, 4/14.4).
fn names(folder: &[u8]) -> impl Iterator<Item = (String, u64)> + '_ {
    let mut rest = folder;
    std::iter::from_fn(move || {
        if tag(rest)? != TAG_FILE_IDENTIFIER {
            return None;
        }
        let (name, private) = (usize::from(*rest.get(19)?), usize::try_from(number(rest, 36, 2)).ok()?);
        let text = rest.get(38 + private..38 + private + name)?;
        let found = (characters(text), number(rest, 24, 4));
        rest = rest.get((38 + private + name).next_multiple_of(4)..).unwrap_or_default();
        Some(found)
    })
}

/// Decodes a name: a byte that says how wide its characters are, then the characters (OSTA UDF, 2.1.1).
fn characters(text: &[u8]) -> String {
    match text.split_first() {
        Some((8, letters)) => letters.iter().map(|byte| char::from(*byte)).collect(),
        Some((16, letters)) => {
            let units = letters.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::new(),
    }
}
