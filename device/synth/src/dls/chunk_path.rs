//! The place of a chunk in a file: the lists that lead to it, and its offset.

use core::fmt;

/// A chunk's four-character code.
pub(crate) type FourCc = [u8; 4];

/// The path to a chunk, kept on the stack while lists are walked, and formatted only for an error or a warning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkPath<'t> {
    parent: Option<&'t ChunkPath<'t>>,
    id: FourCc,
    /// Its index among chunks of its kind.
    index: Option<usize>,
    /// Offset of the chunk's header in the file.
    pub(crate) offset: usize,
}

impl<'t> ChunkPath<'t> {
    /// Makes the path to the file itself.
    pub(crate) fn root(form: FourCc) -> Self {
        Self { parent: None, id: form, index: None, offset: 0 }
    }

    /// Makes the path to a chunk in this one.
    pub(crate) fn to(&'t self, id: FourCc, offset: usize) -> ChunkPath<'t> {
        ChunkPath { parent: Some(self), id, index: None, offset }
    }

    /// Makes the path to one of several chunks of a kind in this one.
    pub(crate) fn nth(&'t self, id: FourCc, index: usize, offset: usize) -> ChunkPath<'t> {
        ChunkPath { parent: Some(self), id, index: Some(index), offset }
    }
}

impl fmt::Display for ChunkPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}/")?;
        }
        write!(f, "{}", code_text(self.id))?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// Returns a four-character code as text, with a dot for each byte that is not printable.
pub(crate) fn code_text(id: FourCc) -> String {
    let printable = |b: u8| if (0x20..0x7F).contains(&b) { char::from(b) } else { '.' };
    id.map(printable).iter().collect::<String>().trim_end().to_owned()
}
