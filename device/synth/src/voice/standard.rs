//! The connections that every level 2 device has, with their defaults (DLS-2.2, table 9).

use crate::dls::collection::Connection;
use crate::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR, SOURCE_INVERTED_CONCAVE};
use crate::dls::spec::{CUTOFF_OPEN, TIME_ZERO, destination as d, source as s};

/// 5 Hz in absolute pitch.
const FIVE_HERTZ: i32 = 0xFCAC_AE9B_u32 as i32;
/// 10 ms in absolute time.
const TEN_MILLISECONDS: i32 = 0xE0DB_5F61_u32 as i32;
/// 15 ms in absolute time.
const FIFTEEN_MILLISECONDS: i32 = 0xE399_53DC_u32 as i32;
/// 100 %.
const WHOLE: i32 = 1000 << 16;
/// -96 dB.
const SILENCE: i32 = -960 << 16;
/// 12800 cents.
const ALL_KEYS: i32 = 12_800 << 16;

const fn row(source: u16, control: u16, destination: u16, transform: u16, scale: i32) -> Connection {
    Connection { source, control, destination, transform, scale }
}

const fn constant(destination: u16, scale: i32) -> Connection {
    row(s::NONE, s::NONE, destination, LINEAR, scale)
}

/// Makes a connection of a low-frequency oscillator, bipolar, with a control, by default without effect.
const fn oscillator(source: u16, control: u16, destination: u16) -> Connection {
    row(source, control, destination, SOURCE_BIPOLAR, 0)
}

/// The table. A file's connection with the same source, control and destination replaces the line.
pub(crate) const STANDARD: &[Connection] = &[
    constant(d::LFO_FREQUENCY, FIVE_HERTZ),
    constant(d::LFO_DELAY, TEN_MILLISECONDS),
    constant(d::VIB_FREQUENCY, FIVE_HERTZ),
    constant(d::VIB_DELAY, TEN_MILLISECONDS),
    // The volume envelope.
    constant(d::EG1_DELAY, TIME_ZERO),
    constant(d::EG1_ATTACK, TIME_ZERO),
    constant(d::EG1_HOLD, TIME_ZERO),
    constant(d::EG1_DECAY, TIME_ZERO),
    constant(d::EG1_SUSTAIN, WHOLE),
    constant(d::EG1_RELEASE, TIME_ZERO),
    constant(d::EG1_SHUTDOWN, FIFTEEN_MILLISECONDS),
    row(s::VELOCITY, s::NONE, d::EG1_ATTACK, LINEAR, 0),
    row(s::KEY_NUMBER, s::NONE, d::EG1_DECAY, LINEAR, 0),
    row(s::KEY_NUMBER, s::NONE, d::EG1_HOLD, LINEAR, 0),
    // The modulation envelope.
    constant(d::EG2_DELAY, TIME_ZERO),
    constant(d::EG2_ATTACK, TIME_ZERO),
    constant(d::EG2_HOLD, TIME_ZERO),
    constant(d::EG2_DECAY, TIME_ZERO),
    constant(d::EG2_SUSTAIN, WHOLE),
    constant(d::EG2_RELEASE, TIME_ZERO),
    row(s::VELOCITY, s::NONE, d::EG2_ATTACK, LINEAR, 0),
    row(s::KEY_NUMBER, s::NONE, d::EG2_DECAY, LINEAR, 0),
    row(s::KEY_NUMBER, s::NONE, d::EG2_HOLD, LINEAR, 0),
    // The key. That the note number is the key is not a connection: it always holds.
    row(s::RPN2, s::NONE, d::KEY_NUMBER, SOURCE_BIPOLAR, 6400 << 16),
    // The filter.
    constant(d::FILTER_CUTOFF, CUTOFF_OPEN),
    constant(d::FILTER_Q, 0),
    oscillator(s::LFO, s::NONE, d::FILTER_CUTOFF),
    oscillator(s::LFO, s::CC1, d::FILTER_CUTOFF),
    oscillator(s::LFO, s::CHANNEL_PRESSURE, d::FILTER_CUTOFF),
    row(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, 0),
    row(s::VELOCITY, s::NONE, d::FILTER_CUTOFF, LINEAR, 0),
    row(s::KEY_NUMBER, s::NONE, d::FILTER_CUTOFF, LINEAR, 0),
    // Gain. The volume envelope's own part always holds.
    oscillator(s::LFO, s::NONE, d::GAIN),
    oscillator(s::LFO, s::CC1, d::GAIN),
    oscillator(s::LFO, s::CHANNEL_PRESSURE, d::GAIN),
    row(s::VELOCITY, s::NONE, d::GAIN, SOURCE_INVERTED_CONCAVE, SILENCE),
    row(s::CC7, s::NONE, d::GAIN, SOURCE_INVERTED_CONCAVE, SILENCE),
    row(s::CC11, s::NONE, d::GAIN, SOURCE_INVERTED_CONCAVE, SILENCE),
    // Outputs.
    constant(d::PAN, 0),
    row(s::CC10, s::NONE, d::PAN, SOURCE_BIPOLAR, 508 << 16),
    row(s::CC91, s::NONE, d::REVERB, LINEAR, WHOLE),
    constant(d::REVERB, 0),
    row(s::CC93, s::NONE, d::CHORUS, LINEAR, WHOLE),
    constant(d::CHORUS, 0),
    // Pitch.
    constant(d::PITCH, 0),
    row(s::PITCH_WHEEL, s::RPN0, d::PITCH, SOURCE_BIPOLAR, ALL_KEYS),
    row(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, ALL_KEYS),
    row(s::RPN1, s::NONE, d::PITCH, SOURCE_BIPOLAR, 100 << 16),
    oscillator(s::VIBRATO, s::NONE, d::PITCH),
    oscillator(s::VIBRATO, s::CC1, d::PITCH),
    oscillator(s::VIBRATO, s::CHANNEL_PRESSURE, d::PITCH),
    oscillator(s::LFO, s::NONE, d::PITCH),
    oscillator(s::LFO, s::CC1, d::PITCH),
    oscillator(s::LFO, s::CHANNEL_PRESSURE, d::PITCH),
    row(s::EG2, s::NONE, d::PITCH, LINEAR, 0),
];

// RPN1 is 8192 at rest, and its normalised bipolar value is then exactly 0; RPN2 likewise at 64.
