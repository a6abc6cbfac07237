//! Reads register tables, and names every mistake of one with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{BitAccess, Field, REGISTERS_MAX, Register, mask};

/// The mistakes of a register table, each with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    name: String,
    /// Line, from 1, and sentence.
    mistakes: Vec<(usize, String)>,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, mistake)) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}: {mistake}", self.name)?;
        }
        Ok(())
    }
}

impl std::error::Error for TableError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    register: Vec<Spanned<RegisterDocument>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterDocument {
    name: Spanned<String>,
    offset: Spanned<u64>,
    bytes: Spanned<u64>,
    access: Option<BitAccess>,
    reset: Option<Spanned<Number>>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    field: Vec<Spanned<FieldDocument>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldDocument {
    name: Spanned<String>,
    bits: Spanned<Bits>,
    access: Option<BitAccess>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    values: BTreeMap<String, Spanned<u64>>,
}

/// A number, or the digits of one that TOML's integers cannot hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Integer(u64),
    Digits(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Digits(text) => u64::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
        }
    }
}

/// `3`, or `"7:4"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bits {
    One(u32),
    Several(String),
}

impl Bits {
    /// Returns the lowest and the highest bit.
    fn range(&self) -> Option<(u32, u32)> {
        match self {
            Self::One(bit) => Some((*bit, *bit)),
            Self::Several(text) => {
                let (high, low) = text.split_once(':')?;
                let (high, low) = (high.trim().parse().ok()?, low.trim().parse().ok()?);
                (low <= high).then_some((low, high))
            }
        }
    }
}

/// Collects mistakes.
struct Mistakes<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl Mistakes<'_> {
    fn add(&mut self, span: Range<usize>, mistake: String) {
        let line = 1 + self.text.get(..span.start).unwrap_or_default().matches('\n').count();
        self.found.push((line, mistake));
    }

    /// Notes a name that is none, or that came before.
    fn name(&mut self, name: &Spanned<String>, seen: &mut BTreeSet<String>, what: &str) {
        let text = name.get_ref();
        if text.is_empty() || !text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
            let mistake = format!("`{text}` is not a name of a {what}: letters, digits and underscores make one");
            self.add(name.span(), mistake);
        } else if !seen.insert(text.clone()) {
            self.add(name.span(), format!("there is already a {what} `{text}`"));
        }
    }
}

/// Reads a table. The registers come by offset.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Register>, TableError> {
    let mut mistakes = Mistakes { text, found: Vec::new() };
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            mistakes.add(error.span().unwrap_or_default(), error.message().to_owned());
            return Err(TableError { name: name.into(), mistakes: mistakes.found });
        }
    };
    if document.register.is_empty() {
        mistakes.add(0..0, "the table has no register: begin one with [[register]]".into());
    }
    if let Some(beyond) = document.register.get(REGISTERS_MAX) {
        mistakes.add(beyond.span(), format!("a table has at most {REGISTERS_MAX} registers"));
    }
    let mut names = BTreeSet::new();
    let mut registers: Vec<(Range<usize>, Register)> = Vec::new();
    for entry in document.register {
        let span = entry.span();
        if let Some(register) = register(entry.into_inner(), &mut names, &mut mistakes) {
            registers.push((span, register));
        }
    }
    overlaps(&registers, &mut mistakes);
    if mistakes.found.is_empty() {
        let mut registers: Vec<Register> = registers.into_iter().map(|(_, register)| register).collect();
        registers.sort_by_key(|register| register.offset);
        return Ok(registers);
    }
    mistakes.found.sort();
    Err(TableError { name: name.into(), mistakes: mistakes.found })
}

fn register(document: RegisterDocument, names: &mut BTreeSet<String>, mistakes: &mut Mistakes<'_>) -> Option<Register> {
    let before = mistakes.found.len();
    mistakes.name(&document.name, names, "register");
    let name = document.name.into_inner();
    let bytes = *document.bytes.get_ref();
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        mistakes.add(document.bytes.span(), format!("`{name}` cannot have {bytes} bytes: it has 1, 2, 4 or 8"));
        return None;
    }
    let offset = *document.offset.get_ref();
    if !offset.is_multiple_of(bytes) {
        mistakes
            .add(document.offset.span(), format!("`{name}` has {bytes} bytes and must begin at a multiple of that"));
    }
    let bits = 8 * bytes as u32;
    let reset = match &document.reset {
        None => 0,
        Some(number) => match number.get_ref().value() {
            Some(value) if value <= mask(bits) => value,
            Some(value) => {
                mistakes
                    .add(number.span(), format!("the reset value {value:#x} of `{name}` has more than {bits} bits"));
                0
            }
            None => {
                let mistake =
                    format!("the reset value of `{name}` is a number, or text such as \"0xffff000000000000\"");
                mistakes.add(number.span(), mistake);
                0
            }
        },
    };
    let access = document.access.unwrap_or(BitAccess::ReadWrite);
    let mut fields: Vec<Field> = Vec::new();
    let mut field_names = BTreeSet::new();
    for entry in document.field {
        if let Some(field) = field(entry.into_inner(), (&name, bits, access), &mut field_names, &fields, mistakes) {
            fields.push(field);
        }
    }
    fields.sort_by_key(|field| field.low);
    let register = Register { name, offset, bytes: bytes as usize, access, reset, text: document.text, fields };
    (mistakes.found.len() == before).then_some(register)
}

