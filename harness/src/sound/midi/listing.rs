//! The event list that the card's offline render reads: a line of text an event.

use std::io::{self, Write};

use super::MidiEvent;
use crate::host::hash::hex;

/// The list's first line: what it is, and its version.
pub const LISTING_HEADER: &str = "# dmus event list 1";

/// Writes the list: after the header, `time channel-group message` a line, time in 100 ns units, the message in
/// hexadecimal.
///
/// # Errors
/// Those of the writer.
pub fn write_listing(events: &[MidiEvent], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{LISTING_HEADER}")?;
    for event in events {
        writeln!(out, "{} {} {}", event.time, event.channel_group, hex(&event.bytes))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_header_and_a_line_an_event() {
        let event = MidiEvent { time: 12_345, channel_group: 1, bytes: vec![0x90, 60, 100] };
        let mut text = Vec::new();
        write_listing(&[event], &mut text).unwrap();
        assert_eq!(text, b"# dmus event list 1\n12345 1 903c64\n");
    }
}
