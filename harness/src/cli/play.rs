//! `dmus play`: listens to what a run has left.

use std::path::{Path, PathBuf};

use dmus::report::{Terminal, out};
use dmus::sound::pcm::Pcm;
use dmus::sound::player::{Player, PlayerError};

use super::args::{PlayArguments, PlayChoice};
use super::error::Outcome;

/// Plays the sound of a run folder, or a WAV file.
///
/// # Errors
/// [`Error::Player`](super::error::Error) when there is no such sound, no player, or the player fails.
pub(super) fn play(arguments: &PlayArguments) -> Outcome {
    let player = Player::find()?;
    let place = &arguments.run;
    let guest = || {
        let number = arguments.number.map_or_else(String::new, |number| format!("-{number}"));
        file(place, &format!("guest{number}.wav"), "sound of the guest")
    };
    let expected = || file(place, "offline.wav", "expected sound beside the guest's");
    let terminal = Terminal::new();
    let what = match arguments.what {
        PlayChoice::Guest => {
            let path = if place.is_dir() { guest()? } else { place.clone() };
            player.play(&path)?;
            path.display().to_string()
        }
        PlayChoice::Expected => {
            let path = expected()?;
            player.play(&path)?;
            path.display().to_string()
        }
        PlayChoice::Difference => {
            player.play_difference(&Pcm::read_wav(&guest()?)?, &Pcm::read_wav(&expected()?)?)?;
            format!("{}, without what is expected, as loud as can be", place.display())
        }
    };
    drop(terminal);
    out(&format!("played     {what}, by {}", player.name()));
    Ok(None)
}

/// Returns the path of a sound in a run folder.
fn file(folder: &Path, name: &str, what: &str) -> Result<PathBuf, PlayerError> {
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(PlayerError::NoSound { place: folder.into(), what: what.into() }) }
}
