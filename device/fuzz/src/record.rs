//! The form of an input: records of sixteen bytes, each with data behind it. Every input has a meaning, so that no mutation
//! is wasted, and every act can be encoded, so that a program can make seeds.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header of an act.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
struct Record {
    kind: u8,
    which: u8,
    /// Bytes of data that follow; fewer at the end of the input.
    length: U16,
    number: U32,
    wide: U64,
}

/// One act. The target defines the meaning of its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<'a> {
    /// The verb.
    pub(super) kind: u8,
    /// A small number, such as a queue's.
    pub(super) which: u8,
    /// A number.
    pub(super) number: u32,
    /// A number that may be an address.
    pub(super) wide: u64,
    /// Bytes.
    pub(super) data: &'a [u8],
}

impl Act<'_> {
    /// Appends the act to an input.
    pub(super) fn write(&self, input: &mut Vec<u8>) {
        let length = u16::try_from(self.data.len()).expect("no more data than a record can say");
        let record = Record {
            kind: self.kind,
            which: self.which,
            length: length.into(),
            number: self.number.into(),
            wide: self.wide.into(),
        };
        input.extend_from_slice(record.as_bytes());
        input.extend_from_slice(self.data);
    }
}

/// Returns the acts of an input, in order. A last record that is cut short is filled up with zeros.
pub(super) fn acts(input: &[u8]) -> impl Iterator<Item = Act<'_>> {
    let mut rest = input;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (head, tail) = rest.split_at(rest.len().min(size_of::<Record>()));
        let mut record = Record::default();
        record.as_mut_bytes()[..head.len()].copy_from_slice(head);
        let (data, next) = tail.split_at(usize::from(record.length.get()).min(tail.len()));
        rest = next;
        let Record { kind, which, number, wide, .. } = record;
        Some(Act { kind, which, number: number.get(), wide: wide.get(), data })
    })
}
