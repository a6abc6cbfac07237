//! Lines for the kernel debugger.
//!
//! The lines are put together here and not by `core::fmt`: its machinery takes more stack than the rest of the driver,
//! and can panic. Each error type has its conversion into a [`Reason`] beside it.

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(&'static str),
    /// A number in decimal digits.
    Number(u64),
    /// A number in hexadecimal digits.
    Hex(u64),
    /// The text and the values of an error.
    Reason(Reason),
}

/// Describes an error: a text, and up to two values in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    text: &'static str,
    values: [Option<u64>; 2],
}

impl Reason {
    /// Makes a reason without values.
    pub(crate) const fn plain(text: &'static str) -> Self {
        Self { text, values: [None; 2] }
    }

    /// Makes a reason with one value.
    pub(crate) const fn with(text: &'static str, value: u64) -> Self {
        Self { text, values: [Some(value), None] }
    }

    /// Makes a reason with two values.
    pub(crate) const fn with_two(text: &'static str, first: u64, second: u64) -> Self {
        Self { text, values: [Some(first), Some(second)] }
    }
}

/// A line of at most `N` bytes that ends with a zero byte. Text beyond that is cut off.
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// Makes a line of its parts.
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        const { assert!(N > 0) };
        let mut line = Self { bytes: [0; N], length: 0 };
        for part in parts {
            match part {
                Part::Text(text) => line.text(text),
                Part::Number(number) => line.number(*number, 10),
                Part::Hex(number) => line.hex(*number),
                Part::Reason(reason) => {
                    line.text(reason.text);
                    for value in reason.values.into_iter().flatten() {
                        line.text(" ");
                        line.hex(value);
                    }
                }
            }
        }
        line
    }

    /// Returns the bytes without the zero byte.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Returns a pointer to the bytes, which end with a zero byte.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        // The last byte stays 0.
        if self.length + 1 < N
            && let Some(place) = self.bytes.get_mut(self.length)
        {
            *place = byte;
            self.length += 1;
        }
    }

    fn hex(&mut self, number: u64) {
        self.text("0x");
        self.number(number, 16);
    }

    /// Writes the digits from the first one on, so that none has to be stored.
    fn number(&mut self, number: u64, base: u64) {
        let mut unit = 1_u64;
        while let Some(next) = unit.checked_mul(base)
            && next <= number
        {
            unit = next;
        }
        let mut rest = number;
        while unit != 0 {
            let mut digit = 0;
            while rest >= unit {
                rest -= unit;
                digit += 1;
            }
            self.byte(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
            unit = if base == 10 { unit / 10 } else { unit >> 4 };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;
    use std::string::String;

    use super::*;

    fn line<const N: usize>(parts: &[Part]) -> String {
        let line = Line::<N>::of(parts);
        assert_eq!(line.bytes[line.length..], [0; N][line.length..]);
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn writes_numbers_as_the_standard_formatter_does() {
        for number in [0, 1, 9, 10, 15, 16, 99, 100, 4096, 123_456_789, u64::MAX - 1, u64::MAX] {
            assert_eq!(line::<64>(&[Part::Number(number)]), format!("{number}"));
            assert_eq!(line::<64>(&[Part::Hex(number)]), format!("{number:#x}"));
        }
    }

    #[test]
    fn writes_the_values_behind_a_reason() {
        let parts = [Part::Text("the card: "), Part::Reason(Reason::with_two("room, written", 16, 17))];
        assert_eq!(line::<100>(&parts), "the card: room, written 0x10 0x11");
    }

    #[test]
    fn cuts_a_long_line_and_ends_it_with_zero() {
        assert_eq!(line::<8>(&[Part::Text("123456789")]), "1234567");
        assert_eq!(line::<1>(&[Part::Text("1"), Part::Number(5)]), "");
    }
}
