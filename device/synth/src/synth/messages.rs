//! Handles messages: notes, controllers, system exclusive; starts and ends voices, and chooses those to steal.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::Synth;
use crate::channel::{Channel, Master, controller};
use crate::dls::collection::{Patch, Wave};
use crate::limits::{LAYERS_MAX, LAYERS_PER_FRAME_MAX, NOTES_PER_FRAME_MAX};
use crate::program::Program;
use crate::voice::active::{Note, Voice, VoiceState};
use crate::voice::zone::{WaveSource, Zone};

impl Synth {
    /// Handles a Control Change.
    pub(super) fn controller(&mut self, group: u16, channel: u8, number: u8, value: u8) {
        match number {
            controller::ALL_SOUND_OFF => self.voices_of(group, channel).for_each(Voice::shut_down),
            controller::RESET_ALL_CONTROLLERS => {
                self.channel_mut(group, channel).reset_controllers(value);
                self.pedal_moved(group, channel);
            }
            controller::ALL_NOTES_OFF..=controller::POLY_MODE_ON => self.all_notes_off(group, channel),
            controller::SUSTAIN => {
                self.channel_mut(group, channel).set_controller(number, value);
                self.pedal_moved(group, channel);
            }
            _ => self.channel_mut(group, channel).set_controller(number, value),
        }
        self.channel_changed(group, channel);
    }

    fn pedal_moved(&mut self, group: u16, channel: u8) {
        if !self.channel_mut(group, channel).sustains() {
            let sustained = self.voices_of(group, channel).filter(|voice| voice.state == VoiceState::Sustained);
            sustained.for_each(Voice::release);
        }
    }

    fn all_notes_off(&mut self, group: u16, channel: u8) {
        let sustains = self.channel_mut(group, channel).sustains();
        let held = self.voices_of(group, channel).filter(|voice| voice.state == VoiceState::Held);
        held.for_each(|voice| lift(voice, sustains));
    }

    /// Handles a note-off.
    pub(super) fn note_off(&mut self, group: u16, channel: u8, key: u8) {
        let sustains = self.channel_mut(group, channel).sustains();
        let held = self.voices_of(group, channel).filter(|v| v.state == VoiceState::Held && v.note == key);
        held.for_each(|voice| lift(voice, sustains));
    }

    /// Handles a note-on.
    pub(super) fn note_on(&mut self, group: u16, channel: u8, key: u8, velocity: u8) {
        if !self.system_on {
            return;
        }
        if !self.may_begin() {
            self.notes_lost = self.notes_lost.saturating_add(1);
            return;
        }
        let state = self.channel_mut(group, channel).clone();
        let Some((instrument_handle, program)) = self.find_program(&state) else { return };
        self.notes = self.notes.saturating_add(1);
        let (bank_msb, bank_lsb) = state.bank;
        let patch = Patch { drums: state.drums, bank_msb, bank_lsb, program: state.program };
        let note = Note { group, channel, note: key, velocity, patch, serial: self.notes, instrument_handle };
        let matching = program.zones.iter().filter_map(|z| Some((z, z.key_of(key, velocity, &state)?)));
        // On the stack: threads that must not wait play notes.
        let mut layers = [None; LAYERS_MAX];
        layers.iter_mut().zip(matching).for_each(|(layer, zone)| *layer = Some(zone));
        let zones = layers.iter().flatten();
        self.layers_at = self.layers_at.saturating_add(zones.clone().count() as u32);
        if self.layers_at > LAYERS_PER_FRAME_MAX {
            self.notes_lost = self.notes_lost.saturating_add(1);
            return;
        }
        self.make_way(&note, zones.clone());
        let mut lost = false;
        for (zone, zone_key) in zones.clone() {
            let Some(wave) = self.find_wave(zone) else { continue };
            if !self.find_voice(state.priority, &mut lost) {
                lost = true;
                continue;
            }
            let is_slave = zone.phase_group != 0 && !zone.phase_master;
            let master = zones
                .clone()
                .find(|(other, _)| is_slave && other.phase_master && other.phase_group == zone.phase_group)
                .copied();
            let place = (&self.surroundings, self.frame);
            let voice = Voice::start(note, (zone, *zone_key), master, wave, &state, place);
            lost |= !self.mixer.insert(voice, &mut self.downloads);
        }
        self.notes_lost = self.notes_lost.saturating_add(lost.into());
    }

    /// Counts a note that is to begin at the next frame. Whether there may be so many.
    fn may_begin(&mut self) -> bool {
        if self.notes_at.0 != self.frame {
            (self.notes_at, self.layers_at) = ((self.frame, 0), 0);
        }
        self.notes_at.1 = self.notes_at.1.saturating_add(1);
        self.notes_at.1 <= NOTES_PER_FRAME_MAX
    }

    /// Finds the instrument of a channel: a download or one of the bank, in the selected bank or else in a plainer one.
    fn find_program(&self, channel: &Channel) -> Option<(u32, Arc<Program>)> {
        let find = |patch: Patch| {
            let own = self.downloads.program(&patch);
            own.or_else(|| self.bank.programs.get(&patch).map(|program| (0, program.clone())))
        };
        let drums = channel.drums;
        let of_bank = |program| {
            channel
                .banks()
                .into_iter()
                .find_map(|(bank_msb, bank_lsb)| find(Patch { drums, bank_msb, bank_lsb, program }))
        };
        // A kit that is not there is played by the standard kit.
        of_bank(channel.program).or_else(|| if drums { of_bank(0) } else { None })
    }

    fn find_wave(&self, zone: &Zone) -> Option<(Arc<Wave>, u32)> {
        match &zone.wave {
            WaveSource::Bank(wave) => Some((wave.clone(), 0)),
            WaveSource::Download(handle) => self.downloads.wave(*handle).map(|wave| (wave, *handle)),
        }
    }

