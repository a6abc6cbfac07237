//! The instrument model in which files and downloads meet: what was written, not yet what is played.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::spec::{INSTRUMENT_DRUMS, UNITY_NOTE_DEFAULT};
use crate::lanes::interpolation::REACH;
use crate::sound_font::SoundFontZone;

/// A collection of instruments and the waves that they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collection {
    /// The collection's name (`INAM`).
    pub name: String,
    /// The copyright notice (`ICOP`).
    pub copyright: String,
    /// The instruments.
    pub instruments: Vec<Instrument>,
    /// The wave pool. `None` where the file has a null cue or a wave that cannot be played.
    pub waves: Vec<Option<Arc<Wave>>>,
}

/// The patch of an instrument: bank select and program change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Patch {
    /// A drum kit.
    pub drums: bool,
    /// CC0, 0 to 127.
    pub bank_msb: u8,
    /// CC32, 0 to 127.
    pub bank_lsb: u8,
    /// The program, 0 to 127.
    pub program: u8,
}

impl Patch {
    /// Reads a patch from `insh`: CC32 in bits 0 to 6 of the bank, CC0 in bits 8 to 14, drums in bit 31.
    #[must_use]
    pub fn from_header(bank: u32, instrument: u32) -> Self {
        Self {
            drums: bank & INSTRUMENT_DRUMS != 0,
            bank_msb: (bank >> 8) as u8 & 0x7F,
            bank_lsb: bank as u8 & 0x7F,
            program: instrument as u8 & 0x7F,
        }
    }

    /// Returns bank and instrument for `insh`.
    #[must_use]
    pub fn to_header(self) -> (u32, u32) {
        let drums = if self.drums { INSTRUMENT_DRUMS } else { 0 };
        (drums | u32::from(self.bank_msb) << 8 | u32::from(self.bank_lsb), u32::from(self.program))
    }

    /// Reads DirectMusic's patch number: program in bits 0 to 6, CC32 in 8 to 14, CC0 in 16 to 22, drums in bit 31.
    #[must_use]
    pub fn from_directmusic(patch: u32) -> Self {
        Self {
            drums: patch & INSTRUMENT_DRUMS != 0,
            bank_msb: (patch >> 16) as u8 & 0x7F,
            bank_lsb: (patch >> 8) as u8 & 0x7F,
            program: patch as u8 & 0x7F,
        }
    }
}

/// One instrument.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instrument {
    /// Its name (`INAM`).
    pub name: String,
    /// Its bank, program and drum flag.
    pub patch: Patch,
    /// Its regions. Where several match a note, all of them sound.
    pub regions: Vec<Region>,
    /// The articulation of regions that have none of their own.
    pub articulation: Vec<Connection>,
}

/// A range of keys and velocities, and what sounds there.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Lowest and highest key, both included.
    pub keys: (u16, u16),
    /// Lowest and highest velocity, both included.
    pub velocities: (u16, u16),
    /// Bits of `rgnh.fusOptions`.
    pub options: u16,
    /// A new note of a group other than 0 ends the sounding ones of that group.
    pub key_group: u16,
    /// The tuning, gain and loop of the wave, in place of the wave's own `wsmp`.
    pub sample: Option<WaveSample>,
    /// The wave.
    pub link: WaveLink,
    /// The articulation; when there is one, the instrument's own counts for nothing.
    pub articulation: Option<Vec<Connection>>,
    /// What a SoundFont says about the region's voices, which are played by it; `sample` and `articulation` are the nearest
    /// that DLS has.
    pub sound_font: Option<Arc<SoundFontZone>>,
}

/// `wlnk`: the wave of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaveLink {
    /// Bits of `wlnk.fusOptions`.
    pub options: u16,
    /// Waves of the same phase group other than 0 are locked to its master.
    pub phase_group: u16,
    /// Outputs: bit 0 left or mono, bit 1 right.
    pub channels: u32,
    /// The wave's index in the pool; in a download, the download id of the wave.
    pub index: u32,
}

/// `wsmp`: how a wave is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveSample {
    /// The key at which the wave sounds as recorded.
    pub unity_note: u16,
    /// The fine tuning in cents.
    pub fine_tune: i16,
    /// The gain in 1/655360 dB; negative attenuates.
    pub gain: i32,
    /// Bits of `wsmp.fulOptions`.
    pub options: u32,
    /// The loop, if any.
    pub sample_loop: Option<SampleLoop>,
}

