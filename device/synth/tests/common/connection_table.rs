//! The connection table of DLS-2.2 (table 9), line by line, and how its inputs become numbers (1.14.4): written from
//! the specification and sharing nothing with the synthesizer but the identifiers.

use dls_synth::dls::Connection;
use dls_synth::dls::spec::{destination as d, source as s};

use super::{cents, decibels, percent, pitch, time};

/// One line: a connection that every device of the level must have, its default, and the range of its scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) source: u16,
    pub(crate) control: u16,
    pub(crate) destination: u16,
    /// As table 9 has it; what a level 2 file writes.
    pub(crate) transform: u16,
    /// The scale when a file has none.
    pub(crate) default: i32,
    /// The least and the greatest scale that a device must obey.
    pub(crate) range: (i32, i32),
    /// The first level that has it.
    pub(crate) level: u8,
}

impl Line {
    /// Returns the fields that identify a connection.
    pub(crate) fn key(&self) -> (u16, u16, u16) {
        (self.source, self.control, self.destination)
    }

    /// Returns the line as a file writes it.
    pub(crate) fn with(&self, scale: i32) -> Connection {
        let Self { source, control, destination, transform, .. } = *self;
        Connection { source, control, destination, transform, scale }
    }
}

/// Exactly no time, and not to be changed by anything.
pub(crate) const NO_TIME: i32 = i32::MIN;

/// A filter that is open.
pub(crate) const OPEN: i32 = i32::MAX;

/// The source is bipolar and linear.
pub(crate) const BIPOLAR: u16 = 0x4000;

/// The source is inverted and concave.
pub(crate) const INVERTED_CONCAVE: u16 = 0x8000 | 1 << 10;

/// Makes table 9. Two of its lines are no connections that a file can write: the note number is the key number
/// (destination `KEY_NUMBER`, source `KEY_NUMBER`), and the volume envelope is the gain.
pub(crate) fn table() -> Vec<Line> {
    let mut table = Vec::new();
    let mut add = |level, (source, control, destination), transform, default, range| {
        table.push(Line { source, control, destination, transform, default, range, level });
    };
    let constant = |destination| (s::NONE, s::NONE, destination);

    let hertz = (pitch(0.1), pitch(20.0));
    let delay = (time(0.01), time(10.0));
    add(1, constant(d::LFO_FREQUENCY), 0, pitch(5.0), hertz);
    add(2, constant(d::VIB_FREQUENCY), 0, pitch(5.0), hertz);
    add(1, constant(d::LFO_DELAY), 0, time(0.01), delay);
    add(2, constant(d::VIB_DELAY), 0, time(0.01), delay);

    let stage = (NO_TIME, time(40.0));
    for [delay, attack, hold, decay, sustain, release] in [
        [d::EG1_DELAY, d::EG1_ATTACK, d::EG1_HOLD, d::EG1_DECAY, d::EG1_SUSTAIN, d::EG1_RELEASE],
        [d::EG2_DELAY, d::EG2_ATTACK, d::EG2_HOLD, d::EG2_DECAY, d::EG2_SUSTAIN, d::EG2_RELEASE],
    ] {
        add(2, constant(delay), 0, NO_TIME, stage);
        add(1, constant(attack), 0, NO_TIME, stage);
        add(2, constant(hold), 0, NO_TIME, stage);
        add(1, constant(decay), 0, NO_TIME, stage);
        add(1, constant(sustain), 0, percent(1.0), (0, percent(1.0)));
        add(1, constant(release), 0, NO_TIME, stage);
        // Towards shorter times as well: the specification's own example does.
        let scaling = (cents(-6000.0), cents(6000.0));
        add(1, (s::VELOCITY, s::NONE, attack), 0, 0, scaling);
        add(1, (s::KEY_NUMBER, s::NONE, decay), 0, 0, scaling);
        add(2, (s::KEY_NUMBER, s::NONE, hold), 0, 0, scaling);
    }
    add(2, constant(d::EG1_SHUTDOWN), 0, time(0.015), stage);

    let keys = cents(12_800.0);
    add(2, (s::KEY_NUMBER, s::NONE, d::KEY_NUMBER), 0, keys, (keys, keys));
    add(2, (s::RPN2, s::NONE, d::KEY_NUMBER), BIPOLAR, cents(6400.0), (0, cents(6400.0)));

    add(2, constant(d::FILTER_CUTOFF), 0, OPEN, (cents(5535.0), cents(11_921.0)));
    add(2, constant(d::FILTER_Q), 0, 0, (0, decibels(22.5)));
    let sweep = (-keys, keys);
    for control in [s::NONE, s::CC1, s::CHANNEL_PRESSURE] {
        add(2, (s::LFO, control, d::FILTER_CUTOFF), BIPOLAR, 0, sweep);
    }
    for source in [s::EG2, s::VELOCITY, s::KEY_NUMBER] {
        add(2, (source, s::NONE, d::FILTER_CUTOFF), 0, 0, sweep);
    }

    let tremolo = (0, decibels(12.0));
    add(1, (s::LFO, s::NONE, d::GAIN), BIPOLAR, 0, tremolo);
    add(1, (s::LFO, s::CC1, d::GAIN), BIPOLAR, 0, tremolo);
    add(2, (s::LFO, s::CHANNEL_PRESSURE, d::GAIN), BIPOLAR, 0, tremolo);
    let silence = decibels(-96.0);
    add(1, (s::VELOCITY, s::NONE, d::GAIN), INVERTED_CONCAVE, silence, (silence, 0));
    add(1, (s::CC7, s::NONE, d::GAIN), INVERTED_CONCAVE, silence, (silence, silence));
    add(1, (s::CC11, s::NONE, d::GAIN), INVERTED_CONCAVE, silence, (silence, silence));
    add(1, (s::EG1, s::NONE, d::GAIN), 0, decibels(96.0), (decibels(96.0), decibels(96.0)));

    add(1, constant(d::PAN), 0, 0, (percent(-0.5), percent(0.5)));
    add(1, (s::CC10, s::NONE, d::PAN), BIPOLAR, percent(0.508), (percent(-0.508), percent(0.508)));
    for (controller, send) in [(s::CC91, d::REVERB), (s::CC93, d::CHORUS)] {
        add(2, (controller, s::NONE, send), 0, percent(1.0), (0, percent(1.0)));
        add(2, constant(send), 0, 0, (0, percent(1.0)));
    }

    let bend = (cents(-1200.0), cents(1200.0));
    add(2, constant(d::PITCH), 0, 0, bend);
    add(1, (s::PITCH_WHEEL, s::RPN0, d::PITCH), BIPOLAR, keys, (keys, keys));
    add(1, (s::KEY_NUMBER, s::NONE, d::PITCH), 0, keys, (0, keys));
    add(1, (s::RPN1, s::NONE, d::PITCH), BIPOLAR, cents(100.0), (0, cents(100.0)));
    for control in [s::NONE, s::CC1, s::CHANNEL_PRESSURE] {
        add(2, (s::VIBRATO, control, d::PITCH), BIPOLAR, 0, bend);
        let level = if control == s::CHANNEL_PRESSURE { 2 } else { 1 };
        add(level, (s::LFO, control, d::PITCH), BIPOLAR, 0, bend);
    }
    add(1, (s::EG2, s::NONE, d::PITCH), 0, 0, bend);
    table
}

