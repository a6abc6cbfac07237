//! The synthesizer: messages in, frames out.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod messages;
mod sounding;

pub use sounding::SoundingVoice;

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::bank::Bank;
use crate::channel::{CHANNELS, Channel, controller};
use crate::config::{ConfigError, SynthConfig};
use crate::downloads::Downloads;
use crate::effects::chorus::Chorus;
use crate::effects::reverb::Reverb;
use crate::handles::{DownloadError, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem};
use crate::kernel::Kernels;
use crate::limits::VOLUME_RANGE;
use crate::mixer::{FRAMES_MAX, Mixer, Scene};
use crate::profile::{Section, TICK_FRAMES};
use crate::voice::active::{Surroundings, Voice};
use crate::voice::filter;

/// DirectMusic's own gain in dB, before the two volumes.
const BASE_GAIN_DB: f64 = 6.0;

/// The two volumes at first, in 1/100 dB.
const VOLUMES: [i32; 2] = [0, 600];

/// The status byte of Active Sensing.
const ACTIVE_SENSING: u8 = 0xFE;

/// The longest silence of a sender of Active Sensing, in milliseconds (MIDI 1.0: 300 ms, and a little for jitter).
const ACTIVE_SENSING_MS: u64 = 330;

/// Frames that [`Synth::render_i16`] renders at a time, on the stack.
const CONVERTED_AT_ONCE: usize = 256;

/// A DLS synthesizer. It has no clock: time is the count of frames rendered since it was made or reset.
pub struct Synth {
    // Fixed.
    config: SynthConfig,
    kernels: Kernels,
    bank: Arc<Bank>,
    // Set by messages and calls.
    downloads: Downloads,
    volumes: [i32; 2],
    channels: Vec<[Channel; CHANNELS]>,
    system_on: bool,
    static_allocation: bool,
    // The state of rendering.
    surroundings: Surroundings,
    mixer: Mixer,
    reverb: Option<Reverb>,
    chorus: Option<Chorus>,
    /// For each group that has sent Active Sensing, the frame at which its silence means that the cable is out.
    silence_at: Vec<Option<u64>>,
    frame: u64,
    notes: u64,
    notes_lost: u64,
    /// The frame at which the last note began, and how many have begun there.
    notes_at: (u64, u32),
    /// How many layers have begun there.
    layers_at: u32,
}

