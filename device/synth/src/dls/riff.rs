//! RIFF chunks, borrowed from the file, also when their sizes are wrong.
//!
//! There is no tree and no recursion: a caller reads the children of the lists that it knows, so that neither
//! depth nor work can grow beyond a few passes over the file.

use super::bytes::u32_at;
use super::chunk_path::{ChunkPath, FourCc};
use super::error::{BankError, Rule};
use super::warning::{PassedOver, Warnings};
use crate::limits::TEXT_BYTES_MAX;

/// Bytes of a chunk's header.
const HEADER: usize = 8;

/// One chunk: its code and its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// The code; of a list, its form.
    pub(crate) id: FourCc,
    /// The bytes; of a list, its children.
    pub(crate) data: &'a [u8],
    /// The byte offset of its header in the file.
    pub(crate) offset: usize,
    is_list: bool,
}

impl<'a> Chunk<'a> {
    /// Returns the children of a list.
    pub(crate) fn children(&self) -> Scope<'a> {
        let start = self.offset + HEADER + if self.is_list { 4 } else { 0 };
        Scope { data: self.data, start }
    }
}

/// A range of the file that holds chunks, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) data: &'a [u8],
    /// Its byte offset in the file.
    pub(crate) start: usize,
}

/// The children of a list that a reader knows.
pub(crate) struct Known {
    /// Codes of chunks, read or not, that are nothing to warn about.
    pub(crate) chunks: &'static [&'static FourCc],
    /// Forms of lists, likewise.
    pub(crate) lists: &'static [&'static FourCc],
}

impl Known {
    fn has(&self, id: &FourCc, is_list: bool) -> bool {
        let known = if is_list { self.lists } else { self.chunks };
        known.contains(&id)
    }
}

impl<'a> Scope<'a> {
    /// Returns the children that the reader knows. Others are passed over with a warning.
    ///
    /// A chunk of odd length without a pad byte is repaired when the next header is right behind it.
    pub(crate) fn chunks(
        &self,
        known: &Known,
        path: &ChunkPath<'_>,
        warnings: &mut Warnings,
    ) -> Result<Vec<Chunk<'a>>, BankError> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.data.len() {
            let Some((id, size)) = header(self.data, at) else {
                let rest = self.data.len() - at;
                // One byte is the pad of a list whose size counts it.
                if rest > 1 || self.data[at] != 0 {
                    let here = path.to(*b"....", self.start + at);
                    warnings.at(&here, PassedOver::Trailing(rest));
                }
                break;
            };
            let content = self.data.get(at + HEADER..).unwrap_or_default();
            let is_list = &id == b"LIST" && content.len() >= 4 && size >= 4;
            let id = if is_list { [content[0], content[1], content[2], content[3]] } else { id };
            let here = path.to(id, self.start + at);
            let is_known = known.has(&id, is_list);
            if size > content.len() {
                if is_known {
                    let rule = Rule::BeyondList { size: size as u64, room: content.len() as u64 };
                    return Err(BankError::at(&here, rule));
                }
                warnings.at(&here, PassedOver::Trailing(self.data.len() - at));
                break;
            }
            if is_known {
                let data = &content[if is_list { 4 } else { 0 }..size];
                found.push(Chunk { id, data, offset: here.offset, is_list });
            } else if &id == b"pgal" {
                warnings.at(&here, PassedOver::Aliases(size));
            } else {
                warnings.at(&here, PassedOver::UnknownChunk(size));
            }
            at += HEADER + size;
            if size % 2 == 1 && at < self.data.len() {
                if self.data[at] != 0 && header(self.data, at).is_some_and(|(id, size)| plausible(id, size, self, at)) {
                    warnings.at(&here, PassedOver::Unpadded);
                } else {
                    at += 1;
                }
            }
        }
        Ok(found)
    }
}

fn header(data: &[u8], at: usize) -> Option<(FourCc, usize)> {
    let id = *data.get(at..)?.first_chunk::<4>()?;
    Some((id, u32_at(data, at + 4)? as usize))
}

fn plausible(id: FourCc, size: usize, scope: &Scope<'_>, at: usize) -> bool {
    id.iter().all(|b| (0x20..0x7F).contains(b)) && size <= scope.data.len() - at - HEADER
}

