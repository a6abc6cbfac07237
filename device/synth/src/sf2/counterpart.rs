//! The equivalent DLS connection of a modulator, where there is one.
//!
//! A modulator takes one source or two, each with a curve, to one destination; so does a connection, with the same
//! curves and the same sources. What has no counterpart: links from modulator to modulator, the absolute value, two
//! sources to the depth of an oscillator or envelope (a connection has two inputs, and the oscillator is one of them), and
//! what follows the key in other ways than DLS does.

use crate::dls::spec::transform::{
    CONTROL_BIPOLAR, CONTROL_INVERT, CONTROL_SHIFT, SOURCE_BIPOLAR, SOURCE_INVERT, SOURCE_SHIFT,
};
use crate::dls::spec::{destination as d, source as s};
use crate::sound_font::generators::id;
use crate::sound_font::modulators::{Modulator, SourceKind};

/// A connection for a modulator, without its amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counterpart {
    pub(super) source: u16,
    pub(super) control: u16,
    pub(super) destination: u16,
    pub(super) transform: u16,
    /// The value in the destination's unit of one unit of the modulator's amount.
    pub(super) unit: f64,
}

/// One of a modulator's sources.
#[derive(Clone, Copy)]
struct Input {
    id: u16,
    curve: u16,
    inverted: bool,
    bipolar: bool,
}

impl Input {
    fn of(bits: u16) -> Result<Self, &'static str> {
        let id = match SourceKind::of(bits)? {
            SourceKind::None => s::NONE,
            SourceKind::Velocity => s::VELOCITY,
            SourceKind::Key => s::KEY_NUMBER,
            SourceKind::PolyPressure => s::POLY_PRESSURE,
            SourceKind::ChannelPressure => s::CHANNEL_PRESSURE,
            SourceKind::Wheel => s::PITCH_WHEEL,
            SourceKind::WheelSensitivity => s::RPN0,
            SourceKind::Link => return Err("its source is another modulator"),
            SourceKind::Controller(number) => 0x80 | u16::from(number),
        };
        Ok(Self { id, curve: bits >> 10, inverted: bits & 0x100 != 0, bipolar: bits & 0x200 != 0 })
    }

    fn as_source(self) -> u16 {
        let flag = |on: bool, bit: u16| if on { bit } else { 0 };
        self.curve << SOURCE_SHIFT | flag(self.bipolar, SOURCE_BIPOLAR) | flag(self.inverted, SOURCE_INVERT)
    }

    fn as_control(self) -> u16 {
        let flag = |on: bool, bit: u16| if on { bit } else { 0 };
        self.curve << CONTROL_SHIFT | flag(self.bipolar, CONTROL_BIPOLAR) | flag(self.inverted, CONTROL_INVERT)
    }
}

/// Returns the moving source whose depth a modulator changes: source, its curve, destination, unit.
fn depth(destination: usize) -> Option<(u16, u16, u16, f64)> {
    Some(match destination {
        id::MOD_LFO_TO_PITCH => (s::LFO, SOURCE_BIPOLAR, d::PITCH, 1.0),
        id::VIB_LFO_TO_PITCH => (s::VIBRATO, SOURCE_BIPOLAR, d::PITCH, 1.0),
        id::MOD_ENV_TO_PITCH => (s::EG2, 0, d::PITCH, 1.0),
        id::MOD_LFO_TO_CUTOFF => (s::LFO, SOURCE_BIPOLAR, d::FILTER_CUTOFF, 1.0),
        id::MOD_ENV_TO_CUTOFF => (s::EG2, 0, d::FILTER_CUTOFF, 1.0),
        id::MOD_LFO_TO_VOLUME => (s::LFO, SOURCE_BIPOLAR, d::GAIN, 1.0),
        _ => return None,
    })
}