impl Synth {
    /// Makes a synthesizer that plays from `bank`.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration is out of range.
    pub fn new(config: SynthConfig, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        config.check()?;
        let kernels = Kernels::choose(config.kernel)?;
        crate::lanes::interpolation::prepare();
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
            notes_at: (0, 0),
            layers_at: 0,
        };
        synth.volumes_changed();
        Ok(synth)
    }

    /// Returns the configuration that it was made with.
    #[must_use]
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }

    /// Lets rendering use so many threads, one at first. The frames are the same with any number.
    ///
    /// Others are started for each call that is worth it, hundreds of voices times hundreds of frames, which costs some
    /// 20 µs of a call of at least 100, and memory: threads that must not wait render alone.
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
        (self.notes_at, self.layers_at) = ((0, 0), 0);
    }

    /// Ends all voices and effects at once: the next frame is silent. All controllers are reset; programs and
    /// priorities stay.
    pub fn all_sound_off(&mut self) {
        self.mixer.remove_if(&mut self.downloads, |_| true);
        self.reverb.iter_mut().for_each(Reverb::clear);
        self.chorus.iter_mut().for_each(Chorus::clear);
        self.channels.iter_mut().flatten().for_each(|channel| channel.reset_controllers(127));
    }

    /// Ends all voices and effects as [`all_sound_off`](Self::all_sound_off) does, and counts frames from 0 again. Modulation is
    /// updated at counts of frames: what is played from now on does not depend on how many have been rendered before.
    pub fn restart_frames(&mut self) {
        self.all_sound_off();
        self.mixer.restart(&mut self.downloads);
        self.silence_at.fill(None);
        (self.frame, self.notes_at, self.layers_at) = (0, (0, 0), 0);
    }

    /// Takes one MIDI message, or one whole system-exclusive message, for a channel group (from 0). It takes effect
    /// exactly at the next frame rendered. Bytes that are no message, or for a group that does not exist, are ignored.
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

    /// Handles Active Sensing: once a group has sent it, the group must send a message every 300 ms.
    fn sense(&mut self, group: u16, status: u8) {
        let silence_at = &mut self.silence_at[usize::from(group)];
        if status == ACTIVE_SENSING || silence_at.is_some() {
            *silence_at = Some(
                self.frame.saturating_add(u64::from(self.config.sample_rate).saturating_mul(ACTIVE_SENSING_MS) / 1000),
            );
        }
    }

    /// Releases all notes of the groups whose Active Sensing has timed out, and returns when the next group's does.
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

    /// Renders the next frames, of any number, over the contents of `out`. Full scale is 1.0; there is no clipping.
    pub fn render(&mut self, mut out: &mut [[f32; 2]]) {
        while !out.is_empty() {
            let until_silence = self.watch_silence().saturating_sub(self.frame);
            let frames = FRAMES_MAX.min(out.len()).min(usize::try_from(until_silence).unwrap_or(usize::MAX));
            let (now, later) = out.split_at_mut(frames);
            let scene = scene(&self.channels, &self.surroundings, &self.kernels, self.config);
            let [left, right, to_reverb, to_chorus] = self.mixer.render(self.frame, frames, scene, &mut self.downloads);
            if let Some(reverb) = &mut self.reverb {
                (self.kernels.add_reverb)(reverb, to_reverb, [&mut *left, &mut *right]);
            }
            if let Some(chorus) = &mut self.chorus {
                (self.kernels.add_chorus)(chorus, to_chorus, [&mut *left, &mut *right]);
            }
            now.iter_mut().zip(left).zip(right).for_each(|((out, left), right)| *out = [*left, *right]);
            self.frame = self.frame.saturating_add(frames as u64);
            out = later;
        }
    }

    /// Repeats one section of rendering for `ticks` times [`TICK_FRAMES`] frames of all sounding voices, as
    /// [`render`](Self::render) does it on one thread, and discards its frames.
    ///
    /// The voices' state is meaningless afterwards: use a synthesizer of its own for each section.
    pub fn repeat_section(&mut self, section: Section, ticks: usize) {
        for _ in 0..ticks {
            match section {
                Section::Effects => self.repeat_effects(TICK_FRAMES),
                _ => self.repeat_in_mixer(section),
            }
        }
    }

    fn repeat_in_mixer(&mut self, section: Section) {
        let scene = scene(&self.channels, &self.surroundings, &self.kernels, self.config);
        self.frame = self.mixer.repeat_section(section, self.frame, scene);
    }

    fn repeat_effects(&mut self, frames: usize) {
        let (sent, mut left, mut right) = ([1.0; TICK_FRAMES], [0.0; TICK_FRAMES], [0.0; TICK_FRAMES]);
        for _ in 0..frames / TICK_FRAMES {
            if let Some(reverb) = &mut self.reverb {
                (self.kernels.add_reverb)(reverb, &sent, [&mut left, &mut right]);
            }
            if let Some(chorus) = &mut self.chorus {
                (self.kernels.add_chorus)(chorus, &sent, [&mut left, &mut right]);
            }
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

    /// Returns how many voices sound, released ones included.
    #[must_use]
    pub fn active_voices(&self) -> u32 {
        self.counted_voices().count() as u32
    }

    /// Returns how many notes were not played, or cut short, for want of a voice, since the synthesizer was made or
    /// reset.
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

    /// Returns the next download whose unload was [`Unload::Pending`] and is done now. Its memory is freed here, or by
    /// the next call of [`download`](Self::download) or [`unload`](Self::unload): never while frames are rendered.
    pub fn take_unloaded(&mut self) -> Option<DownloadHandle> {
        self.downloads.take_unloaded()
    }

    /// Returns how many bytes downloads may still take.
    #[must_use]
    pub fn free_download_memory(&self) -> u32 {
        self.downloads.free()
    }

    /// Sets how many bytes downloads may take in all. What is held stays, even if it is more.
    pub fn set_download_memory(&mut self, bytes: u32) {
        self.downloads.set_memory(bytes);
    }

    /// Ends every voice that sounds from a download at once, and drops all downloads.
    pub fn clear_downloads(&mut self) {
        self.mixer.remove_if(&mut self.downloads, |voice| voice.sources != [0, 0]);
        self.downloads.clear();
    }

    /// Takes over all downloads of another synthesizer, under their handles, with what they may take in all. Its voices
    /// end at once, so that pending unloads are done. This synthesizer's own downloads are dropped.
    ///
    /// A synthesizer's rate and voices are fixed for its life; this is how another one takes its place without reading
    /// the downloads again, or holding them twice.
    pub fn take_downloads(&mut self, other: &mut Self) {
        other.mixer.remove_if(&mut other.downloads, |_| true);
        self.mixer.remove_if(&mut self.downloads, |voice| voice.sources != [0, 0]);
        self.downloads = std::mem::replace(&mut other.downloads, Downloads::new());
    }

    /// Downloads that are held, those included whose unload is pending.
    #[must_use]
    pub fn downloads(&self) -> usize {
        self.downloads.len()
    }

    /// Returns the voice priority of a channel (`DAUD_*_VOICE_PRIORITY`). `None`: there is no such channel.
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
        self.surroundings.set_volume(BASE_GAIN_DB + f64::from(volume.saturating_add(boost)) / 100.0);
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
}

fn power_on_channels(groups: u16) -> Vec<[Channel; CHANNELS]> {
    (0..groups).map(|_| core::array::from_fn(Channel::new)).collect()
}

fn scene<'a>(
    channels: &'a [[Channel; CHANNELS]],
    surroundings: &'a Surroundings,
    kernels: &'a Kernels,
    config: SynthConfig,
) -> Scene<'a> {
    Scene { channels, surroundings, kernels, sends: config.reverb || config.chorus }
}

/// Rounds half to even, and clips.
fn to_i16(x: f32) -> i16 {
    // Adding this number leaves no place for a fraction in the mantissa, and rounds as it goes; unlike the platform's
    // rounding function it costs nothing on any processor.
    const ROUNDER: f32 = 12_582_912.0;
    let clipped = (x * 32_768.0).clamp(-32_768.0, 32_767.0);
    ((clipped + ROUNDER) - ROUNDER) as i16
}
