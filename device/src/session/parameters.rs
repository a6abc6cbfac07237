//! The settings of a session that a driver can request.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_spec::control::{PortParameters, effect, port_parameter};
use card_spec::limits::{
    CHANNEL_GROUPS_DEFAULT, CHANNEL_GROUPS_MAX, SAMPLE_RATE_DEFAULT, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, VOICES_DEFAULT,
};
use dls_synth::{Kernel, SynthConfig};

/// The settings that a driver can request with `PARAMETERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Number of voices.
    pub voices: u16,
    /// Number of channel groups.
    pub channel_groups: u16,
    /// Audio channels, 1 or 2.
    pub audio_channels: u16,
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// Whether the reverb is on.
    pub reverb: bool,
    /// Whether the chorus is on.
    pub chorus: bool,
}

impl Parameters {
    /// Returns what a session starts with on a card of `voices_max` voices.
    #[must_use]
    pub fn defaults(voices_max: u16) -> Self {
        Self {
            voices: VOICES_DEFAULT.min(voices_max),
            channel_groups: CHANNEL_GROUPS_DEFAULT,
            audio_channels: 2,
            sample_rate: SAMPLE_RATE_DEFAULT,
            reverb: true,
            chorus: true,
        }
    }

    /// Returns these parameters with those that a driver requests, each clamped to what the card has, and whether all
    /// of them are in force as requested.
    #[must_use]
    pub fn adjusted(self, requested: &PortParameters, voices_max: u16) -> (Self, bool) {
        let valid = requested.valid.get();
        let mut granted = valid & !port_parameter::ALL == 0;
        let mut clamp = |bit: u32, value: u32, low: u32, high: u32| -> Option<u32> {
            if valid & bit == 0 {
                return None;
            }
            let given = value.clamp(low, high);
            granted &= given == value;
            Some(given)
        };
        let voices = clamp(port_parameter::VOICES, requested.voices.get(), 1, voices_max.into());
        let groups =
            clamp(port_parameter::CHANNEL_GROUPS, requested.channel_groups.get(), 1, CHANNEL_GROUPS_MAX.into());
        let channels = clamp(port_parameter::AUDIO_CHANNELS, requested.audio_channels.get(), 1, 2);
        let rate = clamp(port_parameter::SAMPLE_RATE, requested.sample_rate.get(), SAMPLE_RATE_MIN, SAMPLE_RATE_MAX);
        clamp(port_parameter::SHARE, requested.share.get(), 0, 0);
        let mut adjusted = self;
        if valid & port_parameter::EFFECTS != 0 {
            let effects = requested.effects.get();
            granted &= effects & !(effect::REVERB | effect::CHORUS) == 0;
            adjusted.reverb = effects & effect::REVERB != 0;
            adjusted.chorus = effects & effect::CHORUS != 0;
        }
        // Each is within the bounds of its narrower type after the clamp.
        adjusted.voices = voices.map_or(self.voices, |value| value as u16);
        adjusted.channel_groups = groups.map_or(self.channel_groups, |value| value as u16);
        adjusted.audio_channels = channels.map_or(self.audio_channels, |value| value as u16);
        adjusted.sample_rate = rate.unwrap_or(self.sample_rate);
        (adjusted, granted)
    }

    /// Returns them as the driver reads them.
    #[must_use]
    pub fn to_spec(self) -> PortParameters {
        let effects = if self.reverb { effect::REVERB } else { 0 } | if self.chorus { effect::CHORUS } else { 0 };
        PortParameters {
            valid: port_parameter::ALL.into(),
            voices: u32::from(self.voices).into(),
            channel_groups: u32::from(self.channel_groups).into(),
            audio_channels: u32::from(self.audio_channels).into(),
            sample_rate: self.sample_rate.into(),
            effects: effects.into(),
            share: 0.into(),
        }
    }

    /// Returns the synthesizer's configuration.
    pub(super) fn to_synth(self) -> SynthConfig {
        SynthConfig {
            sample_rate: self.sample_rate,
            voices: self.voices,
            channel_groups: self.channel_groups,
            reverb: self.reverb,
            chorus: self.chorus,
            kernel: Kernel::Auto,
        }
    }
}
