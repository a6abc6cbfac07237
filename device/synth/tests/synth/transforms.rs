//! How sources and controls become numbers (DLS-2.2, 1.14.4): every curve, both polarities, both directions, of both
//! inputs, against the specification's formulas.

use crate::common::connection_table::{Half, INVERTED_CONCAVE, control_half, source_half};
use crate::common::setup::{Setup, Value};
use crate::common::*;
use dls_synth::dls::Connection;
use dls_synth::dls::spec::transform::{
    CONCAVE, CONTROL_BIPOLAR, CONTROL_INVERT, CONTROL_SHIFT, CONVEX, LINEAR, SOURCE_BIPOLAR, SOURCE_INVERT,
    SOURCE_SHIFT, SWITCH,
};
use dls_synth::dls::spec::{destination as d, source as s};

/// A controller of which the standard connections know nothing.
const BRIGHTNESS: u16 = 0x80 + 74;

/// What the connection is scaled to.
const SCALE: f64 = 1000.0;

/// Values with something to them: ends, neighbours of the centre, knees of the curves.
const VALUES: [u16; 11] = [0, 1, 2, 31, 63, 64, 65, 96, 125, 126, 127];

/// Returns cents that a connection adds to the pitch, with an input at a value.
fn added(row: Connection, input: u16, value: Value) -> f64 {
    let mut setup = Setup::of(&[row]);
    let frame = setup.feed(input, value);
    setup.play(frame + 513).cents(frame, 512)
}

/// Returns every transform word of a source, or of a control.
fn words(shift: u32, bipolar: u16, invert: u16) -> Vec<u16> {
    let mut words = Vec::new();
    for curve in [LINEAR, CONCAVE, CONVEX, SWITCH] {
        for polarity in [0, bipolar] {
            for direction in [0, invert] {
                words.push(curve << shift | polarity | direction);
            }
        }
    }
    words
}

fn check(half: Half, value: u16, found: f64) {
    let expected = SCALE * half.normalise(f64::from(value), 7);
    assert!((found - expected).abs() < 0.25, "{half:?} of {value}: {found}, not {expected}");
}

#[test]
fn every_transform_of_a_source_follows_its_formula() {
    for word in words(SOURCE_SHIFT, SOURCE_BIPOLAR, SOURCE_INVERT) {
        let row = connection(BRIGHTNESS, s::NONE, d::PITCH, word, cents(SCALE));
        for value in VALUES {
            check(source_half(word), value, added(row, BRIGHTNESS, Value::Number(value)));
        }
    }
}

#[test]
fn every_transform_of_a_control_follows_its_formula() {
    for word in words(CONTROL_SHIFT, CONTROL_BIPOLAR, CONTROL_INVERT) {
        // The source is an envelope that stands at 1.
        let row = connection(s::EG2, BRIGHTNESS, d::PITCH, word, cents(SCALE));
        for value in VALUES {
            check(control_half(word), value, added(row, BRIGHTNESS, Value::Number(value)));
        }
    }
}

#[test]
fn applies_the_transforms_of_source_and_control_together() {
    let other = 0x80 + 71;
    for (source, control) in [(INVERTED_CONCAVE, CONTROL_BIPOLAR), (SOURCE_BIPOLAR, CONVEX << CONTROL_SHIFT)] {
        for (a, b) in [(20, 100), (64, 0), (127, 127), (100, 33)] {
            let mut setup = Setup::of(&[connection(BRIGHTNESS, other, d::PITCH, source | control, cents(SCALE))]);
            let frame = setup.feed(BRIGHTNESS, Value::Number(a)).max(setup.feed(other, Value::Number(b)));
            let halves =
                (source_half(source).normalise(f64::from(a), 7), control_half(control).normalise(f64::from(b), 7));
            close(setup.play(frame + 513).cents(frame, 512), SCALE * halves.0 * halves.1, 0.25);
        }
    }
}

#[test]
fn fourteen_bits_are_divided_by_16384() {
    for value in [0u16, 1, 4096, 8191, 8192, 8193, 16_383] {
        for word in [LINEAR, SOURCE_INVERT, SOURCE_BIPOLAR, SOURCE_BIPOLAR | SOURCE_INVERT] {
            let row = connection(s::PITCH_WHEEL, s::NONE, d::PITCH, word, cents(SCALE));
            let mut setup = Setup::of(&[row]);
            // Without a range the wheel's own connection does nothing.
            setup.parameter(0, 0, Some(0));
            let frame = setup.feed(s::PITCH_WHEEL, Value::Number(value));
            let expected = SCALE * source_half(word).normalise(f64::from(value), 14);
            close(setup.play(frame + 513).cents(frame, 512), expected, 0.25);
        }
    }
}

#[test]
fn concave_and_convex_use_the_greatest_value_and_not_the_range() {
    // By the greatest value 127, all of it is exactly 1 and none of it exactly 0; by the range 128 it would not be.
    let gain = |word: u16, value: u16| {
        let mut setup = Setup::of(&[connection(BRIGHTNESS, s::NONE, d::GAIN, word, decibels(-96.0))]);
        let frame = setup.feed(BRIGHTNESS, Value::Number(value));
        setup.play(frame + 1).decibels(frame)
    };
    close(gain(INVERTED_CONCAVE, 127), 0.0, 1e-4);
    close(gain(INVERTED_CONCAVE, 0), -96.0, 0.01);
    close(gain(CONVEX << SOURCE_SHIFT, 127), -96.0, 0.01);
    close(gain(CONVEX << SOURCE_SHIFT, 0), 0.0, 1e-4);
    for value in [1u16, 17, 64, 100, 126] {
        close(gain(INVERTED_CONCAVE, value), (40.0 * (f64::from(value) / 127.0).log10()).max(-96.0), 0.005);
    }
}

#[test]
fn ignores_an_unknown_transform_of_the_output() {
    // Level 2 has the low four bits zero; level 1 has its curve there.
    for low in [0u16, 1, 2, 7, 15] {
        let row = connection(BRIGHTNESS, s::NONE, d::PITCH, SOURCE_BIPOLAR | low, cents(SCALE));
        close(added(row, BRIGHTNESS, Value::Number(96)), 500.0, 0.25);
    }
}
