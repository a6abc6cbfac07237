//! Plays sound files on the host's loudspeakers: by a player of the host, or with the feature `cpal` by itself.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pcm::{Pcm, PcmFormat};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::provision::{find_program, run};

/// The variable that names a player instead: a program and its arguments, which takes the path of a WAV file at their end.
pub const PLAYER_VARIABLE: &str = "DMUS_PLAYER";

/// The name of the way without a player, which the feature `cpal` adds.
const BY_ITSELF: &str = "cpal";

/// Players, with the arguments before the path of a file: those of the sound servers first, which share the device.
const PLAYERS: [(&str, &[&str]); 4] = [
    ("pw-cat", &["--playback"]),
    ("paplay", &[]),
    ("aplay", &["--quiet"]),
    ("ffplay", &["-nodisp", "-autoexit", "-loglevel", "error"]),
];

/// Why nothing is to be heard.
#[derive(Debug, thiserror::Error)]
pub enum PlayerError {
    /// The host has no player.
    #[error("there is no player on PATH: none of {}", PLAYERS.map(|(name, _)| name).join(", "))]
    NoPlayer,
    /// The variable names no program.
    #[error("{PLAYER_VARIABLE} is `{0}`, which names no program on PATH")]
    Named(String),
    /// The variable wants a way that this program was built without.
    #[error("{PLAYER_VARIABLE} is `{BY_ITSELF}`, and this dmus was built without the feature of that name")]
    NotBuilt,
    /// The host's output device does not play.
    #[cfg(feature = "cpal")]
    #[error(transparent)]
    Device(#[from] super::loudspeakers::DeviceError),
    /// The player does not run.
    #[error("{player} does not run: {source}")]
    Start {
        /// The player.
        player: String,
        /// The host's error.
        source: io::Error,
    },
    /// The player failed.
    #[error("{player} cannot play {}: {said}", path.display())]
    Failed {
        /// The player.
        player: String,
        /// The file.
        path: PathBuf,
        /// What it said, or how it ended.
        said: String,
    },
    /// The user has interrupted.
    #[error("interrupted while {0} plays")]
    Interrupted(String),
    /// A run or a file has no such sound.
    #[error("{} holds no {what}", place.display())]
    NoSound {
        /// The run folder.
        place: PathBuf,
        /// What was to be heard.
        what: String,
    },
    /// The two sounds cannot be subtracted.
    #[error("the PCM of the guest is {0} and what is expected is {1}: they have no difference to hear")]
    Formats(PcmFormat, PcmFormat),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for PlayerError {
    fn class(&self) -> Class {
        match self {
            Self::NoPlayer | Self::NotBuilt => Class::MissingArtefact,
            #[cfg(feature = "cpal")]
            Self::Device(_) => Class::Host,
            Self::Named(_) | Self::NoSound { .. } | Self::Formats(..) => Class::Usage,
            Self::Start { .. } | Self::Failed { .. } => Class::Host,
            Self::Interrupted(_) => Class::Interrupted,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoPlayer => Some(format!(
                "install one (on Debian or Ubuntu: apt-get install pipewire-bin, pulseaudio-utils, alsa-utils or ffmpeg), or name \
                 one with {PLAYER_VARIABLE}"
            )),
            Self::NotBuilt => Some(format!("build it with --features {BY_ITSELF}, or name a program of the host")),
            #[cfg(feature = "cpal")]
            Self::Device(_) => Some(format!("{PLAYER_VARIABLE} names a program that plays instead, such as aplay")),
            Self::Named(_) => Some("name a program and its arguments, such as \"aplay -D hw:1\"".into()),
            Self::Start { .. } | Self::Failed { .. } => Some(format!(
                "on a machine without sound, copy the file to one that has it; {PLAYER_VARIABLE} names another player"
            )),
            Self::NoSound { .. } => Some(
                "a run that passes keeps its sound with --keep only; steps keep the expected sound where one compares it: expect = { \
                 bit_identical = true }"
                    .into(),
            ),
            Self::File(error) => error.remedy(),
            Self::Formats(..) | Self::Interrupted(_) => None,
        }
    }
}

/// A way to the loudspeakers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Player {
    /// A program of the host, with the arguments before the path of a file.
    Program {
        /// Its path.
        program: PathBuf,
        /// The arguments.
        arguments: Vec<OsString>,
    },
    /// The host's output device, without a program.
    #[cfg(feature = "cpal")]
    Device,
}

impl Player {
    /// Finds the player that the variable names, or the first on PATH. A program with the feature `cpal` plays by itself where the
    /// variable names nothing.
    ///
    /// # Errors
    /// [`PlayerError::Named`] when the variable names no program, [`PlayerError::NotBuilt`] when it wants a feature that is not there,
    /// [`PlayerError::NoPlayer`] when PATH has no player.
    pub fn find() -> Result<Self, PlayerError> {
        Self::named_or_found(std::env::var(PLAYER_VARIABLE).ok().as_deref(), find_program)
    }

