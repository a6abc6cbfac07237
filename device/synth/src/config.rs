//! What a synthesizer is made with.

use thiserror::Error;

use crate::limits::{CHANNEL_GROUPS_MAX, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, VOICES_MAX};

/// How a [`Synth`](crate::Synth) is set up. Fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthConfig {
    /// Frames a second, [`SAMPLE_RATE_MIN`] to [`SAMPLE_RATE_MAX`].
    pub sample_rate: u32,
    /// Most oscillators that sound at once, 1 to [`VOICES_MAX`]. A layered note takes one for each layer.
    pub voices: u16,
    /// Channel groups of sixteen channels each, 1 to [`CHANNEL_GROUPS_MAX`].
    pub channel_groups: u16,
    /// Whether the reverb send is heard.
    pub reverb: bool,
    /// Whether the chorus send is heard.
    pub chorus: bool,
    /// Which instruction set the inner loops use. The frames are the same with each.
    pub kernel: Kernel,
}

impl Default for SynthConfig {
    fn default() -> Self {
        Self { sample_rate: 48_000, voices: 128, channel_groups: 2, reverb: true, chorus: true, kernel: Kernel::Auto }
    }
}

/// An implementation of the inner loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// The fastest that the processor has.
    #[default]
    Auto,
    /// Plain Rust.
    Scalar,
    /// x86 SSE4.1.
    Sse41,
    /// x86 AVX2.
    Avx2,
    /// x86 AVX-512 (F, BW, DQ and VL).
    Avx512,
    /// Advanced SIMD of 64-bit Arm.
    Neon,
}

impl Kernel {
    /// All but [`Kernel::Auto`], each processor's fastest first. What a processor does not have is refused by
    /// [`Synth::new`](crate::Synth::new).
    pub const BY_SPEED: [Self; 5] = [Self::Avx512, Self::Avx2, Self::Sse41, Self::Neon, Self::Scalar];
}

/// Why a [`SynthConfig`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`SynthConfig::sample_rate`] is out of range.
    #[error("sample rate {0} Hz is not in {SAMPLE_RATE_MIN}..={SAMPLE_RATE_MAX}")]
    SampleRate(u32),
    /// [`SynthConfig::voices`] is out of range.
    #[error("{0} voices is not in 1..={VOICES_MAX}")]
    Voices(u16),
    /// [`SynthConfig::channel_groups`] is out of range.
    #[error("{0} channel groups is not in 1..={CHANNEL_GROUPS_MAX}")]
    ChannelGroups(u16),
    /// [`SynthConfig::kernel`] names an instruction set that this processor does not have.
    #[error("this processor cannot run the {0:?} kernel; use Kernel::Auto")]
    Kernel(Kernel),
}

impl SynthConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(SAMPLE_RATE_MIN..=SAMPLE_RATE_MAX).contains(&self.sample_rate) {
            return Err(ConfigError::SampleRate(self.sample_rate));
        }
        if !(1..=VOICES_MAX).contains(&self.voices) {
            return Err(ConfigError::Voices(self.voices));
        }
        if !(1..=CHANNEL_GROUPS_MAX).contains(&self.channel_groups) {
            return Err(ConfigError::ChannelGroups(self.channel_groups));
        }
        Ok(())
    }
}
