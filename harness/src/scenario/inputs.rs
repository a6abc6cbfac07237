//! What a case is run with: its song, and the options of its card.

use card_control::Transport;

use super::case::Case;
use super::context::Context;
use super::error::RunError;
use crate::event::Event;
use crate::machine::CardOptions;
use crate::sound::midi::Song;
use crate::sound::song_file::SongFile;
use crate::testbed::Provisioned;

/// Reads the song of a case, warns of what was left out of it, and returns it with the card's options.
///
/// # Errors
/// [`RunError::SongFile`] for a song that cannot be read.
pub(super) fn song_and_card(
    case: &Case,
    provisioned: &Provisioned,
    context: &Context<'_>,
) -> Result<(Song, CardOptions), RunError> {
    let found = case.song.read(&provisioned.artefacts.card)?;
    let SongFile { song, bank } = found.with_bank(case.bank.as_deref());
    for notice in &song.notices {
        context.observer.event(&Event::Warning { text: format!("{}: {notice}", song.name) });
    }
    let transport = context.overrides.transport.unwrap_or(case.transport);
    let card = CardOptions {
        transport,
        clock: case.clock,
        bank,
        render_block: case.render_block,
        // The guard stands before vhost-user's socket.
        guard: case.guard && transport == Transport::VhostUser,
        sandbox: context.overrides.sandbox.unwrap_or(case.sandbox),
        trace: true,
    };
    Ok((song, card))
}