impl Default for WaveSample {
    fn default() -> Self {
        Self { unity_note: UNITY_NOTE_DEFAULT, fine_tune: 0, gain: 0, options: 0, sample_loop: None }
    }
}

/// A loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleLoop {
    /// Whether the loop ends with the note, so that the rest of the wave plays.
    pub until_release: bool,
    /// First sample of the loop.
    pub start: u32,
    /// Samples of the loop.
    pub length: u32,
}

/// A connection block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// [`spec::source`](super::spec::source).
    pub source: u16,
    /// [`spec::source`](super::spec::source).
    pub control: u16,
    /// [`spec::destination`](super::spec::destination).
    pub destination: u16,
    /// [`spec::transform`](super::spec::transform).
    pub transform: u16,
    /// The scale in the destination's units, 16.16.
    pub scale: i32,
}

impl Connection {
    /// Returns the fields that identify a connection: a later one replaces an earlier one with the same key.
    #[must_use]
    pub fn key(&self) -> (u16, u16, u16) {
        (self.source, self.control, self.destination)
    }
}

/// Zero samples before and after every wave, so that the interpolator never looks where nothing is: it goes on until its
/// taps have left the wave, and reaches as far ahead again.
pub(crate) const GUARD: usize = 2 * REACH;

/// A mono 16-bit wave.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Its name (`INAM`).
    pub name: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// The tuning, gain and loop for regions without a `wsmp`.
    pub sample: Option<WaveSample>,
    guarded: Box<[i16]>,
    /// The lower 8 of 24 bits of each sample, 0 to 255, guarded likewise. Empty where there are 16 bits.
    low: Box<[i16]>,
}

impl Wave {
    /// Makes a wave of samples.
    #[must_use]
    pub fn new(name: &str, sample_rate: u32, samples: &[i16], sample: Option<WaveSample>) -> Self {
        Self::collect(name, sample_rate, samples.iter().copied(), samples.len(), sample)
    }

    /// Makes a wave of 8-bit unsigned or 16-bit signed PCM bytes. `None`: they have another width.
    pub(crate) fn from_pcm(sample_rate: u32, bits: u16, pcm: &[u8], sample: Option<WaveSample>) -> Option<Self> {
        Some(match bits {
            8 => {
                let samples = pcm.iter().map(|b| i16::from((b ^ 0x80) as i8) << 8);
                Self::collect("", sample_rate, samples, pcm.len(), sample)
            }
            16 => {
                let (pairs, _) = pcm.as_chunks::<2>();
                let samples = pairs.iter().map(|b| i16::from_le_bytes(*b));
                Self::collect("", sample_rate, samples, pairs.len(), sample)
            }
            _ => return None,
        })
    }

    fn collect(
        name: &str,
        sample_rate: u32,
        samples: impl Iterator<Item = i16>,
        length: usize,
        sample: Option<WaveSample>,
    ) -> Self {
        let mut guarded = vec![0; length.saturating_add(2 * GUARD)].into_boxed_slice();
        for (to, from) in guarded[GUARD..].iter_mut().take(length).zip(samples) {
            *to = from;
        }
        Self { name: name.to_owned(), sample_rate, sample, guarded, low: Box::default() }
    }

    /// Adds the lower 8 bits of samples of 24 bits, as many as there are samples; fewer, or none but zeros, add nothing.
    #[must_use]
    pub fn with_low_bits(mut self, low: &[u8]) -> Self {
        if low.len() >= self.samples().len() && low.iter().any(|bits| *bits != 0) {
            let mut guarded = vec![0; self.guarded.len()].into_boxed_slice();
            let length = self.samples().len();
            for (to, from) in guarded[GUARD..].iter_mut().take(length).zip(low) {
                *to = i16::from(*from);
            }
            self.low = guarded;
        }
        self
    }

    /// Returns the wave with 16 bits, as DLS has it.
    #[must_use]
    pub fn without_low_bits(mut self) -> Self {
        self.low = Box::default();
        self
    }

    /// Returns the lower 8 of 24 bits with [`GUARD`] zeros on either side, or nothing.
    pub(crate) fn guarded_low(&self) -> Option<&[i16]> {
        (!self.low.is_empty()).then_some(&*self.low)
    }

    /// Returns the samples.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.guarded[GUARD..self.guarded.len().saturating_sub(GUARD)]
    }

    /// Returns the samples with [`GUARD`] zeros on either side.
    pub(crate) fn guarded(&self) -> &[i16] {
        &self.guarded
    }
}
