//! The synthesizer: messages in, frames out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::bank::Bank;
use crate::channel::{CHANNELS, Channel, controller};
use crate::config::{ConfigError, SynthConfig};
use crate::dls::collection::{Patch, Wave};
use crate::downloads::Downloads;
use crate::effects::chorus::Chorus;
use crate::effects::reverb::Reverb;
use crate::handles::{DownloadError, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem};
use crate::kernel::{Kernels, interpolation};
use crate::limits::{LAYERS_MAX, VOLUME_RANGE};
use crate::mixer::{FRAMES_MAX, Mixer, Scene};
use crate::program::{Program, WaveSource, Zone};
use crate::voice::active::{Note, Stage, Surroundings, Voice};
use crate::voice::filter;

/// DirectMusic's own gain in dB, before the two volumes.
const BASE_GAIN_DB: f64 = 6.0;

/// The two volumes at first, in 1/100 dB.
const VOLUMES: [i32; 2] = [0, 600];

/// The status byte of Active Sensing.
const ACTIVE_SENSING: u8 = 0xFE;

/// How long a sender of Active Sensing may be silent (MIDI 1.0: 300 ms, and a little for jitter).
const ACTIVE_SENSING_MS: u64 = 330;

/// Frames that [`Synth::render_i16`] renders at a time, on the stack.
const CONVERTED_AT_ONCE: usize = 256;

/// A DLS synthesizer. It has no clock: time is the count of frames rendered since it was made or reset.
pub struct Synth {
    // Fixed.
    config: SynthConfig,
    kernels: Kernels,
    bank: Arc<Bank>,
    // What was put into it.
    downloads: Downloads,
    volumes: [i32; 2],
    channels: Vec<[Channel; CHANNELS]>,
    system_on: bool,
    static_allocation: bool,
    // What it is doing.
    surroundings: Surroundings,
    mixer: Mixer,
    reverb: Option<Reverb>,
    chorus: Option<Chorus>,
    /// For each group that has sent Active Sensing, the frame at which its silence means that the cable is out.
    silence_at: Vec<Option<u64>>,
    frame: u64,
    notes: u64,
    notes_lost: u64,
}

impl Synth {
    /// Makes a synthesizer that plays from `bank`.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration is out of range.
    pub fn new(config: SynthConfig, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        config.check()?;
        let kernels = Kernels::choose(config.kernel)?;
        interpolation::prepare();
        let mut synth = Self {
            config,
            kernels,
            bank,
            downloads: Downloads::new(),
            volumes: VOLUMES,
            channels: power_on_channels(config.channel_groups),
            system_on: true,
            static_allocation: true,
            surroundings: Surroundings {
                sample_rate: config.sample_rate,
                octaves_offset: filter::octaves_offset(config.sample_rate),
                volume: 0.0,
            },
            mixer: Mixer::new(usize::from(config.voices)),
            reverb: config.reverb.then(|| Reverb::new(config.sample_rate)),
            chorus: config.chorus.then(|| Chorus::new(config.sample_rate)),
            silence_at: vec![None; usize::from(config.channel_groups)],
            frame: 0,
            notes: 0,
            notes_lost: 0,
        };
        synth.volumes_changed();
        Ok(synth)
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }

    /// Lets rendering use so many threads, one at first. They are worth it for hundreds of voices and calls of many
    /// frames only, and are left asleep otherwise. The frames are the same with any number.
    pub fn set_threads(&mut self, threads: NonZeroUsize) {
        self.mixer.set_threads(threads);
    }

    /// Ends all voices and puts every channel, priority, volume and count in its first state; the next frame is frame
    /// 0. Downloads stay.
    pub fn reset(&mut self) {
        self.mixer.restart(&mut self.downloads);
        self.reverb.iter_mut().for_each(Reverb::clear);
        self.chorus.iter_mut().for_each(Chorus::clear);
        self.channels = power_on_channels(self.config.channel_groups);
        (self.system_on, self.static_allocation) = (true, true);
        self.volumes = VOLUMES;
        self.volumes_changed();
        self.silence_at.fill(None);
        (self.frame, self.notes, self.notes_lost) = (0, 0, 0);
    }

