//! Three small songs of this project's own, written as code so that every byte of the files has a reason.
//!
//! They differ in what they exercise: `tide` drums and plain playing (and it is the default), `clockwork` dense
//! polyphony and controllers, `siren` pitch bends, pressure, system-exclusive messages and tempo changes.

mod clockwork;
mod score;
mod siren;
mod tide;

pub use clockwork::clockwork;
pub use siren::siren;
pub use tide::tide;

use crate::sound::midi::{MidiError, Song};

/// A song that is built in.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name, and its file's under `harness/songs`.
    pub name: &'static str,
    /// The file.
    pub file: &'static [u8],
    /// Composes the file.
    pub compose: fn() -> Vec<u8>,
}

/// The songs, the default one first.
pub const ALL: [BuiltIn; 3] = [
    BuiltIn { name: "tide", file: include_bytes!("../../../songs/tide.mid"), compose: tide },
    BuiltIn { name: "clockwork", file: include_bytes!("../../../songs/clockwork.mid"), compose: clockwork },
    BuiltIn { name: "siren", file: include_bytes!("../../../songs/siren.mid"), compose: siren },
];

impl BuiltIn {
    /// Finds a built-in song by name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|song| song.name == name)
    }

    /// Parses the song.
    ///
    /// # Errors
    /// [`MidiError`] never occurs: the tests parse every built-in file.
    pub fn song(&self) -> Result<Song, MidiError> {
        Song::parse(self.name, self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_files_equal_what_the_code_composes() {
        for song in &ALL {
            assert!(
                (song.compose)() == song.file,
                "{} differs: run `cargo run -p dmus --example compose` and commit the files",
                song.name
            );
        }
    }

    #[test]
    fn the_songs_parse_without_notices_and_differ() {
        let mut programs = HashSet::new();
        for song in &ALL {
            let song = song.song().unwrap();
            assert_eq!(song.notices, Vec::<String>::new());
            assert!(song.notes() > 100, "{}", song.name);
            let of_song: Vec<u8> =
                song.events.iter().filter(|event| event.bytes[0] & 0xf0 == 0xc0).map(|event| event.bytes[1]).collect();
            assert!(programs.insert(of_song));
        }
    }

    #[test]
    fn every_note_that_starts_is_released() {
        for song in &ALL {
            let mut sounding = HashSet::new();
            for event in song.song().unwrap().events {
                match (event.bytes[0] & 0xf0, event.bytes.get(2)) {
                    (0x90, Some(1..)) => {
                        assert!(sounding.insert((event.bytes[0] & 15, event.bytes[1])), "{}: struck twice", song.name);
                    }
                    (0x90 | 0x80, _) => {
                        assert!(sounding.remove(&(event.bytes[0] & 15, event.bytes[1])), "{}", song.name);
                    }
                    _ => {}
                }
            }
            assert!(sounding.is_empty(), "{}: {sounding:?} never end", song.name);
        }
    }

    #[test]
    fn the_default_song_lasts_ten_seconds() {
        assert_eq!(ALL[0].song().unwrap().end, 100_000_000);
    }

    #[test]
    fn the_songs_together_hold_every_kind_of_message() {
        let kinds: HashSet<u8> = ALL
            .iter()
            .flat_map(|song| song.song().unwrap().events)
            .map(|event| if event.bytes[0] < 0xf0 { event.bytes[0] & 0xf0 } else { event.bytes[0] })
            .collect();
        assert_eq!(kinds, HashSet::from([0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0]));
    }

    #[test]
    fn siren_has_a_message_longer_than_one_event() {
        let song = BuiltIn::by_name("siren").unwrap().song().unwrap();
        assert!(song.events.iter().any(|event| event.bytes.len() > 8));
    }
}