/// Returns the half of a transform word that a source obeys, as the specification numbers its bits.
pub(crate) fn source_half(word: u16) -> Half {
    Half { curve: word >> 10 & 0xF, bipolar: word & 0x4000 != 0, invert: word & 0x8000 != 0 }
}

/// Returns the half that a control obeys.
pub(crate) fn control_half(word: u16) -> Half {
    Half { curve: word >> 4 & 0xF, bipolar: word & 0x0100 != 0, invert: word & 0x0200 != 0 }
}

/// One input's part of a transform word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half {
    /// 0 linear, 1 concave, 2 convex, 3 switch.
    pub(crate) curve: u16,
    pub(crate) bipolar: bool,
    pub(crate) invert: bool,
}

impl Half {
    /// Makes a value of `bits` bits as the number that multiplies the scale.
    pub(crate) fn normalise(self, value: f64, bits: u32) -> f64 {
        let range = f64::from(1u32 << bits);
        let most = range - 1.0;
        let x = if self.invert { most - value } else { value };
        match (self.curve, self.bipolar) {
            (0, false) => x / range,
            (0, true) => 2.0 * x / range - 1.0,
            (3, false) => f64::from(x >= range / 2.0),
            (3, true) => 2.0 * f64::from(x >= range / 2.0) - 1.0,
            (curve, false) => bend(curve, x / most),
            // Mirrored around the centre: each half is the unipolar curve of its distance.
            (curve, true) => {
                let distance = 2.0 * x / range - 1.0;
                bend(curve, distance.abs()).copysign(distance)
            }
        }
    }
}

/// Returns the two logarithmic curves, with the knees where 96 dB end.
fn bend(curve: u16, x: f64) -> f64 {
    let knee = 10f64.powf(-2.4);
    match curve {
        1 if x >= 1.0 - knee => 1.0,
        1 => -5.0 / 12.0 * (1.0 - x).log10(),
        2 if x <= knee => 0.0,
        2 => 1.0 + 5.0 / 12.0 * x.log10(),
        other => panic!("the specification has no curve {other}"),
    }
}
