//! The names of sources, destinations and curves, for people.

use super::collection::Connection;
use super::spec::{CUTOFF_OPEN, TIME_ZERO, destination as d, source as s, transform as t};

/// Returns the name of a source or control. `None`: DLS does not have this number.
#[must_use]
pub fn source(id: u16) -> Option<String> {
    let fixed = match id {
        s::NONE => "none",
        s::LFO => "LFO",
        s::VELOCITY => "velocity",
        s::KEY_NUMBER => "key",
        s::EG1 => "EG1",
        s::EG2 => "EG2",
        s::PITCH_WHEEL => "pitch wheel",
        s::POLY_PRESSURE => "key pressure",
        s::CHANNEL_PRESSURE => "channel pressure",
        s::VIBRATO => "vibrato LFO",
        s::RPN0 => "bend range (RPN0)",
        s::RPN1 => "fine tuning (RPN1)",
        s::RPN2 => "coarse tuning (RPN2)",
        0x80..=0xFF => return Some(format!("CC{}", id & 0x7F)),
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// The unit of a destination's scale, in 1/65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Cents.
    Cents,
    /// Cents above MIDI key 0, 8.1758 Hz.
    Pitch,
    /// Time cents, 1200 log2 of seconds.
    Time,
    /// Tenths of a decibel.
    Gain,
    /// Tenths of a percent.
    Percent,
}

/// Returns the name of a destination and its unit. `None`: DLS does not have this number, or has it reserved.
#[must_use]
pub fn destination(id: u16) -> Option<(&'static str, Unit)> {
    Some(match id {
        d::GAIN => ("gain", Unit::Gain),
        d::PITCH => ("pitch", Unit::Cents),
        d::PAN => ("pan", Unit::Percent),
        d::KEY_NUMBER => ("key number", Unit::Cents),
        0x10 => ("left", Unit::Percent),
        0x11 => ("right", Unit::Percent),
        0x12 => ("center", Unit::Percent),
        0x13 => ("left rear", Unit::Percent),
        0x14 => ("right rear", Unit::Percent),
        0x15 => ("LFE", Unit::Percent),
        d::CHORUS => ("chorus send", Unit::Percent),
        d::REVERB => ("reverb send", Unit::Percent),
        d::LFO_FREQUENCY => ("LFO frequency", Unit::Pitch),
        d::LFO_DELAY => ("LFO delay", Unit::Time),
        d::VIB_FREQUENCY => ("vibrato frequency", Unit::Pitch),
        d::VIB_DELAY => ("vibrato delay", Unit::Time),
        d::EG1_ATTACK => ("EG1 attack", Unit::Time),
        d::EG1_DECAY => ("EG1 decay", Unit::Time),
        d::EG1_RELEASE => ("EG1 release", Unit::Time),
        d::EG1_SUSTAIN => ("EG1 sustain", Unit::Percent),
        d::EG1_DELAY => ("EG1 delay", Unit::Time),
        d::EG1_HOLD => ("EG1 hold", Unit::Time),
        d::EG1_SHUTDOWN => ("EG1 shutdown", Unit::Time),
        d::EG2_ATTACK => ("EG2 attack", Unit::Time),
        d::EG2_DECAY => ("EG2 decay", Unit::Time),
        d::EG2_RELEASE => ("EG2 release", Unit::Time),
        d::EG2_SUSTAIN => ("EG2 sustain", Unit::Percent),
        d::EG2_DELAY => ("EG2 delay", Unit::Time),
        d::EG2_HOLD => ("EG2 hold", Unit::Time),
        d::FILTER_CUTOFF => ("filter cutoff", Unit::Pitch),
        d::FILTER_Q => ("filter resonance", Unit::Gain),
        _ => return None,
    })
}

/// Returns the curves of a connection in words, empty for none.
#[must_use]
pub fn transform(bits: u16) -> String {
    let curve = |name: &str, number: u16, bipolar: bool, inverted: bool| {
        let mut words = Vec::new();
        match number & 0xF {
            t::LINEAR => {}
            t::CONCAVE => words.push("concave".to_owned()),
            t::CONVEX => words.push("convex".to_owned()),
            t::SWITCH => words.push("switch".to_owned()),
            other => words.push(format!("curve {other}")),
        }
        if bipolar {
            words.push("bipolar".to_owned());
        }
        if inverted {
            words.push("inverted".to_owned());
        }
        if words.is_empty() { String::new() } else { format!("{name} {}", words.join(" ")) }
    };
    let has = |bit: u16| bits & bit != 0;
    let source = curve("source", bits >> t::SOURCE_SHIFT, has(t::SOURCE_BIPOLAR), has(t::SOURCE_INVERT));
    let control = curve("control", bits >> t::CONTROL_SHIFT, has(t::CONTROL_BIPOLAR), has(t::CONTROL_INVERT));
    let output = curve("output", bits, false, false);
    [source, control, output].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns a connection's scale with its unit. Constants are converted to Hz or seconds, others are given as what they
/// add.
#[must_use]
pub fn scale(connection: &Connection) -> String {
    let Connection { source, control, destination, scale, .. } = *connection;
    let value = f64::from(scale) / 65_536.0;
    let is_constant = source == s::NONE && control == s::NONE;
    match self::destination(destination).map(|(_, unit)| unit) {
        Some(Unit::Time) if scale == TIME_ZERO => "0 s".to_owned(),
        Some(Unit::Pitch) if scale == CUTOFF_OPEN => "open".to_owned(),
        Some(Unit::Time) if is_constant => format!("{:.3} s", libm::exp2(value / 1200.0)),
        Some(Unit::Pitch) if is_constant => format!("{:.2} Hz", 440.0 * libm::exp2((value - 6900.0) / 1200.0)),
        Some(Unit::Time) => format!("{value:+.1} time cents"),
        Some(Unit::Cents | Unit::Pitch) => format!("{value:+.1} cents"),
        Some(Unit::Gain) => format!("{:+.2} dB", value / 10.0),
        Some(Unit::Percent) => format!("{:.1} %", value / 10.0),
        None => format!("{scale:#010x}"),
    }
}

/// Returns whether DLS has all three ids of a connection.
pub(crate) fn is_known_connection(connection: &Connection) -> bool {
    let known = |id| id <= s::VIBRATO || (0x80..=0xFF).contains(&id) || (s::RPN0..=s::RPN2).contains(&id);
    known(connection.source) && known(connection.control) && destination(connection.destination).is_some()
}
