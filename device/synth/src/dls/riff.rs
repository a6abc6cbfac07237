//! RIFF chunks, borrowed from the file, whatever is wrong with their sizes.
//!
//! There is no tree and no recursion: a caller asks for the children of the lists that it knows, so that neither
//! depth nor work can grow beyond a few passes over the file.

use super::bytes::u32_at;

/// A chunk's four-character code.
pub(crate) type FourCc = [u8; 4];

/// One chunk: its code and its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// The code.
    pub(crate) id: FourCc,
    /// The bytes. Fewer than the header promises when the file ends early.
    pub(crate) data: &'a [u8],
    /// Where its header begins in what was walked.
    pub(crate) offset: usize,
}

impl<'a> Chunk<'a> {
    /// The form of a `LIST` or `RIFF` chunk and its content; `None` for any other chunk.
    pub(crate) fn list(&self) -> Option<(FourCc, &'a [u8])> {
        if &self.id != b"LIST" && &self.id != b"RIFF" {
            return None;
        }
        let (form, content) = self.data.split_first_chunk::<4>()?;
        Some((*form, content))
    }

    /// The content of a `LIST` of this form.
    pub(crate) fn list_of(&self, form: &FourCc) -> Option<&'a [u8]> {
        self.list().filter(|(found, _)| found == form).map(|(_, content)| content)
    }
}

/// Walks the chunks that lie one after the other in `data`.
pub(crate) fn chunks(data: &[u8]) -> impl Iterator<Item = Chunk<'_>> + Clone {
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let id = *data.get(at..)?.first_chunk::<4>()?;
        let size = u32_at(data, at + 4)? as usize;
        let start = at + 8;
        let end = start.saturating_add(size).min(data.len());
        let chunk = Chunk { id, data: &data[start..end], offset: at };
        at = end + (size & 1);
        Some(chunk)
    })
}

/// The data of the first chunk with this code.
pub(crate) fn find<'a>(data: &'a [u8], id: &FourCc) -> Option<&'a [u8]> {
    chunks(data).find(|chunk| &chunk.id == id).map(|chunk| chunk.data)
}

/// The content of the first `LIST` of this form.
pub(crate) fn find_list<'a>(data: &'a [u8], form: &FourCc) -> Option<&'a [u8]> {
    chunks(data).find_map(|chunk| chunk.list_of(form))
}

/// The content of a RIFF file of this form. A size that is plainly wrong (beyond the end, or too small to hold
/// anything) is taken for the length of the file: shipped collections have both.
pub(crate) fn file<'a>(bytes: &'a [u8], form: &FourCc) -> Option<&'a [u8]> {
    if bytes.get(0..4)? != b"RIFF" || bytes.get(8..12)? != form {
        return None;
    }
    let size = u32_at(bytes, 4)? as usize;
    let end = if size < 12 || size > bytes.len() - 8 { bytes.len() } else { size + 8 };
    Some(&bytes[12..end])
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