    /// Ends all voices and effects at once: the next frame is silent. All controllers are reset; programs and
    /// priorities stay.
    pub fn all_sound_off(&mut self) {
        self.mixer.remove_if(&mut self.downloads, |_| true);
        self.reverb.iter_mut().for_each(Reverb::clear);
        self.chorus.iter_mut().for_each(Chorus::clear);
        self.channels.iter_mut().flatten().for_each(|channel| channel.reset_controllers(127));
    }

    /// Takes one MIDI message, or one whole system-exclusive message, for a channel group (from 0). It takes effect
    /// exactly at the next frame rendered. Whatever is not a message, or for a group that is not there, is ignored.
    pub fn midi(&mut self, group: u16, message: &[u8]) {
        if group >= self.config.channel_groups {
            return;
        }
        let Some((&status, data)) = message.split_first() else { return };
        self.sense(group, status);
        if status == 0xF0 {
            self.system_exclusive(group, data);
            return;
        }
        // A byte with its highest bit set is no data.
        if data.iter().take(2).any(|byte| byte & 0x80 != 0) {
            return;
        }
        let channel = status & 0x0F;
        match (status & 0xF0, data) {
            (0x80, [key, _, ..]) | (0x90, [key, 0, ..]) => self.note_off(group, channel, *key),
            (0x90, [key, velocity, ..]) => self.note_on(group, channel, *key, *velocity),
            (0xA0, [key, pressure, ..]) => {
                self.channel_mut(group, channel).poly_pressure[usize::from(*key)] = *pressure;
                self.channel_changed(group, channel);
            }
            (0xB0, [number, value, ..]) => self.controller(group, channel, *number, *value),
            (0xC0, [program, ..]) => self.channel_mut(group, channel).set_program(*program),
            (0xD0, [pressure, ..]) => {
                self.channel_mut(group, channel).pressure = *pressure;
                self.channel_changed(group, channel);
            }
            (0xE0, [lsb, msb, ..]) => {
                self.channel_mut(group, channel).wheel = u16::from(*msb) << 7 | u16::from(*lsb);
                self.channel_changed(group, channel);
            }
            _ => {}
        }
    }

    /// Active Sensing: once a group has sent it, the group must send something every 300 ms.
    fn sense(&mut self, group: u16, status: u8) {
        let silence_at = &mut self.silence_at[usize::from(group)];
        if status == ACTIVE_SENSING || silence_at.is_some() {
            *silence_at = Some(self.frame + u64::from(self.config.sample_rate) * ACTIVE_SENSING_MS / 1000);
        }
    }

    /// Lets all notes of the groups go whose time has come, and tells when the next one's does.
    fn watch_silence(&mut self) -> u64 {
        let mut next = u64::MAX;
        for group in 0..self.config.channel_groups {
            match self.silence_at[usize::from(group)] {
                Some(frame) if frame <= self.frame => {
                    self.silence_at[usize::from(group)] = None;
                    (0..CHANNELS as u8)
                        .for_each(|channel| self.controller(group, channel, controller::ALL_SOUND_OFF, 0));
                }
                Some(frame) => next = next.min(frame),
                None => {}
            }
        }
        next
    }

    /// Renders the next frames, of any number, over whatever `out` holds. Full scale is 1.0; there is no clipping.
    pub fn render(&mut self, mut out: &mut [[f32; 2]]) {
        while !out.is_empty() {
            let until_silence = self.watch_silence().saturating_sub(self.frame);
            let frames = FRAMES_MAX.min(out.len()).min(usize::try_from(until_silence).unwrap_or(usize::MAX));
            let (now, later) = out.split_at_mut(frames);
            let scene = Scene {
                channels: &self.channels,
                surroundings: &self.surroundings,
                kernels: &self.kernels,
                sends: self.reverb.is_some() || self.chorus.is_some(),
            };
            let dry = self.mixer.render(self.frame, frames, scene, &mut self.downloads);
            for (frame, [left, right, to_reverb, to_chorus]) in now.iter_mut().zip(dry) {
                *frame = [*left, *right];
                if let Some(reverb) = &mut self.reverb {
                    add(frame, reverb.process(*to_reverb));
                }
                if let Some(chorus) = &mut self.chorus {
                    add(frame, chorus.process(*to_chorus));
                }
            }
            self.frame += frames as u64;
            out = later;
        }
    }

