//! The transform of a source or a control: normalisation, inversion, curve and polarity (DLS-2.2, 1.14.4).

use crate::dls::spec::transform;

/// The point at which a concave curve reaches 1 and a convex one 0: at 96 dB, that is 1 - 10^-2.4 and 10^-2.4 of the
/// range.
const KNEE: f64 = 0.003_981_071_705_534_972_5;

/// The curve of one input of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Curve {
    shape: Shape,
    bipolar: bool,
    invert: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Linear,
    Concave,
    Convex,
    Switch,
}

/// An input before normalisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    /// The value, 0 to `maximum`.
    pub(crate) value: f64,
    /// The greatest value: 127 or 16383.
    pub(crate) maximum: f64,
}

impl Raw {
    /// Makes a 7-bit value.
    pub(crate) fn seven_bit(value: impl Into<f64>) -> Self {
        Self { value: value.into(), maximum: 127.0 }
    }

    /// Makes a 14-bit value.
    pub(crate) fn fourteen_bit(value: impl Into<f64>) -> Self {
        Self { value: value.into(), maximum: 16_383.0 }
    }
}

impl Curve {
    /// Reads the source's half of a transform word. Unknown shapes are linear.
    pub(crate) fn of_source(word: u16) -> Self {
        Self {
            shape: Shape::of(word >> transform::SOURCE_SHIFT),
            bipolar: word & transform::SOURCE_BIPOLAR != 0,
            invert: word & transform::SOURCE_INVERT != 0,
        }
    }

    /// Reads the control's half of a transform word.
    pub(crate) fn of_control(word: u16) -> Self {
        Self {
            shape: Shape::of(word >> transform::CONTROL_SHIFT),
            bipolar: word & transform::CONTROL_BIPOLAR != 0,
            invert: word & transform::CONTROL_INVERT != 0,
        }
    }

    /// Reads the curve of a SoundFont's source (SoundFont 2.04, 8.2). Unknown shapes are linear.
    pub(crate) fn of_sound_font(source: u16) -> Self {
        Self { shape: Shape::of((source >> 10).min(0xF)), bipolar: source & 0x200 != 0, invert: source & 0x100 != 0 }
    }

    /// Applies the curve to a value that is normalised already, 0 to 1 or -1 to 1: what a linked modulator gives.
    pub(crate) fn apply_normalised(self, value: f64) -> f64 {
        let x = match (self.invert, self.bipolar) {
            (false, _) => value,
            (true, false) => 1.0 - value,
            (true, true) => -value,
        };
        match (self.shape, self.bipolar) {
            (Shape::Linear, _) => x,
            (Shape::Switch, false) => f64::from(x >= 0.5),
            (Shape::Switch, true) => f64::from(x >= 0.0) * 2.0 - 1.0,
            (shape, false) => shape.unipolar(x.clamp(0.0, 1.0)),
            (shape, true) => x.signum() * shape.unipolar(x.abs().min(1.0)),
        }
    }

    /// Returns the normalised value: 0 to 1, or -1 to 1 when bipolar.
    pub(crate) fn apply(self, raw: Raw) -> f64 {
        let range = raw.maximum + 1.0;
        let x = if self.invert { raw.maximum - raw.value } else { raw.value };
        match (self.shape, self.bipolar) {
            (Shape::Linear, false) => x / range,
            (Shape::Linear, true) => 2.0 * x / range - 1.0,
            (Shape::Switch, false) => f64::from(x * 2.0 >= range),
            (Shape::Switch, true) => f64::from(x * 2.0 >= range) * 2.0 - 1.0,
            (shape, false) => shape.unipolar(x / raw.maximum),
            (shape, true) => {
                let from_centre = 2.0 * x / range - 1.0;
                let side = if from_centre < 0.0 { -1.0 } else { 1.0 };
                side * shape.unipolar(from_centre.abs())
            }
        }
    }

    /// Returns the curve on an oscillator or an envelope as `a * x + b`. The table of DLS-2.2 knows no other than
    /// linear ones there; others count as linear.
    ///
    /// An oscillator's own range is -1 to 1 (`bipolar_by_nature`), an envelope's 0 to 1.
    pub(crate) fn affine(self, bipolar_by_nature: bool) -> (f64, f64) {
        let (gain, offset) = match (bipolar_by_nature, self.bipolar) {
            (true, true) | (false, false) => (1.0, 0.0),
            (true, false) => (0.5, 0.5),
            (false, true) => (2.0, -1.0),
        };
        match (self.invert, self.bipolar) {
            (false, _) => (gain, offset),
            (true, true) => (-gain, -offset),
            (true, false) => (-gain, 1.0 - offset),
        }
    }
}

impl Shape {
    fn of(bits: u16) -> Self {
        match bits & 0xF {
            transform::CONCAVE => Self::Concave,
            transform::CONVEX => Self::Convex,
            transform::SWITCH => Self::Switch,
            _ => Self::Linear,
        }
    }

    /// Applies the concave or convex curve to a value from 0 to 1.
    fn unipolar(self, x: f64) -> f64 {
        match self {
            Self::Concave if x >= 1.0 - KNEE => 1.0,
            Self::Concave => -(5.0 / 12.0) * libm::log10(1.0 - x),
            Self::Convex if x <= KNEE => 0.0,
            Self::Convex => 1.0 + (5.0 / 12.0) * libm::log10(x),
            Self::Linear | Self::Switch => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dls::spec::transform::{SOURCE_BIPOLAR, SOURCE_INVERTED_CONCAVE, SOURCE_SHIFT};

    fn source(word: u16, value: f64) -> f64 {
        Curve::of_source(word).apply(Raw::seven_bit(value))
    }

    #[test]
    fn velocity_becomes_gain_by_forty_log_ten() {
        for velocity in 1..=127 {
            let decibels = -96.0 * source(SOURCE_INVERTED_CONCAVE, f64::from(velocity));
            let expected = 40.0 * libm::log10(f64::from(velocity) / 127.0);
            assert!((decibels - expected.max(-96.0)).abs() < 1e-9, "velocity {velocity}: {decibels} {expected}");
        }
        assert_eq!(source(SOURCE_INVERTED_CONCAVE, 0.0), 1.0);
    }

    #[test]
    fn a_convex_curve_is_a_concave_one_turned_round() {
        for x in 0..=127 {
            let concave = source(1 << SOURCE_SHIFT, f64::from(x));
            let convex = source(2 << SOURCE_SHIFT, f64::from(127 - x));
            assert!((concave + convex - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_switch_turns_at_half() {
        assert_eq!(source(3 << SOURCE_SHIFT, 63.0), 0.0);
        assert_eq!(source(3 << SOURCE_SHIFT, 64.0), 1.0);
        assert_eq!(source(3 << SOURCE_SHIFT | SOURCE_BIPOLAR, 63.0), -1.0);
    }

    #[test]
    fn bipolar_curves_mirror_around_the_centre() {
        assert_eq!(source(SOURCE_BIPOLAR, 64.0), 0.0);
        assert_eq!(source(SOURCE_BIPOLAR, 0.0), -1.0);
        let word = SOURCE_BIPOLAR | 1 << SOURCE_SHIFT;
        assert_eq!(source(word, 64.0), 0.0);
        assert_eq!(source(word, 96.0), -source(word, 32.0));
    }
}
