//! The order of sets in DER.
//!
//! Since the updates of October 2020 Windows takes a catalogue whose sets are not in DER's order for one without a signature, so that
//! what other readers forgive must be named.

use der::{Decode, Header, Reader, SliceReader, Tag};

/// The deepest nesting that is looked into: catalogues have 15 levels.
const DEPTH_MAX: usize = 64;

/// Returns the places of the sets whose elements are not in DER's order, in bytes from the begin.
///
/// # Errors
/// The decoder's, when the bytes are no DER.
pub(crate) fn unsorted_sets(bytes: &[u8]) -> der::Result<Vec<usize>> {
    let mut found = Vec::new();
    walk(bytes, 0, DEPTH_MAX, &mut found)?;
    Ok(found)
}

fn walk(bytes: &[u8], base: usize, depth: usize, found: &mut Vec<usize>) -> der::Result<()> {
    let mut reader = SliceReader::new(bytes)?;
    while !reader.is_finished() {
        let begin = usize::try_from(reader.position())?;
        let header = Header::decode(&mut reader)?;
        let content = usize::try_from(reader.position())?;
        reader.read_slice(header.length())?;
        let end = usize::try_from(reader.position())?;
        if header.tag().is_constructed() && depth > 0 {
            walk(&bytes[content..end], base + content, depth - 1, found)?;
            if header.tag() == Tag::Set && !is_sorted(&bytes[content..end])? {
                found.push(base + begin);
            }
        }
    }
    Ok(())
}

/// Returns whether the elements of a set stand in the order of their encodings.
pub(crate) fn is_sorted(content: &[u8]) -> der::Result<bool> {
    let mut reader = SliceReader::new(content)?;
    let mut last: &[u8] = &[];
    while !reader.is_finished() {
        let element = reader.tlv_bytes()?;
        if element < last {
            return Ok(false);
        }
        last = element;
    }
    Ok(true)
}
