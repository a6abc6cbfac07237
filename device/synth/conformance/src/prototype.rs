//! The measurement prototype of DLS-2.2's filter (1.7.4): what a filter of some cutoff and resonance does to a
//! frequency.

use libm::{cos, log2, log10, pow, sin, sqrt};

/// A prototype: pole radius, pole angle, and gain of the pass band.
#[derive(Clone, Copy, Debug)]
pub struct Prototype {
    radius: f64,
    angle: f64,
    gain: f64,
    rate: f64,
}

impl Prototype {
    /// Returns the prototype of a cutoff in Hz and a resonance in dB, at so many frames a second.
    #[must_use]
    pub fn new(cutoff: f64, resonance: f64, rate: f64) -> Self {
        let (mut low, mut high) = (0.0, core::f64::consts::FRAC_PI_2);
        // The cutoff grows with the angle.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if cutoff_of(middle, resonance, rate) < cutoff {
                low = middle;
            } else {
                high = middle;
            }
        }
        let angle = 0.5 * (low + high);
        Self { radius: radius_of(angle, resonance), angle, gain: pow(10.0, -resonance / 40.0), rate }
    }

    /// Returns gain in dB at a frequency.
    #[must_use]
    pub fn decibels(&self, hertz: f64) -> f64 {
        let w = core::f64::consts::TAU * hertz / self.rate;
        let (first, second) = (-2.0 * self.radius * cos(self.angle), self.radius * self.radius);
        let re = 1.0 + first * cos(w) + second * cos(2.0 * w);
        let im = first * sin(w) + second * sin(2.0 * w);
        20.0 * log10(self.gain * (1.0 + first + second) / sqrt(re * re + im * im))
    }
}

fn radius_of(angle: f64, resonance: f64) -> f64 {
    let r = pow(10.0, resonance / 20.0);
    (cos(angle) + sin(angle) * sqrt(r * r - 1.0)) / (1.0 + r * sin(angle))
}

fn cutoff_of(angle: f64, resonance: f64, rate: f64) -> f64 {
    let r = radius_of(angle, resonance);
    let at_zero = 1.0 - 2.0 * r * cos(angle) + r * r;
    let at_quarter = sqrt(1.0 + 2.0 * r * r * cos(2.0 * angle) + r * r * r * r);
    rate / 4.0 * sqrt(at_zero / at_quarter)
}

/// Returns the cutoff whose prototype of a resonance comes nearest to a measured response, from two octaves below the
/// cutoff that was wanted for to one and a half above it, but not beyond a sixth of the rate.
#[must_use]
pub fn fit(wanted: f64, resonance: f64, rate: f64, response: impl Fn(f64) -> f64) -> f64 {
    let points: Vec<(f64, f64)> = (0..=28)
        .map(|step| wanted * pow(2.0, f64::from(step - 16) / 8.0))
        .filter(|hertz| *hertz <= rate / 6.0)
        .map(|hertz| (hertz, response(hertz)))
        .collect();
    let error = |cents: f64| {
        let prototype = Prototype::new(wanted * pow(2.0, cents / 1200.0), resonance, rate);
        points.iter().map(|(hertz, found)| (prototype.decibels(*hertz) - found).powi(2)).sum::<f64>()
    };
    let (mut best, mut step) = (0.0, 200.0);
    for _ in 0..9 {
        let tried = (-6..=6).map(|i| best + f64::from(i) * step);
        best = tried.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(best);
        step /= 3.0;
    }
    wanted * pow(2.0, best / 1200.0)
}

/// Returns cents from one frequency to another.
#[must_use]
pub fn cents_between(from: f64, to: f64) -> f64 {
    1200.0 * log2(to / from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pass_band_is_lowered_by_half_the_resonance() {
        for q in [0.0, 6.0, 22.5] {
            assert!((Prototype::new(1000.0, q, 44_100.0).decibels(1.0) + q / 2.0).abs() < 0.01);
        }
    }

    #[test]
    fn a_fit_finds_the_cutoff_of_a_response() {
        let response = Prototype::new(1300.0, 6.0, 44_100.0);
        let found = fit(1000.0, 6.0, 44_100.0, |hertz| response.decibels(hertz));
        assert!(cents_between(1300.0, found).abs() < 0.5, "{found}");
    }
}
