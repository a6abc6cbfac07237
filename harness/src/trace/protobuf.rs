//! Protocol Buffers on the wire, as far as a trace for Perfetto needs them.
//!
//! Source: protobuf.dev, "Encoding".

/// A message that is being put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint_bytes(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Adds a field of a type that is a variable-length number: `uint64`, `int64`, an enumeration.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.varint_bytes(u64::from(field) << 3);
        self.varint_bytes(value);
        self
    }

    /// Adds a field of type `fixed64`.
    pub(super) fn fixed(mut self, field: u32, value: u64) -> Self {
        self.varint_bytes(u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a field of type `string` or `bytes`.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint_bytes(u64::from(field) << 3 | 2);
        self.varint_bytes(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a field that is a message.
    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds the fields of another message of the same type.
    pub(super) fn joined(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// Returns its bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_examples_of_the_documentation() {
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").into_bytes(), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().fixed(1, 1).into_bytes(), [9, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