    fn named_or_found(named: Option<&str>, found: impl Fn(&Path) -> Option<PathBuf>) -> Result<Self, PlayerError> {
        if let Some(named) = named.filter(|named| !named.trim().is_empty()) {
            let words = shlex::split(named).unwrap_or_default();
            let (program, arguments) = words.split_first().ok_or_else(|| PlayerError::Named(named.into()))?;
            if program == BY_ITSELF {
                return Self::by_itself().ok_or(PlayerError::NotBuilt);
            }
            let program = found(Path::new(program)).ok_or_else(|| PlayerError::Named(named.into()))?;
            return Ok(Self::Program { program, arguments: arguments.iter().map(OsString::from).collect() });
        }
        if let Some(player) = Self::by_itself() {
            return Ok(player);
        }
        let mut players = PLAYERS.iter();
        let player = players.find_map(|(name, arguments)| {
            let program = found(Path::new(name))?;
            Some(Self::Program { program, arguments: arguments.iter().map(OsString::from).collect() })
        });
        player.ok_or(PlayerError::NoPlayer)
    }

    const fn by_itself() -> Option<Self> {
        #[cfg(feature = "cpal")]
        return Some(Self::Device);
        #[cfg(not(feature = "cpal"))]
        None
    }

    /// Returns the program's name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Program { program, .. } => program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            #[cfg(feature = "cpal")]
            Self::Device => BY_ITSELF.into(),
        }
    }

    /// Plays a WAV file to its end.
    ///
    /// # Errors
    /// [`PlayerError::Start`] when the player does not run, [`PlayerError::Failed`] with what it says when it fails,
    /// [`PlayerError::Interrupted`] when the user interrupts; with the feature `cpal` also `PlayerError::Device` when the device
    /// does not play, and [`PlayerError::File`] when the file cannot be read.
    pub fn play(&self, path: &Path) -> Result<(), PlayerError> {
        let player = self.name();
        let (program, arguments) = match self {
            Self::Program { program, arguments } => (program, arguments),
            #[cfg(feature = "cpal")]
            Self::Device => {
                return match super::loudspeakers::play(Pcm::read_wav(path)?)? {
                    super::loudspeakers::Ended::Whole => Ok(()),
                    super::loudspeakers::Ended::Interrupted => Err(PlayerError::Interrupted(player)),
                };
            }
        };
        let ended = run(Command::new(program).args(arguments).arg(path)).map_err(|source| {
            if source.kind() == io::ErrorKind::Interrupted {
                PlayerError::Interrupted(player.clone())
            } else {
                PlayerError::Start { player: player.clone(), source }
            }
        })?;
        if ended.status.success() {
            return Ok(());
        }
        let said = ended.stderr.lines().find(|line| !line.trim().is_empty());
        let said = said.map_or_else(|| ended.status.to_string(), str::to_owned);
        Err(PlayerError::Failed { player, path: path.into(), said })
    }

    /// Plays what the first has and the second has not: silence where they are equal, and a difference of one step as loud as
    /// can be.
    ///
    /// # Errors
    /// [`PlayerError::Formats`] for PCM of two formats, [`PlayerError::File`] when no temporary file can be written, and those of
    /// [`play`](Self::play).
    pub fn play_difference(&self, guest: &Pcm, expected: &Pcm) -> Result<(), PlayerError> {
        let difference = audible_difference(guest, expected)?;
        let scratch = Scratch::new()?;
        let path = scratch.path().join("difference.wav");
        difference.write_wav(&path)?;
        self.play(&path)
    }
}

