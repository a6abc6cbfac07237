//! Where in a file a chunk is: the lists that lead to it, and its offset.

use core::fmt;

use super::riff::FourCc;

/// The way to a chunk, kept on the stack while lists are walked, and written out only when there is something to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail<'t> {
    parent: Option<&'t Trail<'t>>,
    id: FourCc,
    /// Which of its kind, from 0.
    index: Option<usize>,
    /// Of the chunk's header in the file.
    pub(crate) offset: usize,
}

impl<'t> Trail<'t> {
    /// The file itself.
    pub(crate) fn root(form: FourCc) -> Self {
        Self { parent: None, id: form, index: None, offset: 0 }
    }

    /// A chunk in this one.
    pub(crate) fn to(&'t self, id: FourCc, offset: usize) -> Trail<'t> {
        Trail { parent: Some(self), id, index: None, offset }
    }

    /// One of several chunks of a kind in this one.
    pub(crate) fn nth(&'t self, id: FourCc, index: usize, offset: usize) -> Trail<'t> {
        Trail { parent: Some(self), id, index: Some(index), offset }
    }
}

impl fmt::Display for Trail<'_> {
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

/// A four-character code as text; what is not printable is a dot.
pub(crate) fn code_text(id: FourCc) -> String {
    let printable = |b: u8| if (0x20..0x7F).contains(&b) { char::from(b) } else { '.' };
    id.map(printable).iter().collect::<String>().trim_end().to_owned()
}