    /// Renders the next frames as 16-bit samples: rounded to nearest, clipped, not dithered.
    pub fn render_i16(&mut self, out: &mut [[i16; 2]]) {
        let mut block = [[0.0; 2]; CONVERTED_AT_ONCE];
        for part in out.chunks_mut(block.len()) {
            self.render(&mut block[..part.len()]);
            for (frame, from) in part.iter_mut().zip(&block) {
                *frame = from.map(to_i16);
            }
        }
    }

    /// Voices that sound, released ones included.
    #[must_use]
    pub fn active_voices(&self) -> u32 {
        self.counted_voices().count() as u32
    }

    /// Notes that were not played, or cut short, for want of a voice, since the synthesizer was made or reset.
    #[must_use]
    pub fn notes_lost(&self) -> u64 {
        self.notes_lost
    }

    /// Takes a DirectMusic download buffer: an instrument or a wave.
    ///
    /// # Errors
    /// [`DownloadError`], with the reason and the place. Nothing is kept then.
    pub fn download(&mut self, buffer: &[u8]) -> Result<DownloadHandle, DownloadError> {
        self.downloads.add(buffer)
    }

    /// Gives a download back. Waves may go before the instruments that use them; those are silent then.
    ///
    /// # Errors
    /// [`UnknownHandle`], when there is no such download, or it was unloaded before.
    pub fn unload(&mut self, handle: DownloadHandle) -> Result<Unload, UnknownHandle> {
        self.downloads.remove(handle)
    }

    /// The next download whose unload was [`Unload::Pending`] and is done now.
    pub fn take_unloaded(&mut self) -> Option<DownloadHandle> {
        self.downloads.take_unloaded()
    }

    /// Bytes that downloads may still take.
    #[must_use]
    pub fn free_download_memory(&self) -> u32 {
        self.downloads.free()
    }

    /// Sets how many bytes downloads may take in all. What is held stays, even if it is more.
    pub fn set_download_memory(&mut self, bytes: u32) {
        self.downloads.set_memory(bytes);
    }

    /// Ends every voice that sounds from a download at once, and forgets all downloads.
    pub fn clear_downloads(&mut self) {
        self.mixer.remove_if(&mut self.downloads, |voice| voice.sources != [0, 0]);
        self.downloads.clear();
    }

    /// The voice priority of a channel (`DAUD_*_VOICE_PRIORITY`); `None` when there is no such channel.
    #[must_use]
    pub fn voice_priority(&self, group: u16, channel: u8) -> Option<u32> {
        Some(self.channels.get(usize::from(group))?.get(usize::from(channel))?.priority)
    }

    /// Sets the voice priority of a channel.
    ///
    /// # Errors
    /// [`UnknownChannel`], when there is no such channel.
    pub fn set_voice_priority(&mut self, group: u16, channel: u8, priority: u32) -> Result<(), UnknownChannel> {
        let found = self.channels.get_mut(usize::from(group)).and_then(|group| group.get_mut(usize::from(channel)));
        found.ok_or(UnknownChannel { group, channel })?.priority = priority;
        Ok(())
    }

    /// Sets one of the two volumes that add, in 1/100 dB, clamped to [`VOLUME_RANGE`].
    pub fn set_volume(&mut self, item: VolumeItem, hundredths_db: i32) {
        self.volumes[item as usize] = hundredths_db.clamp(*VOLUME_RANGE.start(), *VOLUME_RANGE.end());
        self.volumes_changed();
    }

