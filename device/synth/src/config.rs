//! The configuration of a synthesizer.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::limits::{CHANNEL_GROUPS_MAX, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, VOICES_MAX};

/// The configuration of a [`Synth`](crate::Synth), which never changes.
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
    /// The instruction set of the inner loops. The frames are the same with each.
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

    /// Returns its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Scalar => "scalar",
            Self::Sse41 => "sse4.1",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let all = [Self::Auto].into_iter().chain(Self::BY_SPEED);
        all.into_iter().find(|kernel| kernel.name() == name).ok_or(UnknownKernel)
    }
}

/// No [`Kernel`] has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is none of auto, scalar, sse4.1, avx2, avx512, neon")]
pub struct UnknownKernel;

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
    /// Checks that all values are in range.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_kernel_by_its_name_and_lists_all_in_the_error() {
        for kernel in [Kernel::Auto].into_iter().chain(Kernel::BY_SPEED) {
            assert_eq!(kernel.to_string().parse(), Ok(kernel));
            assert!(UnknownKernel.to_string().contains(kernel.name()));
        }
        assert_eq!("abacus".parse::<Kernel>(), Err(UnknownKernel));
    }
}
