#![doc = include_str!("../REGISTERS.md")]

mod parse;

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;

pub use parse::TableError;

/// Most registers of a table: the answer to `registers` on the control socket holds so many.
pub const REGISTERS_MAX: usize = 256;

/// What accesses of a driver do to bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum BitAccess {
    /// They read as the card has set them; writes change nothing.
    #[serde(rename = "ro")]
    ReadOnly,
    /// They read as they were written.
    #[serde(rename = "rw")]
    ReadWrite,
    /// They are written, and read as 0.
    #[serde(rename = "wo")]
    WriteOnly,
    /// The card sets them, and a driver clears those that it writes 1 to.
    #[serde(rename = "w1c")]
    WriteOneToClear,
    /// A driver sets those that it writes 1 to, and the card clears them.
    #[serde(rename = "w1s")]
    WriteOneToSet,
    /// The card sets them, and a read clears them.
    #[serde(rename = "rc")]
    ReadToClear,
}

impl BitAccess {
    /// Returns the word for it in a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
            Self::WriteOnly => "wo",
            Self::WriteOneToClear => "w1c",
            Self::WriteOneToSet => "w1s",
            Self::ReadToClear => "rc",
        }
    }

    /// Returns whether a write can change such bits.
    const fn is_writable(self) -> bool {
        !matches!(self, Self::ReadOnly | Self::ReadToClear)
    }
}

/// Bits of a register that mean something together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its lowest bit, from 0.
    pub low: u32,
    /// Its highest bit.
    pub high: u32,
    /// What accesses do to it.
    pub access: BitAccess,
    /// What it is.
    pub text: String,
    /// The values that have names.
    pub values: Vec<(String, u64)>,
}

impl Field {
    /// Returns its bits in the register.
    #[must_use]
    pub const fn mask(&self) -> u64 {
        mask(self.high - self.low + 1) << self.low
    }

    /// Returns its value in a register's.
    #[must_use]
    pub const fn of(&self, register: u64) -> u64 {
        (register & self.mask()) >> self.low
    }
}

/// Returns the lowest bits of a number.
const fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

/// A register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// Its first byte, from the start of the BAR.
    pub offset: u64,
    /// How many bytes it has: 1, 2, 4 or 8. An access has as many.
    pub bytes: usize,
    /// What accesses do to it, where a field does not say otherwise.
    pub access: BitAccess,
    /// Its value after a reset.
    pub reset: u64,
    /// What it is.
    pub text: String,
    /// Its fields, from the lowest bit on. The bits of none are reserved; a register without fields has one value.
    pub fields: Vec<Field>,
}

impl Register {
    /// Returns all bits that it has.
    #[must_use]
    pub const fn mask(&self) -> u64 {
        mask(8 * self.bytes as u32)
    }

    /// Returns the bits of no field, which are none in a register without fields.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        match &self.fields[..] {
            [] => 0,
            fields => self.mask() & !fields.iter().fold(0, |bits, field| bits | field.mask()),
        }
    }

    /// Returns the bits with an access.
    #[must_use]
    pub fn bits(&self, access: BitAccess) -> u64 {
        match &self.fields[..] {
            [] if self.access == access => self.mask(),
            [] => 0,
            fields => fields.iter().filter(|field| field.access == access).fold(0, |bits, field| bits | field.mask()),
        }
    }

    /// Returns whether a read finds anything, and whether a write can change anything.
    pub(crate) fn directions(&self) -> (bool, bool) {
        let accesses = || {
            let own = self.fields.is_empty().then_some(self.access);
            own.into_iter().chain(self.fields.iter().map(|field| field.access))
        };
        (accesses().any(|access| access != BitAccess::WriteOnly), accesses().any(BitAccess::is_writable))
    }

    /// Returns a value with its fields named, such as `STATUS = 0x05 (SENT, MODE = FAST)`.
    #[must_use]
    pub fn decode(&self, value: u64) -> String {
        let mut parts = Vec::new();
        for field in &self.fields {
            let found = field.of(value);
            let named = field.values.iter().find(|(_, of)| *of == found);
            match named {
                Some((name, _)) => parts.push(format!("{} = {name}", field.name)),
                None if field.low == field.high && found == 1 => parts.push(field.name.clone()),
                None if found != 0 => parts.push(format!("{} = {found:#x}", field.name)),
                None => {}
            }
        }
        let reserved = value & self.reserved();
        if reserved != 0 {
            parts.push(format!("reserved bits {reserved:#x}"));
        }
        let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
        format!("{} = {value:#0width$x}{parts}", self.name, width = 2 + 2 * self.bytes)
    }
}

/// A register with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterValue {
    /// The BAR, 0 to 5.
    pub bar: usize,
    /// The register.
    pub register: Arc<Register>,
    /// Its value.
    pub value: u64,
}

/// The registers of a BAR. A clone is the same table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterTable {
    registers: Arc<[Arc<Register>]>,
}

