//! Memory, ports and registers: read and written.

use guest_protocol::{Bulk, PEEK_BYTES_MAX, Reply, Request, Space};
use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::{WordError, Words, number};
use crate::document::nearest;

/// What an address can be in.
pub(in super::super) const SPACES: &[&str] = &["virt", "phys", "port", "bar"];

/// Bytes that `peek` reads without a number.
const BYTES: u32 = 64;

/// Bytes of a line.
const LINE: usize = 16;

/// Reads what the first two words name.
fn place(words: &Words) -> Result<(Space, u64), WordError> {
    let space = words.need(0, "virt, phys, port or bar")?;
    let word = words.need(1, "an address")?;
    match space.as_str() {
        "virt" => Ok((Space::Virtual, number(&word)?)),
        "phys" => Ok((Space::Physical, number(&word)?)),
        "port" => Ok((Space::Port, number(&word)?)),
        "bar" => {
            let (index, offset) = word.split_once('+').unwrap_or((&word, "0"));
            let index = index.parse().ok().filter(|index| *index < 6);
            let index = index.ok_or_else(|| WordError(format!("`{word}` is no place in a BAR: write 0+0x10")))?;
            Ok((Space::Bar(index), number(offset)?))
        }
        other => {
            let hint = nearest(other, SPACES.iter().copied());
            let hint = hint.map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
            Err(WordError(format!("`{other}` is no space: virt, phys, port or bar{hint}")))
        }
    }
}

/// Takes `width=`.
fn width(words: &mut Words, default: u8) -> Result<u8, WordError> {
    match words.take("width").as_deref() {
        None => Ok(default),
        Some("1") => Ok(1),
        Some("2") => Ok(2),
        Some("4") => Ok(4),
        Some("8") => Ok(8),
        Some(other) => Err(WordError(format!("`{other}` is no width: 1, 2, 4 or 8"))),
    }
}

/// Returns bytes as lines, in words of a width.
fn dump(address: u64, bytes: &[u8], width: u8) -> String {
    let line = |(index, line): (usize, &[u8])| {
        let words = line
            .chunks(width.into())
            .map(|word| word.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>());
        let text: String = line
            .iter()
            .map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' })
            .collect();
        let words = words.collect::<Vec<_>>().join(" ");
        let room = LINE * 2 + LINE / usize::from(width);
        format!("{:016x}  {words:room$} {text}", address + (index * LINE) as u64)
    };
    bytes.chunks(LINE).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads, by the guest; physical memory of a guest that has ended, from what is left of it.
pub(super) fn read(
    turn: &mut Turn<'_, '_>,
    space: Space,
    address: u64,
    bytes: u32,
    width: u8,
) -> Result<Vec<u8>, Refusal> {
    if turn.is_lost() && space == Space::Physical {
        let range = Bulk { address, length: bytes.into() };
        return turn.bed().memory().read(range).map_err(|error| Refusal::usage(error.to_string()));
    }
    match turn.ask("read memory", Request::Peek { space, address, bytes, width })? {
        Reply::Bytes(found) => Ok(found),
        other => Err(super::guest::unexpected(&other)),
    }
}

/// Reads, and shows what was read.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn peek(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let mut words = words.clone();
    let named = words.take("width").map(|width| format!("width={width}"));
    let (space, address) = place(&words)?;
    // Registers and ports take accesses of their own width, which is 4 bytes more often than not.
    let default = match space {
        Space::Virtual | Space::Physical => 1,
        Space::Port => 1,
        Space::Bar(_) => 4,
    };
    let width = width(&mut Words(named.into_iter().collect()), default)?;
    words.at_most(3)?;
    let bytes = match words.get(2) {
        Some(word) => number(&word)?,
        None if matches!(space, Space::Port) => width.into(),
        None => BYTES.into(),
    };
    let bytes = u32::try_from(bytes).ok().filter(|bytes| (1..=PEEK_BYTES_MAX).contains(bytes));
    let bytes = bytes.ok_or_else(|| Refusal::usage(format!("1 to {PEEK_BYTES_MAX} bytes are read at once")))?;
    let found = read(turn, space, address, bytes, width)?;
    Ok(Answer::new(dump(address, &found, width), json!({ "address": address, "bytes": hex::encode(&found) })))
}

/// Writes.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn poke(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let mut words = words.clone();
    let width = width(&mut words, 4)?;
    let (space, address) = place(&words)?;
    let value = number(&words.need(2, "a value")?)?;
    words.at_most(3)?;
    turn.ask("write memory", Request::Poke { space, address, value, width })?;
    Ok(Answer::new(format!("{value:#x} is written"), json!({ "address": address, "value": value, "width": width })))
}

/// Puts `virt` before the words.
fn virtual_of(words: &Words) -> Words {
    Words(std::iter::once("virt".to_owned()).chain(words.0.iter().cloned()).collect())
}

/// Reads virtual memory.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn md(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    peek(turn, &virtual_of(words))
}

/// Writes virtual memory.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn mw(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    poke(turn, &virtual_of(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_words_of_a_width() {
        assert_eq!(dump(0x10, b"AB\0\x01", 1), format!("{:016x}  {:48} AB..", 0x10, "41 42 00 01"));
        assert!(dump(0, b"AB\0\x01", 4).contains("01004241 "));
    }

    #[test]
    fn a_place_is_a_space_and_an_address() {
        let place = |line: &str| place(&Words::split(line).unwrap());
        assert_eq!(place("bar 2+0x10"), Ok((Space::Bar(2), 0x10)));
        assert_eq!(place("phys 4096"), Ok((Space::Physical, 4096)));
        assert!(place("bar 9").is_err());
        assert!(place("phsy 1").unwrap_err().0.contains("did you mean `phys`?"));
    }
}
