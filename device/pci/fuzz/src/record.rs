//! The form of an input: records of sixteen bytes, each with data behind it. Every input has a meaning, so that no mutation
//! is wasted.

/// Bytes of a record without its data.
const BYTES: usize = 16;

/// One act.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Act<'a> {
    /// The verb, see [`super::messages`].
    pub(super) verb: u8,
    /// A small number, such as a command's.
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
        input.extend_from_slice(&[self.verb, self.which]);
        input.extend_from_slice(&length.to_le_bytes());
        input.extend_from_slice(&self.number.to_le_bytes());
        input.extend_from_slice(&self.wide.to_le_bytes());
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
        let (head, tail) = rest.split_at(rest.len().min(BYTES));
        let mut record = [0; BYTES];
        record[..head.len()].copy_from_slice(head);
        let [verb, which, l0, l1, n0, n1, n2, n3, wide @ ..] = record;
        let length = usize::from(u16::from_le_bytes([l0, l1])).min(tail.len());
        let (data, next) = tail.split_at(length);
        rest = next;
        Some(Act { verb, which, number: u32::from_le_bytes([n0, n1, n2, n3]), wide: u64::from_le_bytes(wide), data })
    })
}
