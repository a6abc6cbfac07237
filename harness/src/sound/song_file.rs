//! Song files of every form: Standard MIDI Files, and the RMID and XMF files that carry one with its instruments.

use std::path::{Path, PathBuf};

use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::sound::bank::{self, BankCommandError};
use crate::sound::midi::{MidiError, Song};

/// A song, and the bank that its file brings.
#[derive(Clone, Debug)]
pub struct SongFile {
    /// The song.
    pub song: Song,
    /// The file with the instruments: the song's own, which the card reads as a bank.
    pub bank: Option<PathBuf>,
}

impl SongFile {
    /// Chooses the bank to play from: the one that the user named, or else the song's own. When there are both, the song
    /// gets a notice.
    #[must_use]
    pub fn with_bank(mut self, named: Option<&Path>) -> Self {
        if let Some(named) = named {
            if self.bank.is_some() {
                self.song
                    .notices
                    .push(format!("the song's own instruments are not used: {} replaces them", named.display()));
            }
            self.bank = Some(named.into());
        }
        self
    }
}

/// Why a song file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SongFileError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no song.
    #[error(transparent)]
    Midi(#[from] MidiError),
    /// It carries no song that can be taken out.
    #[error(transparent)]
    Container(#[from] BankCommandError),
}

crate::diagnosed_by_variant!(SongFileError: File, Midi, Container);

/// Returns whether these are the first bytes of a file that carries a song.
fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(b"XMF_") || (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"RMID"))
}

/// Reads a song. `card` returns the card's program, which takes a song out of the file that carries it; it is called for
/// such a file only.
///
/// # Errors
/// The errors of `card`, and [`SongFileError`] as its variants say.
pub fn read<E: From<SongFileError>>(path: &Path, card: impl FnOnce() -> Result<PathBuf, E>) -> Result<SongFile, E> {
    let bytes = std::fs::read(path).map_err(FileError::input(path)).map_err(SongFileError::from)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if !is_container(&bytes) {
        let song = Song::parse(&name, &bytes).map_err(SongFileError::from)?;
        return Ok(SongFile { song, bank: None });
    }
    Ok(read_container(path, &name, &card()?)?)
}

fn read_container(path: &Path, name: &str, card: &Path) -> Result<SongFile, SongFileError> {
    let scratch = Scratch::new()?;
    let file = scratch.path().join("song.mid");
    let summary = bank::take_song(card, path, &file)?;
    let bytes = std::fs::read(&file).map_err(FileError::own("read", &file))?;
    let mut song = Song::parse(name, &bytes)?;
    if summary.has_bank {
        // The card says the same when it reads the bank.
        return Ok(SongFile { song, bank: Some(path.into()) });
    }
    song.notices.splice(0..0, summary.warnings);
    Ok(SongFile { song, bank: None })
}
