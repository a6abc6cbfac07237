//! A region, ready to be played.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::articulation::Articulation;
use super::sample::Loop;
use crate::channel::Channel;
use crate::dls::collection::{Region, Wave, WaveSample};
use crate::dls::spec::{REGION_SELF_NON_EXCLUSIVE, WAVE_LINK_MULTICHANNEL, WAVE_LINK_PHASE_MASTER};

/// The source of a region's wave.
#[derive(Debug)]
pub(crate) enum WaveSource {
    /// In a bank, which lives as long as the synthesizer.
    Bank(Arc<Wave>),
    /// A download, by its handle. It may be gone.
    Download(u32),
}

/// The outputs of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// By pan.
    Panned,
    /// The left channel of a pair.
    Left,
    /// The right channel of a pair.
    Right,
}

/// A region, ready to be played.
#[derive(Debug)]
pub(crate) struct Zone {
    keys: (u16, u16),
    velocities: (u16, u16),
    pub(crate) self_exclusive: bool,
    /// 0 for none.
    pub(crate) key_group: u16,
    /// Whether its key group is one preset's own, as SoundFont's exclusive classes are.
    pub(crate) is_of_preset: bool,
    /// 0 for none.
    pub(crate) phase_group: u16,
    pub(crate) phase_master: bool,
    pub(crate) output: Output,
    pub(crate) wave: WaveSource,
    pub(crate) wave_rate: u32,
    pub(crate) sample_loop: Option<Arc<Loop>>,
    /// Cents to take from the pitch because of the unity note, fine tuning counted in.
    pub(crate) unity_cents: f64,
    /// The gain in dB.
    pub(crate) gain: f64,
    pub(crate) articulation: Arc<Articulation>,
}

impl Zone {
    /// Prepares a region with its wave, the loop that [`sample_of`](Self::sample_of) names, and its articulation.
    pub(crate) fn new(
        region: &Region,
        (wave, source): (&Wave, WaveSource),
        sample_loop: Option<Arc<Loop>>,
        articulation: Arc<Articulation>,
    ) -> Self {
        let sample = Self::sample_of(region, wave);
        let is_sound_font = region.sound_font.is_some();
        let of_sample =
            (100.0 * f64::from(sample.unity_note) - f64::from(sample.fine_tune), f64::from(sample.gain) / 655_360.0);
        let multichannel = region.link.options & WAVE_LINK_MULTICHANNEL != 0;
        Self {
            keys: region.keys,
            velocities: region.velocities,
            self_exclusive: region.options & REGION_SELF_NON_EXCLUSIVE == 0,
            key_group: region.key_group,
            is_of_preset: is_sound_font,
            phase_group: region.link.phase_group,
            phase_master: region.link.options & WAVE_LINK_PHASE_MASTER != 0,
            output: match region.link.channels {
                1 if multichannel => Output::Left,
                2 if multichannel => Output::Right,
                _ => Output::Panned,
            },
            wave: source,
            wave_rate: wave.sample_rate,
            sample_loop,
            // A SoundFont's pitch and gain are counted from its root key and full level.
            unity_cents: if is_sound_font { 0.0 } else { of_sample.0 },
            gain: if is_sound_font { 0.0 } else { of_sample.1 },
            articulation,
        }
    }

    /// Returns how a region plays its wave: by its own `wsmp`, or else by the wave's.
    pub(crate) fn sample_of(region: &Region, wave: &Wave) -> WaveSample {
        region.sample.or(wave.sample).unwrap_or_default()
    }

    /// Returns the key that a note has in this region after coarse tuning. `None`: the region does not play it.
    pub(crate) fn key_of(&self, note: u8, velocity: u8, channel: &Channel) -> Option<i32> {
        let steps = if channel.drums { 0.0 } else { f64::from(channel.coarse_tuning) - 64.0 };
        let key = i32::from(note).saturating_add(libm::round(steps * self.articulation.coarse_tuning()) as i32);
        let in_keys = i32::from(self.keys.0) <= key && key <= i32::from(self.keys.1);
        let in_velocities = (self.velocities.0..=self.velocities.1).contains(&u16::from(velocity));
        (in_keys && in_velocities).then_some(key)
    }
}
