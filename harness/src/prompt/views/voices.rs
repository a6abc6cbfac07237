//! The card's session: voices, streams, events that wait.

use card_control::answer::Voice;
use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::host::failure::Class;

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
    let sounding = turn.card()?.voices().map_err(|error| {
        Refusal::of(Class::CardDied, format!("the card does not answer on its control socket: {error}"))
    })?;
    lines.extend(sounding.voices.iter().map(|voice| line(voice, sounding.position.unwrap_or_default())));
    lines
        .extend(session.streams.iter().map(|stream| format!("stream {}: {} {}", stream.id, stream.kind, stream.state)));
    Ok(Answer::new(lines.join("\n"), json!({ "session": session, "voices": sounding.voices })))
}

fn line(voice: &Voice, position: i64) -> String {
    let (msb, lsb) = voice.bank;
    format!(
        "voice {}: group {}, channel {}, note {} ({}), velocity {}, {} {}{}, {} since frame {} ({} frames)",
        voice.lane,
        voice.group,
        voice.channel + 1,
        voice.note,
        name(voice.note),
        voice.velocity,
        if voice.drums { "kit" } else { "program" },
        voice.program,
        if voice.bank == (0, 0) { String::new() } else { format!(" of bank {msb}:{lsb}") },
        if voice.held { "held" } else { "let go" },
        voice.frame,
        position.saturating_sub(voice.frame)
    )
}

/// Returns the name of a key, with octaves in which middle C is C4.
fn name(key: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    format!("{}{}", NAMES[usize::from(key % 12)], i16::from(key / 12) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_a_line() {
        let voice = Voice {
            lane: 3,
            channel: 9,
            note: 60,
            velocity: 100,
            drums: true,
            held: true,
            frame: 480,
            ..Voice::default()
        };
        let expected =
            "voice 3: group 0, channel 10, note 60 (C4), velocity 100, kit 0, held since frame 480 (20 frames)";
        assert_eq!(line(&voice, 500), expected);
        let voice = Voice { program: 5, bank: (1, 2), held: false, drums: false, note: 127, ..voice };
        assert!(
            line(&voice, 500).contains("(G9), velocity 100, program 5 of bank 1:2, let go"),
            "{}",
            line(&voice, 500)
        );
    }
}