    fn volumes_changed(&mut self) {
        let [volume, boost] = self.volumes;
        self.surroundings.volume = BASE_GAIN_DB + f64::from(volume + boost) / 100.0;
        self.mixer.iter_mut().for_each(Voice::channel_changed);
    }

    fn channel_mut(&mut self, group: u16, channel: u8) -> &mut Channel {
        &mut self.channels[usize::from(group)][usize::from(channel)]
    }

    fn voices_of(&mut self, group: u16, channel: u8) -> impl Iterator<Item = &mut Voice> {
        self.mixer.iter_mut().filter(move |voice| (voice.group, voice.channel) == (group, channel))
    }

    fn channel_changed(&mut self, group: u16, channel: u8) {
        self.voices_of(group, channel).for_each(Voice::channel_changed);
    }

    fn controller(&mut self, group: u16, channel: u8, number: u8, value: u8) {
        let frame = self.frame;
        match number {
            controller::ALL_SOUND_OFF => self.voices_of(group, channel).for_each(|voice| voice.shut_down(frame)),
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
        let frame = self.frame;
        if !self.channel_mut(group, channel).sustains() {
            let sustained = self.voices_of(group, channel).filter(|voice| voice.stage == Stage::Sustained);
            sustained.for_each(|voice| voice.release(frame));
        }
    }

    fn all_notes_off(&mut self, group: u16, channel: u8) {
        let (frame, sustains) = (self.frame, self.channel_mut(group, channel).sustains());
        let held = self.voices_of(group, channel).filter(|voice| voice.stage == Stage::Held);
        held.for_each(|voice| lift(voice, sustains, frame));
    }

    fn note_off(&mut self, group: u16, channel: u8, key: u8) {
        let (frame, sustains) = (self.frame, self.channel_mut(group, channel).sustains());
        let held = self.voices_of(group, channel).filter(|v| v.stage == Stage::Held && v.note == key);
        held.for_each(|voice| lift(voice, sustains, frame));
    }

    fn note_on(&mut self, group: u16, channel: u8, key: u8, velocity: u8) {
        if !self.system_on {
            return;
        }
        let state = self.channel_mut(group, channel).clone();
        let Some((instrument_handle, program)) = self.find_program(&state) else { return };
        self.notes += 1;
        let note = Note { group, channel, note: key, velocity, serial: self.notes, instrument_handle };
        let matching = program.zones.iter().filter_map(|z| Some((z, z.key_of(key, velocity, &state)?)));
        let zones: Vec<(&Zone, i32)> = matching.take(LAYERS_MAX).collect();
        self.make_way(&note, &zones);
        let mut lost = false;
        for (zone, zone_key) in &zones {
            let Some(wave) = self.find_wave(zone) else { continue };
            if !self.find_voice(state.priority, &mut lost) {
                lost = true;
                continue;
            }
            let is_slave = zone.phase_group != 0 && !zone.phase_master;
            let master = zones
                .iter()
                .find(|(other, _)| is_slave && other.phase_master && other.phase_group == zone.phase_group)
                .copied();
            let place = (&self.surroundings, self.frame);
            let voice = Voice::start(note, (zone, *zone_key), master, wave, &state, place);
            lost |= self.mixer.insert(voice, &mut self.downloads).is_err();
        }
        self.notes_lost += u64::from(lost);
    }

    /// The instrument of a channel: a download, or else of the bank; in the bank asked for, or else in a plainer one.
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

    /// Ends what a new note ends: the same key, unless its region says otherwise, and its key groups.
    fn make_way(&mut self, note: &Note, zones: &[(&Zone, i32)]) {
        let frame = self.frame;
        let self_exclusive = zones.iter().any(|(zone, _)| zone.self_exclusive);
        for voice in self.mixer.iter_mut().filter(|v| (v.group, v.channel) == (note.group, note.channel)) {
            let same_key = self_exclusive && voice.note == note.note && voice.stage >= Stage::Sustained;
            let in_group = voice.key_group != 0 && zones.iter().any(|(zone, _)| zone.key_group == voice.key_group);
            if same_key || in_group {
                voice.shut_down(frame);
            }
        }
    }

    fn counted_voices(&self) -> impl Iterator<Item = &Voice> {
        self.mixer.iter().filter(|voice| voice.stage != Stage::Stolen)
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
        let victim = self
            .counted_voices()
            .filter(|voice| voice.serial != newest)
            .filter(|voice| !self.static_allocation || self.priority_of(voice) <= priority)
            .min_by(|a, b| {
                let of = |voice: &Voice| if self.static_allocation { self.priority_of(voice) } else { 0 };
                let rank = |voice: &Voice| (of(voice), voice.stage);
                rank(a)
                    .cmp(&rank(b))
                    .then_with(|| a.level().total_cmp(&b.level()))
                    .then_with(|| a.serial.cmp(&b.serial))
            })
            .map(|voice| (voice.serial, voice.stage, voice.level()));
        let Some((serial, stage, level)) = victim else { return false };
        *lost |= stage >= Stage::Sustained;
        let (frame, rate) = (self.frame, self.config.sample_rate);
        let found = |v: &&mut Voice| v.serial == serial && v.stage == stage && v.level() == level;
        if let Some(voice) = self.mixer.iter_mut().find(found) {
            voice.steal(frame, rate);
        }
        true
    }

    /// Universal system-exclusive messages that DLS and General MIDI define; all others are ignored.
    fn system_exclusive(&mut self, group: u16, data: &[u8]) {
        // The closing F7 may be missing when a fragment was lost: the length of these messages is known.
        match data {
            [0x7E, _, 0x0A, 0x01, ..] => self.system_on = true,
            [0x7E, _, 0x0A, 0x02, ..] => {
                self.system_on = false;
                let frame = self.frame;
                self.mixer.iter_mut().for_each(|voice| voice.shut_down(frame));
            }
            [0x7E, _, 0x0A, 0x03, ..] => self.static_allocation = false,
            [0x7E, _, 0x0A, 0x04, ..] => self.static_allocation = true,
            // General MIDI on (1), off (2), level 2 on (3).
            [0x7E, _, 0x09, 0x01..=0x03, ..] => self.power_on(group),
            _ => {}
        }
    }

    /// Puts the channels of a group in their first state, priorities aside, and ends what sounds there.
    fn power_on(&mut self, group: u16) {
        let frame = self.frame;
        self.mixer.iter_mut().filter(|voice| voice.group == group).for_each(|voice| voice.shut_down(frame));
        for (index, channel) in self.channels[usize::from(group)].iter_mut().enumerate() {
            let priority = channel.priority;
            *channel = Channel::new(index);
            channel.priority = priority;
        }
        self.mixer.iter_mut().filter(|voice| voice.group == group).for_each(Voice::channel_changed);
    }
}

/// A key is lifted: the voice is released, or waits for the pedal.
fn lift(voice: &mut Voice, sustains: bool, frame: u64) {
    if sustains {
        voice.stage = Stage::Sustained;
    } else {
        voice.release(frame);
    }
}

fn power_on_channels(groups: u16) -> Vec<[Channel; CHANNELS]> {
    (0..groups).map(|_| core::array::from_fn(Channel::new)).collect()
}

fn add(frame: &mut [f32; 2], [left, right]: [f32; 2]) {
    frame[0] += left;
    frame[1] += right;
}

/// Rounds half to even, and clips.
fn to_i16(x: f32) -> i16 {
    // Adding this number leaves no place for a fraction in the mantissa, and rounds as it goes; unlike the platform's
    // rounding function it costs nothing on any processor.
    const ROUNDER: f32 = 12_582_912.0;
    let clipped = (x * 32_768.0).clamp(-32_768.0, 32_767.0);
    ((clipped + ROUNDER) - ROUNDER) as i16
}