/// Returns the only child with this code: of several, the first, with a warning.
pub(crate) fn single<'a>(
    chunks: &[Chunk<'a>],
    id: &FourCc,
    path: &ChunkPath<'_>,
    warnings: &mut Warnings,
) -> Option<Chunk<'a>> {
    let mut all = chunks.iter().filter(|chunk| &chunk.id == id);
    let first = all.next().copied();
    all.for_each(|chunk| warnings.at(&path.to(*id, chunk.offset), PassedOver::Duplicate));
    first
}

/// Returns a text of an `INFO` list, empty when there is none. Bytes that are not UTF-8 become replacement characters,
/// and the whole is cut to [`TEXT_BYTES_MAX`], so that a written text is read again the same.
pub(crate) fn text(info: Option<Chunk<'_>>, id: &FourCc) -> String {
    let bytes = info.and_then(|info| text_bytes(info.data, id)).unwrap_or_default();
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()).min(TEXT_BYTES_MAX);
    let mut text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text.trim().to_owned()
}

/// Returns the data of the first chunk with this code in a list of texts.
pub(crate) fn text_bytes<'a>(data: &'a [u8], id: &FourCc) -> Option<&'a [u8]> {
    let mut at = 0;
    while let Some((found, size)) = header(data, at) {
        let start = at + HEADER;
        let end = start.saturating_add(size).min(data.len());
        if &found == id {
            return Some(&data[start..end]);
        }
        at = end + (size & 1);
    }
    None
}

/// Returns the content of a RIFF file of this form. `None`: it is not one.
///
/// Shipped files have sizes that are too small or too large, and junk after their end. The header's size is believed
/// when a chunk ends at the declared end of the form, and the required list (`essential`) is before that.
pub(crate) fn file<'a>(
    bytes: &'a [u8],
    form: &FourCc,
    essential: &FourCc,
    warnings: &mut Warnings,
) -> Option<Scope<'a>> {
    if bytes.get(0..4)? != b"RIFF" || bytes.get(8..12)? != form {
        return None;
    }
    let path = ChunkPath::root(*form);
    let declared = u32_at(bytes, 4)?;
    let found = bytes.len() - HEADER;
    let whole = Scope { data: &bytes[12..], start: 12 };
    let end = HEADER + declared as usize;
    if declared as usize == found {
        return Some(whole);
    }
    if end < bytes.len() && ends_at(bytes, end, essential) {
        let rest = &bytes[end..];
        // The pad byte of the form itself is no junk.
        if rest.len() > 1 || declared % 2 == 0 {
            warnings.at(&path.to(*b"....", end), PassedOver::Trailing(rest.len()));
        }
        return Some(Scope { data: &bytes[12..end], start: 12 });
    }
    warnings.at(&path, PassedOver::RiffSize { declared, found });
    Some(whole)
}

/// Returns whether a chunk ends here, with the list of this form before it.
fn ends_at(bytes: &[u8], end: usize, essential: &FourCc) -> bool {
    let mut at = 12;
    let mut seen = false;
    while at < end {
        let Some((id, size)) = header(bytes, at) else { return false };
        seen |= &id == b"LIST" && bytes.get(at + HEADER..at + 12) == Some(essential);
        let Some(next) = at.checked_add(HEADER + size).filter(|next| *next <= end) else { return false };
        at = next + (size & 1);
    }
    seen
}

/// Writes a chunk, its header first and a pad byte where the length is odd.
pub(crate) fn write_chunk(out: &mut Vec<u8>, id: &FourCc, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(id);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let size = out.len() - at - 4;
    out[at..at + 4].copy_from_slice(&(size as u32).to_le_bytes());
    if size % 2 == 1 {
        out.push(0);
    }
}

/// Writes a `LIST` (or, with that code, the `RIFF`) of a form.
pub(crate) fn write_list(out: &mut Vec<u8>, id: &FourCc, form: &FourCc, write: impl FnOnce(&mut Vec<u8>)) {
    write_chunk(out, id, |out| {
        out.extend_from_slice(form);
        write(out);
    });
}