/// Returns the DLS destination of a SoundFont one, and the value in DLS of one SoundFont unit.
pub(super) fn plain(destination: usize) -> Option<(u16, f64)> {
    Some(match destination {
        id::FILTER_CUTOFF => (d::FILTER_CUTOFF, 1.0),
        // Centibels are DLS's tenths of a decibel.
        id::FILTER_Q => (d::FILTER_Q, 1.0),
        id::ATTENUATION => (d::GAIN, -1.0),
        id::PAN => (d::PAN, 1.0),
        id::REVERB => (d::REVERB, 1.0),
        id::CHORUS => (d::CHORUS, 1.0),
        id::COARSE_TUNE => (d::PITCH, 100.0),
        id::FINE_TUNE | id::PITCH => (d::PITCH, 1.0),
        id::MOD_LFO_DELAY => (d::LFO_DELAY, 1.0),
        id::MOD_LFO_FREQUENCY => (d::LFO_FREQUENCY, 1.0),
        id::VIB_LFO_DELAY => (d::VIB_DELAY, 1.0),
        id::VIB_LFO_FREQUENCY => (d::VIB_FREQUENCY, 1.0),
        id::VOL_ENV_DELAY => (d::EG1_DELAY, 1.0),
        id::VOL_ENV_ATTACK => (d::EG1_ATTACK, 1.0),
        id::VOL_ENV_HOLD => (d::EG1_HOLD, 1.0),
        id::VOL_ENV_DECAY => (d::EG1_DECAY, 1.0),
        // Of 96 dB, in tenths of a percent.
        id::VOL_ENV_SUSTAIN => (d::EG1_SUSTAIN, -1000.0 / 960.0),
        id::VOL_ENV_RELEASE => (d::EG1_RELEASE, 1.0),
        id::MOD_ENV_DELAY => (d::EG2_DELAY, 1.0),
        id::MOD_ENV_ATTACK => (d::EG2_ATTACK, 1.0),
        id::MOD_ENV_HOLD => (d::EG2_HOLD, 1.0),
        id::MOD_ENV_DECAY => (d::EG2_DECAY, 1.0),
        id::MOD_ENV_SUSTAIN => (d::EG2_SUSTAIN, -1.0),
        id::MOD_ENV_RELEASE => (d::EG2_RELEASE, 1.0),
        _ => return None,
    })
}

/// Returns the connection that is equivalent to a modulator, or why there is none.
pub(super) fn counterpart(modulator: &Modulator) -> Result<Counterpart, &'static str> {
    if modulator.link().is_some() {
        return Err("it leads to another modulator");
    }
    if modulator.transform != 0 {
        return Err("DLS has no transform of the product");
    }
    let mut first = Input::of(modulator.source)?;
    let mut second = Input::of(modulator.amount_source)?;
    if first.id == s::NONE {
        core::mem::swap(&mut first, &mut second);
    }
    let destination = usize::from(modulator.destination);
    if let Some((source, curve, destination, unit)) = depth(destination) {
        if second.id != s::NONE {
            return Err("a connection has two inputs, and this would take three");
        }
        let transform = curve | if first.id == s::NONE { 0 } else { first.as_control() };
        return Ok(Counterpart { source, control: first.id, destination, transform, unit });
    }
    let (destination, unit) = plain(destination).ok_or("DLS has no such destination")?;
    let transform = if first.id == s::NONE { 0 } else { first.as_source() }
        | if second.id == s::NONE { 0 } else { second.as_control() };
    let found = Counterpart { source: first.id, control: second.id, destination, transform, unit };
    // A connection without curves means, on the lines of DLS's own that have some, those curves.
    let has_curves = matches!(
        (found.source, found.control, found.destination),
        (s::VELOCITY | s::CC7 | s::CC11, s::NONE, d::GAIN)
            | (s::CC10, s::NONE, d::PAN)
            | (s::PITCH_WHEEL, s::RPN0, d::PITCH)
    );
    if has_curves && transform == 0 {
        return Err("DLS has a curve of its own for it");
    }
    Ok(found)
}