/// Subtracts, and scales the result to the full range.
fn audible_difference(guest: &Pcm, expected: &Pcm) -> Result<Pcm, PlayerError> {
    if guest.format != expected.format {
        return Err(PlayerError::Formats(guest.format, expected.format));
    }
    let length = guest.samples.len().max(expected.samples.len());
    let sample = |pcm: &Pcm, index: usize| i32::from(pcm.samples.get(index).copied().unwrap_or(0));
    let difference: Vec<i32> = (0..length).map(|index| sample(guest, index) - sample(expected, index)).collect();
    let peak = difference.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0).max(1);
    let full = i64::from(i16::MAX);
    let samples = difference.iter().map(|&value| (i64::from(value) * full / i64::from(peak)) as i16).collect();
    Ok(Pcm { samples, format: guest.format })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn on_path<'a>(present: &'a [&str]) -> impl Fn(&Path) -> Option<PathBuf> + use<'a> {
        |name| present.iter().any(|have| Path::new(have) == name).then(|| Path::new("/bin").join(name))
    }

    #[test]
    fn takes_the_first_player_on_path_or_the_one_that_is_named() {
        let program = |name: &str, arguments: &[&str]| Player::Program {
            program: Path::new("/bin").join(name),
            arguments: arguments.iter().map(OsString::from).collect(),
        };
        let named = Player::named_or_found(Some("sox -q 'a b'"), on_path(&["sox"])).unwrap();
        assert_eq!(named, program("sox", &["-q", "a b"]));
        if let Some(device) = Player::by_itself() {
            assert_eq!(Player::named_or_found(None, on_path(&["aplay"])).unwrap(), device);
            assert_eq!(Player::named_or_found(Some(BY_ITSELF), on_path(&[])).unwrap().name(), BY_ITSELF);
        } else {
            let found = Player::named_or_found(None, on_path(&["ffplay", "aplay"])).unwrap();
            assert_eq!(found, program("aplay", &["--quiet"]));
            assert_eq!(Player::named_or_found(Some(" "), on_path(&["paplay"])).unwrap().name(), "paplay");
            let none = Player::named_or_found(None, on_path(&[])).unwrap_err();
            assert!(none.to_string().contains("pw-cat, paplay, aplay, ffplay"), "{none}");
            assert!(none.remedy().unwrap().contains("alsa-utils"));
            let not_built = Player::named_or_found(Some(BY_ITSELF), on_path(&["cpal"])).unwrap_err();
            assert!(not_built.remedy().unwrap().contains("--features cpal"), "{not_built}");
        }
        for named in ["nothing -x", "'"] {
            assert!(matches!(Player::named_or_found(Some(named), on_path(&["aplay"])), Err(PlayerError::Named(_))));
        }
    }

    #[test]
    fn plays_the_file_and_says_what_a_player_says() {
        let scratch = Scratch::new().unwrap();
        let script = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            Player::Program { program: path, arguments: vec!["-x".into()] }
        };
        let heard = scratch.path().join("heard");
        let player = script("good", &format!("cp \"$2\" {}", heard.display()));
        let (guest, expected) = ([5, -3, 0, 8], [5, -2, 0, 8]);
        let pcm = |samples: &[i16]| Pcm { samples: samples.to_vec(), format: PcmFormat::of_card(48_000) };
        player.play_difference(&pcm(&guest), &pcm(&expected)).unwrap();
        assert_eq!(Pcm::read_wav(&heard).unwrap().samples, [0, -i16::MAX, 0, 0]);
        let player = script("bad", "echo >&2; echo no device >&2; exit 3");
        let error = player.play(&heard).unwrap_err();
        assert!(error.to_string().ends_with("no device"), "{error}");
        let other = Pcm { samples: vec![], format: PcmFormat::of_card(44_100) };
        assert!(matches!(player.play_difference(&other, &pcm(&guest)), Err(PlayerError::Formats(..))));
    }
}