    /// Ends the voices that a new note ends: those of the same key, unless its region allows them, and of its key
    /// groups.
    fn make_way<'a>(&mut self, note: &Note, zones: impl Iterator<Item = &'a (&'a Zone, i32)> + Clone) {
        let self_exclusive = zones.clone().any(|(zone, _)| zone.self_exclusive);
        for voice in self.mixer.iter_mut().filter(|v| (v.group, v.channel) == (note.group, note.channel)) {
            let same_key = self_exclusive && voice.note == note.note && voice.state >= VoiceState::Sustained;
            let groups =
                |zone: &Zone| zone.key_group == voice.key_group && (!zone.is_of_preset || voice.patch == note.patch);
            let in_group = voice.key_group != 0 && zones.clone().any(|(zone, _)| groups(zone));
            if same_key || in_group {
                voice.shut_down();
            }
        }
    }

    /// Iterates over the voices that count towards the limit: all but stolen ones.
    pub(super) fn counted_voices(&self) -> impl Iterator<Item = &Voice> {
        self.mixer.iter().filter(|voice| voice.state != VoiceState::Stolen)
    }

    fn priority_of(&self, voice: &Voice) -> u32 {
        self.channels[usize::from(voice.group)][usize::from(voice.channel)].priority
    }

    /// Makes sure that one more voice may sound, if need be by ending one of a channel with no higher priority
    /// (DLS-2.2, 1.3.2): of the lowest such priority, the least alive, then the quietest, then the oldest.
    fn find_voice(&mut self, priority: u32, lost: &mut bool) -> bool {
        if self.counted_voices().count() < usize::from(self.config.voices) {
            return true;
        }
        let newest = self.notes;
        let stolen = self
            .mixer
            .levels(self.frame)
            .filter(|(voice, _)| voice.state != VoiceState::Stolen && voice.serial != newest)
            .filter(|(voice, _)| !self.static_allocation || self.priority_of(voice) <= priority)
            .min_by(|(a, a_level), (b, b_level)| {
                let of = |voice: &Voice| if self.static_allocation { self.priority_of(voice) } else { 0 };
                let rank = |voice: &Voice| (of(voice), voice.state);
                rank(a).cmp(&rank(b)).then(a_level.total_cmp(b_level)).then(a.serial.cmp(&b.serial))
            })
            .map(|(voice, level)| (voice.serial, voice.state, level));
        let Some((serial, state, level)) = stolen else { return false };
        *lost |= state >= VoiceState::Sustained;
        let rate = self.config.sample_rate;
        if let Some(voice) =
            self.mixer.find_mut(self.frame, |v, found| (v.serial, v.state, found) == (serial, state, level))
        {
            voice.steal(rate);
        }
        true
    }

    /// Handles the universal system-exclusive messages that DLS and General MIDI define, and MIDI's master controls but
    /// for balance, and ignores all others.
    pub(super) fn system_exclusive(&mut self, group: u16, data: &[u8]) {
        // The closing F7 may be missing when a fragment was lost: the length of these messages is known.
        match data {
            // Entering DLS mode brings static priority with it (DLS-1, "Voice Allocation").
            [0x7E, _, 0x0A, 0x01, ..] => (self.system_on, self.static_allocation) = (true, true),
            [0x7E, _, 0x0A, 0x02, ..] => {
                self.system_on = false;
                self.mixer.iter_mut().for_each(Voice::shut_down);
            }
            // Outside of it these two have no effect.
            [0x7E, _, 0x0A, which @ (0x03 | 0x04), ..] if self.system_on => self.static_allocation = *which == 0x04,
            // Master volume, fine and coarse tuning, lower byte first; of the last only the upper byte counts.
            [0x7F, _, 0x04, 0x01, lower, upper, ..] => {
                self.set_master(group, |master| master.set_volume(both(*lower, *upper)));
            }
            [0x7F, _, 0x04, 0x03, lower, upper, ..] => {
                self.set_master(group, |master| master.set_fine(both(*lower, *upper)));
            }
            [0x7F, _, 0x04, 0x04, _, upper, ..] => self.set_master(group, |master| master.set_coarse(*upper)),
            // General MIDI on (1), off (2), level 2 on (3).
            [0x7E, _, 0x09, 0x01..=0x03, ..] => self.power_on(group),
            _ => {}
        }
    }

    /// Changes the master controls of a group.
    fn set_master(&mut self, group: u16, change: impl Fn(&mut Master)) {
        self.channels[usize::from(group)].iter_mut().for_each(|channel| change(&mut channel.master));
        self.mixer.iter_mut().filter(|voice| voice.group == group).for_each(Voice::channel_changed);
    }

    /// Puts the channels of a group in their first state, priorities aside, and ends what sounds there.
    fn power_on(&mut self, group: u16) {
        self.mixer.iter_mut().filter(|voice| voice.group == group).for_each(Voice::shut_down);
        for (index, channel) in self.channels[usize::from(group)].iter_mut().enumerate() {
            let priority = channel.priority;
            *channel = Channel::new(index);
            channel.priority = priority;
        }
        self.mixer.iter_mut().filter(|voice| voice.group == group).for_each(Voice::channel_changed);
    }
}

/// Joins the two data bytes of a 14-bit value.
fn both(lower: u8, upper: u8) -> u16 {
    u16::from(upper & 0x7F) << 7 | u16::from(lower & 0x7F)
}

/// Lifts a key: the voice is released, or sustained by the pedal.
fn lift(voice: &mut Voice, sustains: bool) {
    if sustains {
        voice.state = VoiceState::Sustained;
    } else {
        voice.release();
    }
}
