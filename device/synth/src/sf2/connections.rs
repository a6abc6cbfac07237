//! A voice's generators and modulators as connections: the nearest that DLS has, for files and devices that know no others.

use super::counterpart::counterpart;
use crate::dls::Connection;
use crate::dls::spec::transform::{CONTROL_SHIFT, LINEAR, SOURCE_BIPOLAR, SOURCE_INVERTED_CONCAVE, SOURCE_SHIFT};
use crate::dls::spec::{TIME_ZERO, destination as d, source as s};
use crate::limits::CONNECTIONS_MAX;
use crate::sound_font::generators::{Sum, id};
use crate::sound_font::modulators::{DEFAULTS, List};
use crate::voice::curve::{Curve, Raw};

/// Time cents at and below which a time counts as none: 1 ms.
const NO_TIME: f64 = -12_000.0;

/// Shortest release, in time cents: 5 ms. SoundFont's default of 1 ms clicks.
const RELEASE_MIN: f64 = -9173.0;

/// Cutoff in cents from which a filter is taken for open: SoundFont's default.
const CUTOFF_OPEN: f64 = 13_500.0;

/// SoundFont's decays are timed for 100 dB, those of DLS for 96.
const DECAY_CENTS: f64 = -70.67;

/// Most cents from key to key: what 16.16 holds over all keys.
pub(super) const SCALE_TUNING_MAX: f64 = 255.0;

/// Why a modulator has no place among connections.
const NO_ROOM: &str = "another has its source, control and destination, or the articulation is full";

/// The bits of a transform word that are the control's.
const CONTROL_BITS: u16 = 0x3F << CONTROL_SHIFT;

/// Returns a number in 16.16.
pub(super) fn fixed(value: f64) -> i32 {
    libm::round(value * 65_536.0) as i32
}

/// Connections in the making.
struct Rows(Vec<Connection>);

impl Rows {
    /// Adds a connection, to one that is there with the same ends and curves. `false` when there is one with the same
    /// ends and other curves, or when there are too many.
    fn add(&mut self, source: u16, control: u16, destination: u16, transform: u16, scale: i32) -> bool {
        let row = Connection { source, control, destination, transform, scale };
        let is_full = self.0.len() == CONNECTIONS_MAX;
        match self.0.iter_mut().find(|other| other.key() == row.key()) {
            Some(found) if found.transform == transform => {
                // No time at all is a millisecond as soon as something is added to it.
                let base = if found.scale == TIME_ZERO { fixed(NO_TIME) } else { found.scale };
                found.scale = base.saturating_add(scale);
                true
            }
            // A default that was taken away leaves its place.
            Some(found) if found.scale == 0 => {
                *found = row;
                true
            }
            Some(_) => false,
            None if is_full => false,
            None => {
                self.0.push(row);
                true
            }
        }
    }

    /// Makes a connection, unless its scale is zero, which has no effect.
    fn moving(&mut self, source: u16, destination: u16, transform: u16, scale: f64) {
        if scale != 0.0 {
            self.add(source, s::NONE, destination, transform, fixed(scale));
        }
    }

    /// Makes a constant. Unlike other connections, one of zero has an effect.
    fn constant(&mut self, destination: u16, scale: i32) {
        self.add(s::NONE, s::NONE, destination, LINEAR, scale);
    }

    /// Makes a time in time cents.
    fn time(&mut self, destination: u16, cents: f64, more: f64, least: f64) {
        let none = cents <= NO_TIME && least <= NO_TIME;
        self.constant(destination, if none { TIME_ZERO } else { fixed((cents + more).max(least)) });
    }

