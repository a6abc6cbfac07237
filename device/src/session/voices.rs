//! Finds the voices that have started and ended since it last looked.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_trace::VoiceStart;
use dls_synth::{Patch, SoundingVoice};

use super::synth::SessionSynth;
use crate::trace::Trace;

/// A voice, told from every other one that has ever been in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    session: u64,
    serial: u64,
    /// Its first frame.
    frame: i64,
}

/// What sounds in which lane, as it was last seen.
#[derive(Debug, Default)]
pub struct VoiceWatch {
    lanes: Vec<Option<Known>>,
    /// The session that was last looked at, and its [`SessionSynth::voice_changes`] then.
    seen: Option<(u64, u64)>,
}

impl VoiceWatch {
    /// Records in `trace` which voices of a session have started and ended since the last call. `position` is the frame to be rendered
    /// next. A voice that has started and ended since then is not seen.
    pub fn look(&mut self, trace: &Trace, session: u64, synth: &SessionSynth, position: i64) {
        // Most blocks change no voice, and there are more lanes to look at than records to write.
        let now = Some((session, synth.voice_changes()));
        if std::mem::replace(&mut self.seen, now) == now {
            return;
        }
        let mut next = 0;
        for voice in synth.voices() {
            while next < voice.lane {
                self.see(trace, next, None, position);
                next = next.saturating_add(1);
            }
            let known = Known { session, serial: voice.serial, frame: first_frame(&voice, position) };
            self.see(trace, voice.lane, Some((known, &voice)), position);
            next = voice.lane.saturating_add(1);
        }
        for lane in next..self.lanes.len() {
            self.see(trace, lane, None, position);
        }
    }

    fn see(&mut self, trace: &Trace, lane: usize, now: Option<(Known, &SoundingVoice)>, position: i64) {
        if self.lanes.len() <= lane {
            if now.is_none() {
                return;
            }
            self.lanes.resize(lane.saturating_add(1), None);
        }
        let Some(slot) = self.lanes.get_mut(lane) else { return };
        let known = now.map(|(known, _)| known);
        if *slot == known {
            return;
        }
        let number = u16::try_from(lane).unwrap_or(u16::MAX);
        if slot.is_some() {
            trace.voice_ended(number, position);
        }
        if let Some((known, voice)) = now {
            trace.voice_started(&started(number, known.frame, voice));
        }
        *slot = known;
    }
}

/// Returns the frame at which a voice has started; `position` is the frame to be rendered next.
pub(crate) fn first_frame(voice: &SoundingVoice, position: i64) -> i64 {
    position.saturating_sub_unsigned(voice.age)
}

fn started(lane: u16, frame: i64, voice: &SoundingVoice) -> VoiceStart {
    let &SoundingVoice { group, channel, note, velocity, patch, .. } = voice;
    VoiceStart { lane, group, channel, note, velocity, instrument: instrument(patch), frame }
}

/// Returns an instrument as records number them.
fn instrument(Patch { drums, bank_msb, bank_lsb, program }: Patch) -> u32 {
    u32::from_le_bytes([program, bank_lsb, bank_msb, if drums { 1 << 7 } else { 0 }])
}