impl RegisterTable {
    /// Reads a table. `name` is what mistakes call it, such as its path.
    ///
    /// # Errors
    /// [`TableError`] with every mistake and its line: keys and values that the format does not have, registers or fields that
    /// overlap, names that come twice, values beyond their bits.
    pub fn parse(name: &str, text: &str) -> Result<Self, TableError> {
        let registers = parse::parse(name, text)?;
        Ok(Self { registers: registers.into_iter().map(Arc::new).collect() })
    }

    /// Returns the registers, by offset.
    pub fn registers(&self) -> impl Iterator<Item = &Register> {
        self.registers.iter().map(|register| &**register)
    }

    /// Returns the register that an access reaches: it begins at `offset` and has `width` bytes. Of two at one place, one is
    /// read and one is written.
    #[must_use]
    pub fn at(&self, offset: u64, width: usize, write: bool) -> Option<&Register> {
        self.index(offset, width, write).map(|index| &*self.registers[index])
    }

    /// Returns a register by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Register> {
        self.registers().find(|register| register.name == name)
    }

    /// Returns the register of an index, in the order of [`registers`](Self::registers).
    pub(crate) fn shared(&self, index: usize) -> Arc<Register> {
        Arc::clone(&self.registers[index])
    }

    /// Returns the index of the register that an access reaches, as [`at`](Self::at) has it.
    pub(crate) fn index(&self, offset: u64, width: usize, write: bool) -> Option<usize> {
        let reached = |register: &Register| register.offset == offset && register.bytes == width;
        let wanted = |register: &Register| {
            let (read, written) = register.directions();
            if write { written } else { read }
        };
        let found = self.registers.iter().position(|register| reached(register) && wanted(register));
        // What a register does not take is found out by the register.
        found.or_else(|| self.registers.iter().position(|register| reached(register)))
    }

    /// Returns the table as Markdown: a row a register, and one a field below it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("| offset | bits | name | access | reset | what |\n|---|---|---|---|---|---|\n");
        for register in self.registers() {
            let Register { name, offset, bytes, access, reset, text: what, fields } = register;
            let access = if fields.is_empty() { access.word() } else { "" };
            let width = 2 + 2 * bytes;
            // Writing to a string cannot fail.
            let _ =
                writeln!(text, "| {offset:#04x} | {} | `{name}` | {access} | {reset:#0width$x} | {what} |", 8 * bytes);
            for field in fields {
                let bits = if field.low == field.high {
                    field.low.to_string()
                } else {
                    format!("{}:{}", field.high, field.low)
                };
                let values = field.values.iter().map(|(name, value)| format!("{value} `{name}`"));
                let values = values.collect::<Vec<_>>().join(", ");
                let what = [field.text.as_str(), &values].into_iter().filter(|part| !part.is_empty());
                let what = what.collect::<Vec<_>>().join("; ");
                let (name, access, reset) = (&field.name, field.access.word(), field.of(*reset));
                let _ = writeln!(text, "| | {bits} | `{name}` | {access} | {reset:#x} | {what} |");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
        [[register]]
        name = 'STATUS'
        offset = 4
        bytes = 4
        reset = 0x10
        text = 'What has happened.'
        [[register.field]]
        name = 'DONE'
        bits = 0
        access = 'w1c'
        [[register.field]]
        name = 'MODE'
        bits = '5:4'
        values = { SLOW = 0, FAST = 1 }

        [[register]]
        name = 'DATA'
        offset = 0
        bytes = 1
        access = 'ro'

        [[register]]
        name = 'COMMAND'
        offset = 0
        bytes = 1
        access = 'wo'";

    #[test]
    fn decodes_values_by_fields_names_and_reserved_bits() {
        let table = RegisterTable::parse("t", TABLE).unwrap();
        let status = table.named("STATUS").unwrap();
        assert_eq!(status.decode(0x11), "STATUS = 0x00000011 (DONE, MODE = FAST)");
        assert_eq!(status.decode(0x8_0020), "STATUS = 0x00080020 (MODE = 0x2, reserved bits 0x80000)");
        assert_eq!(table.named("DATA").unwrap().decode(7), "DATA = 0x07");
    }

    #[test]
    fn finds_the_register_of_an_access_and_of_two_the_one_of_its_direction() {
        let table = RegisterTable::parse("t", TABLE).unwrap();
        let name = |offset, width, write| table.at(offset, width, write).map(|register| register.name.as_str());
        assert_eq!((name(0, 1, false), name(0, 1, true)), (Some("DATA"), Some("COMMAND")));
        assert_eq!((name(4, 4, true), name(4, 2, true), name(5, 1, true)), (Some("STATUS"), None, None));
    }

    #[test]
    fn documents_itself() {
        let table = RegisterTable::parse("t", TABLE).unwrap();
        assert_eq!(
            table.markdown(),
            "| offset | bits | name | access | reset | what |\n|---|---|---|---|---|---|\n\
             | 0x00 | 8 | `DATA` | ro | 0x00 |  |\n\
             | 0x00 | 8 | `COMMAND` | wo | 0x00 |  |\n\
             | 0x04 | 32 | `STATUS` |  | 0x00000010 | What has happened. |\n\
             | | 0 | `DONE` | w1c | 0x0 |  |\n\
             | | 5:4 | `MODE` | rw | 0x1 | 0 `SLOW`, 1 `FAST` |\n"
        );
    }
}
