//! Notes as people type them: `c4`, `f#3`, `bb2`, or a number from 0 to 127.

use super::answer::Refusal;
use super::words::{WordError, Words, milliseconds, number};

/// Names of the octave's notes, with their distance from C in semitones.
const NAMES: [(char, i32); 7] = [('c', 0), ('d', 2), ('e', 4), ('f', 5), ('g', 7), ('a', 9), ('b', 11)];

/// The velocity, the length and the silence behind it, where a line names none.
const VELOCITY: u64 = 100;
const LENGTH_MS: u64 = 500;
const TAIL_MS: u64 = 200;

/// Reads a note: C4 is 60 (middle C).
fn note(word: &str) -> Result<u8, WordError> {
    let wrong = || WordError(format!("`{word}` is no note: write c4 (middle C), f#3, bb2 or a number from 0 to 127"));
    if word.starts_with(|letter: char| letter.is_ascii_digit()) {
        return word.parse().ok().filter(|note| *note < 128).ok_or_else(wrong);
    }
    let mut letters = word.chars();
    let name = letters.next().map(|letter| letter.to_ascii_lowercase()).ok_or_else(wrong)?;
    let (_, semitones) = NAMES.iter().find(|(letter, _)| *letter == name).ok_or_else(wrong)?;
    let rest = letters.as_str();
    let (shift, octave) = match (rest.strip_prefix(['#', 's']), rest.strip_prefix('b')) {
        (Some(octave), _) => (1, octave),
        (None, Some(octave)) => (-1, octave),
        (None, None) => (0, rest),
    };
    let octave: i32 = octave.parse().ok().filter(|octave| (-1..=9).contains(octave)).ok_or_else(wrong)?;
    u8::try_from((octave + 1) * 12 + semitones + shift).ok().filter(|note| *note < 128).ok_or_else(wrong)
}

/// Returns the step of a line of the prompt.
///
/// # Errors
/// [`Refusal`] as [`step`] has it.
pub(super) fn step_of_line(words: &Words) -> Result<String, Refusal> {
    Ok(step(words)?)
}

/// Returns the step that plays notes together: `c4,e4 100 500ms channel=2 program=19`.
///
/// # Errors
/// [`WordError`] for what is no note, velocity, length, channel or program.
fn step(words: &Words) -> Result<String, WordError> {
    let mut words = words.clone();
    let mut within = |name: &str, least: u64, most: u64, default: u64| match words.take(name) {
        None => Ok(default),
        Some(word) => match number(&word)? {
            found if (least..=most).contains(&found) => Ok(found),
            found => Err(WordError(format!("{name} is {found}, and is {least} to {most}"))),
        },
    };
    let channel = within("channel", 1, 16, 1)? - 1;
    let program = within("program", 0, 127, u64::MAX)?;
    let tail = within("tail_ms", 0, 600_000, TAIL_MS)?;
    let stream = words.take("stream");
    words.at_most(3)?;
    let notes: Vec<u8> =
        words.need(0, "a note, such as c4,")?.split(',').map(note).collect::<Result<Vec<_>, WordError>>()?;
    let velocity = words.get(1).map_or(Ok(VELOCITY), |word| number(&word))?;
    if !(1..=127).contains(&velocity) {
        return Err(WordError(format!("the velocity is {velocity}, and is 1 to 127")));
    }
    let length = words.get(2).map_or(Ok(LENGTH_MS), |word| milliseconds(&word))?;
    let mut events = Vec::new();
    if program < 128 {
        events.push(format!("{{ data = \"{:02x} {program:02x}\" }}", 0xc0 | channel));
    }
    events
        .extend(notes.iter().map(|note| format!("{{ data = \"{:02x} {note:02x} {velocity:02x}\" }}", 0x90 | channel)));
    events.extend(
        notes.iter().map(|note| format!("{{ ms = {length}, data = \"{:02x} {note:02x} 00\" }}", 0x80 | channel)),
    );
    let stream = stream.map_or_else(String::new, |name| format!("stream = {}, ", super::words::text(&name)));
    Ok(format!("play = {{ {stream}events = [{}], tail_ms = {tail} }}", events.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_of_notes() {
        let notes = ["c4", "C4", "a4", "c#4", "bb2", "c-1", "g9", "60"].map(|word| note(word).unwrap());
        assert_eq!(notes, [60, 60, 69, 61, 46, 0, 127, 60]);
        for word in ["", "h4", "c", "a9", "128", "c10", "cb-1"] {
            assert!(note(word).is_err(), "{word}");
        }
    }

    #[test]
    fn makes_a_step_that_plays() {
        let step = |line: &str| step(&Words::split(line).unwrap());
        assert_eq!(
            step("c4 100 500ms").unwrap(),
            r#"play = { events = [{ data = "90 3c 64" }, { ms = 500, data = "80 3c 00" }], tail_ms = 200 }"#
        );
        assert!(
            step("c4,e4 64 1s channel=2 program=19").unwrap().contains(r#"{ data = "c1 13" }, { data = "91 3c 40" }"#)
        );
        assert!(step("").unwrap_err().to_string().contains("a note"));
        assert!(step("c4 200").unwrap_err().to_string().contains("velocity"));
        assert!(step("c4 100 1s channel=17").unwrap_err().to_string().contains("channel"));
    }
}
