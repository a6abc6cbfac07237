//! Where a song is from: the project, or a file.

use std::path::{Path, PathBuf};

use crate::sound::song_file::{self, SongFile, SongFileError};
use crate::sound::songs::{self, BuiltIn};

/// The source of a song.
#[derive(Clone, Debug)]
pub enum SongSource {
    /// A song of the project.
    BuiltIn(&'static BuiltIn),
    /// A song file of any form.
    File(PathBuf),
}

impl SongSource {
    /// Returns the song of a name: one of the project's, or a file in a folder. `None` where there is neither.
    #[must_use]
    pub fn named(name: &str, folder: &Path) -> Option<Self> {
        if let Some(built_in) = BuiltIn::by_name(name) {
            return Some(Self::BuiltIn(built_in));
        }
        let path = folder.join(name);
        path.is_file().then_some(Self::File(path))
    }

    /// Returns the names of the project's songs.
    #[must_use]
    pub fn names() -> [&'static str; songs::ALL.len()] {
        songs::ALL.map(|song| song.name)
    }

    /// Reads the song, with the card's program for a file that carries one with its instruments.
    ///
    /// # Errors
    /// [`SongFileError`] when the file cannot be read or is no song.
    pub fn read(&self, card: &Path) -> Result<SongFile, SongFileError> {
        match self {
            Self::BuiltIn(song) => Ok(SongFile { song: song.song()?, bank: None }),
            Self::File(path) => song_file::read(path, || Ok(card.into())),
        }
    }
}
