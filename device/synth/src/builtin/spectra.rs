//! Families of spectra: what strings, bars, pipes, reeds, brass and voices are made of.

use super::tone::{Noise, Partial, Spectrum};

/// Harmonics up to half the wave's sample rate, at most so many.
pub(super) fn harmonics(fundamental: f64, most: u32, amplitude: impl Fn(f64) -> f64) -> Vec<Partial> {
    (1..=most)
        .map(f64::from)
        .take_while(|n| n * fundamental < 10_000.0)
        .map(|n| Partial::steady(n, amplitude(n)))
        .filter(|p| p.amplitude.abs() > 1e-4)
        .collect()
}

/// Makes a sawtooth with so many dB an octave taken from it.
pub(super) fn saw(fundamental: f64, tilt: f64) -> Vec<Partial> {
    harmonics(fundamental, 64, |n| libm::pow(n, -1.0 - tilt / 6.02))
}

/// Makes a pulse of a width.
pub(super) fn pulse(fundamental: f64, width: f64, tilt: f64) -> Vec<Partial> {
    let amplitude = |n: f64| libm::sin(core::f64::consts::PI * n * width).abs() * libm::pow(n, -1.0 - tilt / 6.02);
    harmonics(fundamental, 64, amplitude)
}

/// Bumps in the spectrum that stay where they are while the pitch moves: frequency, width, gain.
pub(super) fn formants(hertz: f64, bumps: &[(f64, f64, f64)]) -> f64 {
    bumps
        .iter()
        .map(|(centre, width, gain)| gain / (1.0 + ((hertz - centre) / width) * ((hertz - centre) / width)))
        .sum()
}

/// Makes a source filtered by formants.
pub(super) fn voiced(fundamental: f64, tilt: f64, floor: f64, bumps: &[(f64, f64, f64)]) -> Vec<Partial> {
    let mut partials = saw(fundamental, tilt);
    partials.iter_mut().for_each(|p| p.amplitude *= floor + formants(p.ratio * fundamental, bumps));
    partials
}

/// Makes several players of the same spectrum, each a little detuned.
pub(super) fn ensemble(partials: &[Partial], cents: &[f64]) -> Vec<Partial> {
    let gain = 1.0 / libm::sqrt(cents.len() as f64);
    let player = |cents: f64| {
        let ratio = libm::exp2(cents / 1200.0);
        partials.iter().map(move |p| Partial { ratio: p.ratio * ratio, amplitude: p.amplitude * gain, ..*p })
    };
    cents.iter().flat_map(|c| player(*c)).collect()
}

/// Makes a plucked or struck string: where it is plucked, how soft the pluck is (a cutoff in Hz), how fast it dies
/// away, how stiff it is.
pub(super) fn string(fundamental: f64, place: f64, soft: f64, decay: (f64, f64), stiffness: f64) -> Vec<Partial> {
    let mut partials = harmonics(fundamental, 48, |n| {
        let hertz = n * fundamental;
        let comb = 0.08 + libm::sin(core::f64::consts::PI * n * place).abs();
        comb * libm::pow(n, -0.9) / (1.0 + (hertz / soft) * (hertz / soft))
    });
    for p in &mut partials {
        let n = p.ratio;
        p.ratio = n * libm::sqrt(1.0 + stiffness * n * n);
        p.decay = decay.0 + decay.1 * n;
    }
    partials
}

/// Bars, bells and skins: ratio, amplitude, decay of each mode.
pub(super) fn modes(list: &[(f64, f64, f64)]) -> Vec<Partial> {
    list.iter().map(|(ratio, amplitude, decay)| Partial::dying(*ratio, *amplitude, *decay)).collect()
}

/// Drawbars: ratio and amplitude.
pub(super) fn drawbars(list: &[(f64, f64)]) -> Vec<Partial> {
    list.iter().map(|(ratio, amplitude)| Partial::steady(*ratio, *amplitude)).collect()
}

/// Makes a spectrum of partials without noise.
pub(super) fn plain(partials: Vec<Partial>) -> Spectrum {
    Spectrum { partials, noises: Vec::new() }
}

/// Adds a knock at the beginning.
pub(super) fn knocked(partials: Vec<Partial>, amplitude: f64, low: f64, high: f64, decay: f64) -> Spectrum {
    Spectrum { partials, noises: vec![Noise { amplitude, low, high, decay }] }
}

/// Adds breath that goes on.
pub(super) fn breathy(partials: Vec<Partial>, amplitude: f64, low: f64, high: f64) -> Spectrum {
    Spectrum { partials, noises: vec![Noise { amplitude, low, high, decay: 0.0 }] }
}

/// Gives each note an attack: the higher the harmonic, the later it comes.
pub(super) fn swelling(mut partials: Vec<Partial>, seconds: f64) -> Vec<Partial> {
    partials.iter_mut().for_each(|p| p.rise = seconds * (0.3 + 0.12 * p.ratio));
    partials
}
