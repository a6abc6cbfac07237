//! The card's session: voices, streams, events that wait.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;

/// Shows the session that the driver has on the card.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(0)?;
    let status = turn.status()?;
    let Some(session) = &status.session else {
        return Ok(Answer::new("the driver has no session on the card", json!({ "session": null })));
    };
    let mut lines = vec![
        format!("session {} at {} Hz, {} channel groups", session.id, session.sample_rate, session.channel_groups),
        format!("voices: {} sound, {} at most", session.active_voices, session.voices),
        format!(
            "frame {}, {} events wait{}, {} frames in the FIFO",
            session.position,
            session.pending_events,
            if session.back_pressure { " (and batches in the ring)" } else { "" },
            session.fifo_frames
        ),
        format!("downloads: {}, {} bytes free", session.downloads, session.free_download_memory),
    ];
    lines
        .extend(session.streams.iter().map(|stream| format!("stream {}: {} {}", stream.id, stream.kind, stream.state)));
    Ok(Answer::new(lines.join("\n"), json!({ "session": session })))
}