fn field(
    document: FieldDocument,
    (register, bits, access): (&str, u32, BitAccess),
    names: &mut BTreeSet<String>,
    others: &[Field],
    mistakes: &mut Mistakes<'_>,
) -> Option<Field> {
    mistakes.name(&document.name, names, "field");
    let name = document.name.into_inner();
    let Some((low, high)) = document.bits.get_ref().range() else {
        let mistake = format!("the bits of `{name}` are a number, such as 3, or the highest and the lowest: \"7:4\"");
        mistakes.add(document.bits.span(), mistake);
        return None;
    };
    if high >= bits {
        mistakes
            .add(document.bits.span(), format!("`{name}` has bit {high}, and `{register}` has bits 0 to {}", bits - 1));
        return None;
    }
    if let Some(other) = others.iter().find(|other| other.low <= high && low <= other.high) {
        mistakes.add(document.bits.span(), format!("the fields `{}` and `{name}` of `{register}` overlap", other.name));
    }
    for (value_name, value) in &document.values {
        if *value.get_ref() > mask(high - low + 1) {
            let mistake = format!("the value `{value_name}` of `{name}` has more bits than the field");
            mistakes.add(value.span(), mistake);
        }
    }
    let mut values: Vec<(String, u64)> =
        document.values.into_iter().map(|(name, value)| (name, value.into_inner())).collect();
    values.sort_by_key(|(_, value)| *value);
    let access = document.access.unwrap_or(access);
    Some(Field { name, low, high, access, text: document.text, values })
}

/// Notes registers that overlap. Two may have one place where a driver only reads one and only writes the other.
fn overlaps(registers: &[(Range<usize>, Register)], mistakes: &mut Mistakes<'_>) {
    for (index, (span, register)) in registers.iter().enumerate() {
        let end = |register: &Register| register.offset.saturating_add(register.bytes as u64);
        let clash = |other: &Register| {
            let apart = end(other) <= register.offset || end(register) <= other.offset;
            let same = (other.offset, other.bytes) == (register.offset, register.bytes);
            let ((read, written), (other_read, other_written)) = (register.directions(), other.directions());
            !apart && !(same && !(read && other_read) && !(written && other_written))
        };
        if let Some((_, other)) = registers[..index].iter().find(|(_, other)| clash(other)) {
            let mistake = format!(
                "the registers `{}` and `{}` overlap; two may share a place where one is only read and the other only \
                 written",
                other.name, register.name
            );
            mistakes.add(span.clone(), mistake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RegisterTable;

    #[test]
    fn names_every_mistake_with_its_line() {
        let text = "[[register]]
name = 'A'
offset = 2
bytes = 4
reset = 0x1_0000_0000
[[register.field]]
name = 'X'
bits = '3:0'
values = { BIG = 16 }
[[register.field]]
name = 'X'
bits = 3
[[register.field]]
name = 'Y'
bits = 32
[[register.field]]
name = 'Z'
bits = '1:2'

[[register]]
name = 'B C'
offset = 4
bytes = 3

[[register]]
name = 'D'
offset = 8
bytes = 8

[[register]]
name = 'E'
offset = 12
bytes = 4
access = 'ro'
";
        let error = RegisterTable::parse("x.toml", text).unwrap_err().to_string();
        let expected = [
            "x.toml:3: `A` has 4 bytes and must begin at a multiple of that",
            "x.toml:5: the reset value 0x100000000 of `A` has more than 32 bits",
            "x.toml:9: the value `BIG` of `X` has more bits than the field",
            "x.toml:11: there is already a field `X`",
            "x.toml:12: the fields `X` and `X` of `A` overlap",
            "x.toml:15: `Y` has bit 32, and `A` has bits 0 to 31",
            "x.toml:18: the bits of `Z` are a number, such as 3, or the highest and the lowest: \"7:4\"",
            "x.toml:21: `B C` is not a name of a register: letters, digits and underscores make one",
            "x.toml:23: `B C` cannot have 3 bytes: it has 1, 2, 4 or 8",
            "x.toml:30: the registers `D` and `E` overlap; two may share a place where one is only read and the other only \
             written",
        ];
        assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn refuses_what_the_format_does_not_have() {
        for (text, line, words) in [
            ("", 1, "[[register]]"),
            ("[[register]]\nname = 'A'\noffset = 0\nbytes = 1\nacces = 'ro'", 5, "unknown field `acces`"),
            ("[[register]]\nname = 'A'\noffset = 0\nbytes = 1\naccess = 'r'", 5, "unknown variant `r`"),
            ("[[register]]\nname = 'A'\noffset = -1\nbytes = 1", 3, "-1"),
            ("[[register]]\nname = 'A'\noffset = 0\nbytes = 8\nreset = 'many'", 5, "0xffff000000000000"),
            ("[[register]]\nname = ", 2, ""),
        ] {
            let error = RegisterTable::parse("t", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("t:{line}: ")) && error.contains(words), "{text}: {error}");
        }
        let many: String = (0..=super::REGISTERS_MAX)
            .map(|n| format!("[[register]]\nname = 'R{n}'\noffset = {n}\nbytes = 1\n"))
            .collect();
        assert!(RegisterTable::parse("t", &many).unwrap_err().to_string().contains("at most 256"));
    }

    #[test]
    fn takes_values_that_toml_has_no_integers_for() {
        let text = "[[register]]\nname = 'A'\noffset = 0\nbytes = 8\nreset = '0xffff000000000000'";
        let table = RegisterTable::parse("t", text).unwrap();
        assert_eq!(table.named("A").unwrap().reset, 0xffff_0000_0000_0000);
    }
}
