//! What an observer sees of the voices.

use super::Synth;
use crate::dls::collection::Patch;
use crate::voice::active::VoiceState;

/// A voice that sounds: one region of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundingVoice {
    /// The number of its lane, which no other voice has while it sounds.
    pub lane: usize,
    /// The channel group, from 0.
    pub group: u16,
    /// The channel, 0 to 15.
    pub channel: u8,
    /// The key.
    pub note: u8,
    /// The velocity of its note-on.
    pub velocity: u8,
    /// The instrument that the channel had selected at its note-on; one that is not there is played by the nearest.
    pub patch: Patch,
    /// The number of its note-on; other regions of the same note have the same.
    pub serial: u64,
    /// How many frames it has sounded.
    pub age: u64,
    /// Its note has not ended, neither by a note-off nor by another voice that takes its place.
    pub held: bool,
}

impl Synth {
    /// Returns a number that is another one whenever one of the [`voices`](Self::voices) has started or ended since: an observer need look at them
    /// again only then.
    #[must_use]
    pub fn voice_changes(&self) -> u64 {
        self.mixer.changes()
    }

    /// Iterates over the voices that sound, in the order of their lanes; those that fade out because another one takes their place
    /// included.
    pub fn voices(&self) -> impl Iterator<Item = SoundingVoice> {
        self.mixer.lanes().map(|(lane, voice)| SoundingVoice {
            lane,
            group: voice.group,
            channel: voice.channel,
            note: voice.note,
            velocity: voice.velocity,
            patch: voice.patch,
            serial: voice.serial,
            age: self.frame.saturating_sub(voice.started),
            held: voice.state == VoiceState::Held,
        })
    }
}