    /// Puts a value in place of the key or the velocity: what depends on it becomes constant. Returns what that adds to
    /// the gain, which DLS has at the wave. Calls `lost` with each connection for which there is no room beside others.
    fn fix(&mut self, input: u16, value: u8, lost: &mut impl FnMut(String, &'static str)) -> i32 {
        let destination = if input == s::KEY_NUMBER { d::PITCH } else { d::GAIN };
        let own = standard(input, s::NONE, destination);
        let own = own.filter(|own| !self.0.iter().any(|row| row.key() == own.key()));
        let all = core::mem::take(&mut self.0).into_iter().chain(own);
        let (dependent, others) = all.partition(|row| row.source == input || row.control == input);
        self.0 = others;
        let dependent: Vec<Connection> = dependent;
        let raw = Raw::seven_bit(value);
        let mut gain: i32 = 0;
        for row in dependent {
            let Connection { mut source, mut control, destination, mut transform, scale } = row;
            if standard(source, control, destination).is_some() {
                self.0.push(Connection { scale: 0, ..row });
            }
            let mut factor = 1.0;
            if control == input {
                factor *= Curve::of_control(transform).apply(raw);
                (control, transform) = (s::NONE, transform & !CONTROL_BITS);
            }
            if source == input {
                factor *= Curve::of_source(transform).apply(raw);
                // The control is the source that is left.
                (source, control) = (control, s::NONE);
                transform = (transform & CONTROL_BITS) << (SOURCE_SHIFT - CONTROL_SHIFT);
            }
            let scale = libm::round(f64::from(scale) * factor) as i32;
            // Nothing modulates a time of exactly zero.
            let is_zero_time = |row: &Connection| row.key() == (source, control, destination) && row.scale == TIME_ZERO;
            if (source, control, destination) == (s::NONE, s::NONE, d::GAIN) {
                gain = gain.saturating_add(scale);
            } else if scale != 0
                && !self.0.iter().any(is_zero_time)
                && !self.add(source, control, destination, transform, scale)
            {
                let row = format!(
                    "{:#06x} x {:#06x} to {destination:#06x}, with a fixed key or velocity",
                    row.source, row.control
                );
                lost(row, NO_ROOM);
            }
        }
        gain
    }

    /// Makes a time that follows the key, from key 60 on as SoundFont has it.
    fn keyed(&mut self, destination: u16, cents: f64, more: f64, per_key: f64) {
        self.time(destination, cents, more + 60.0 * per_key, f64::NEG_INFINITY);
        self.moving(s::KEY_NUMBER, destination, LINEAR, -128.0 * per_key);
    }
}

/// An articulation, and what it has the wave's gain be changed by.
pub(super) struct Articulation {
    pub(super) connections: Vec<Connection>,
    /// In 1/655360 dB.
    pub(super) gain: i32,
}

/// Makes the articulation of a voice. Calls `lost` with each modulator for which there is no room beside others.
pub(super) fn articulation(
    sum: &Sum<'_>,
    modulators: &List,
    root_key: i32,
    mut lost: impl FnMut(String, &'static str),
) -> Articulation {
    let mut rows = Rows(Vec::new());
    let none = f64::NEG_INFINITY;
    let number = |id| sum.number(id);

    // The volume envelope.
    rows.time(d::EG1_DELAY, number(id::VOL_ENV_DELAY), 0.0, none);
    rows.time(d::EG1_ATTACK, number(id::VOL_ENV_ATTACK), 0.0, none);
    rows.keyed(d::EG1_HOLD, number(id::VOL_ENV_HOLD), 0.0, number(id::KEY_TO_VOL_ENV_HOLD));
    rows.keyed(d::EG1_DECAY, number(id::VOL_ENV_DECAY), DECAY_CENTS, number(id::KEY_TO_VOL_ENV_DECAY));
    rows.time(d::EG1_RELEASE, number(id::VOL_ENV_RELEASE), DECAY_CENTS, RELEASE_MIN);
    rows.constant(d::EG1_SUSTAIN, fixed(1000.0 * (1.0 - number(id::VOL_ENV_SUSTAIN) / 960.0).clamp(0.0, 1.0)));

    // The modulation envelope.
    rows.time(d::EG2_DELAY, number(id::MOD_ENV_DELAY), 0.0, none);
    rows.time(d::EG2_ATTACK, number(id::MOD_ENV_ATTACK), 0.0, none);
    rows.keyed(d::EG2_HOLD, number(id::MOD_ENV_HOLD), 0.0, number(id::KEY_TO_MOD_ENV_HOLD));
    rows.keyed(d::EG2_DECAY, number(id::MOD_ENV_DECAY), 0.0, number(id::KEY_TO_MOD_ENV_DECAY));
    rows.time(d::EG2_RELEASE, number(id::MOD_ENV_RELEASE), 0.0, none);
    rows.constant(d::EG2_SUSTAIN, fixed((1000.0 - number(id::MOD_ENV_SUSTAIN)).clamp(0.0, 1000.0)));
    rows.moving(s::EG2, d::PITCH, LINEAR, number(id::MOD_ENV_TO_PITCH));

    // The oscillators.
    rows.constant(d::LFO_FREQUENCY, fixed(number(id::MOD_LFO_FREQUENCY)));
    rows.constant(d::VIB_FREQUENCY, fixed(number(id::VIB_LFO_FREQUENCY)));
    rows.time(d::LFO_DELAY, number(id::MOD_LFO_DELAY), 0.0, none);
    rows.time(d::VIB_DELAY, number(id::VIB_LFO_DELAY), 0.0, none);
    rows.moving(s::LFO, d::PITCH, SOURCE_BIPOLAR, number(id::MOD_LFO_TO_PITCH));
    rows.moving(s::LFO, d::GAIN, SOURCE_BIPOLAR, number(id::MOD_LFO_TO_VOLUME));
    rows.moving(s::VIBRATO, d::PITCH, SOURCE_BIPOLAR, number(id::VIB_LFO_TO_PITCH));

    // The filter, where anything may close it.
    let cutoff = number(id::FILTER_CUTOFF);
    let (lfo, eg2) = (number(id::MOD_LFO_TO_CUTOFF), number(id::MOD_ENV_TO_CUTOFF));
    let closes = modulators
        .iter()
        .filter(|m| m.amount != 0)
        .filter_map(|m| counterpart(m).ok())
        .any(|found| found.destination == d::FILTER_CUTOFF);
    if cutoff < CUTOFF_OPEN || lfo != 0.0 || eg2 < 0.0 || closes {
        rows.constant(d::FILTER_CUTOFF, fixed(cutoff));
        rows.constant(d::FILTER_Q, fixed(number(id::FILTER_Q).clamp(0.0, 960.0)));
        rows.moving(s::LFO, d::FILTER_CUTOFF, SOURCE_BIPOLAR, lfo);
        rows.moving(s::EG2, d::FILTER_CUTOFF, LINEAR, eg2);
    }

    // Outputs.
    rows.constant(d::PAN, fixed(number(id::PAN)));
    rows.constant(d::REVERB, fixed(number(id::REVERB)));
    rows.constant(d::CHORUS, fixed(number(id::CHORUS)));

    // Scale tuning turns around the root key.
    let scale = number(id::SCALE_TUNING).min(SCALE_TUNING_MAX);
    if scale != 100.0 {
        rows.add(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, fixed(128.0 * scale));
        rows.constant(d::PITCH, fixed((100.0 - scale) * f64::from(root_key)));
    }

    for modulator in modulators.iter() {
        let found = match counterpart(modulator) {
            Ok(found) => found,
            Err(why) => {
                lost(modulator.to_string(), why);
                continue;
            }
        };
        let amount = f64::from(modulator.amount);
        let default = DEFAULTS.iter().find(|default| default.is_same(modulator));
        let scale = match (standard(found.source, found.control, found.destination), default) {
            // The same thing, in numbers that differ a little.
            (Some(own), Some(default)) => f64::from(own.scale >> 16) * amount / f64::from(default.amount),
            // What follows the key does so besides the key's own pitch.
            (Some(own), None) if own.source == s::KEY_NUMBER && !rows.0.iter().any(|row| row.key() == own.key()) => {
                rows.0.push(own);
                amount * found.unit
            }
            _ => amount * found.unit,
        };
        // Zero takes something away only from what DLS has by itself.
        let takes_away = default.is_some() && !matches!(found.destination, d::FILTER_CUTOFF | d::PITCH)
            || found.source == s::PITCH_WHEEL;
        if scale == 0.0 && !takes_away {
            continue;
        }
        if !rows.add(found.source, found.control, found.destination, found.transform, fixed(scale)) {
            lost(modulator.to_string(), NO_ROOM);
        }
    }
    let mut gain = 0;
    for (source, number) in [(s::KEY_NUMBER, id::KEY), (s::VELOCITY, id::VELOCITY)] {
        if let Some(value) = sum.fixed(number) {
            gain += rows.fix(source, value, &mut lost);
        }
    }
    // The defaults of DLS are not written.
    rows.0.retain(|row| standard(row.source, row.control, row.destination) != Some(*row));
    Articulation { connections: rows.0, gain }
}

/// Returns the default connections of DLS that SoundFont has as modulators too.
fn standard(source: u16, control: u16, destination: u16) -> Option<Connection> {
    let (transform, scale) = match (source, control, destination) {
        (s::VELOCITY | s::CC7 | s::CC11, s::NONE, d::GAIN) => (SOURCE_INVERTED_CONCAVE, -960),
        (s::CC10, s::NONE, d::PAN) => (SOURCE_BIPOLAR, 508),
        (s::PITCH_WHEEL, s::RPN0, d::PITCH) => (SOURCE_BIPOLAR, 12_800),
        (s::KEY_NUMBER, s::NONE, d::PITCH) => (LINEAR, 12_800),
        _ => return None,
    };
    Some(Connection { source, control, destination, transform, scale: scale << 16 })
}
