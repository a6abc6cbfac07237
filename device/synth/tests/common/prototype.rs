//! The measurement prototype of the filter (DLS-2.2, 1.7.4), solved and evaluated in double precision.

use std::f64::consts::{FRAC_PI_2, TAU};

/// `H(z) = K / (1 - 2 r cos(t) z^-1 + r^2 z^-2)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prototype {
    radius: f64,
    angle: f64,
    gain: f64,
}

impl Prototype {
    /// Makes the prototype for a cutoff as a fraction of the sample rate, and a resonance in dB.
    pub(crate) fn new(cutoff: f64, decibels: f64) -> Self {
        let resonance = 10f64.powf(decibels / 20.0);
        // The cutoff grows with the angle of the poles.
        let (mut low, mut high) = (0.0, FRAC_PI_2);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if cutoff_of(middle, radius_of(middle, resonance)) < cutoff { low = middle } else { high = middle }
        }
        let radius = radius_of(low, resonance);
        let at_dc = 1.0 - 2.0 * radius * low.cos() + radius * radius;
        Self { radius, angle: low, gain: 10f64.powf(-decibels / 40.0) * at_dc }
    }

    /// Returns gain in dB at a fraction of the sample rate.
    pub(crate) fn decibels(&self, frequency: f64) -> f64 {
        let (w, r) = (TAU * frequency, self.radius);
        let (a1, a2) = (-2.0 * r * self.angle.cos(), r * r);
        let re = 1.0 + a1 * w.cos() + a2 * (2.0 * w).cos();
        let im = a1 * w.sin() + a2 * (2.0 * w).sin();
        20.0 * (self.gain / re.hypot(im)).log10()
    }
}

fn radius_of(angle: f64, resonance: f64) -> f64 {
    (angle.cos() + angle.sin() * (resonance * resonance - 1.0).sqrt()) / (1.0 + resonance * angle.sin())
}

/// Returns where the asymptotes meet, as a fraction of the sample rate.
fn cutoff_of(angle: f64, r: f64) -> f64 {
    let at_dc = 1.0 - 2.0 * r * angle.cos() + r * r;
    let at_quarter = (1.0 + 2.0 * r * r * (2.0 * angle).cos() + r.powi(4)).sqrt();
    0.25 * (at_dc / at_quarter).sqrt()
}

/// Returns the cutoff, as a fraction of the sample rate, at which a filter without resonance has this gain in dB at a
/// frequency above it.
pub(crate) fn cutoff_by_gain(decibels: f64, frequency: f64) -> f64 {
    let (mut low, mut high) = (1.0 / 600.0, 0.25);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if Prototype::new(middle, 0.0).decibels(frequency) < decibels { low = middle } else { high = middle }
    }
    low
}
