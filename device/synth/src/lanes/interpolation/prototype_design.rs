//! Finds the series of [`PROTOTYPES`](super::wide::PROTOTYPES) again: the sums of cosines whose responses err least.
//!
//! Weighted least squares, whose weights follow the error (Lawson's algorithm), so that the greatest error becomes as
//! small as it can. 0.09 dB in the lower part of the pass band, where fundamentals are, count as much as 0.15 dB at its
//! end and -73 dB in the stop band.

use core::f64::consts::PI;

use super::wide::{PROTOTYPES, TERMS};

/// The error that counts as 1 in the lower part of the pass band.
const LOW_ERROR: f64 = 0.010;
/// Where that part ends, as a part of the pass band; from there the error that counts as 1 grows.
const LOW_END: f64 = 0.4;
/// The error that counts as 1 at the pass band's end.
const PASS_ERROR: f64 = 0.0168;
/// And at the beginning of the stop band.
const STOP_ERROR: f64 = 2.1e-4;
/// It falls with this power of the frequency, because there are many images.
const STOP_FALL: f64 = 0.25;
/// Periods between the points at which the error is taken.
const GRID: f64 = 0.05;
/// Periods of stop band that are taken in.
const TAIL: f64 = 60.0;
/// Rounds after which nothing moves any more.
const ROUNDS: usize = 300;

/// Returns the response of a series' term at a frequency in periods over all taps.
fn term(frequency: f64, k: usize) -> f64 {
    let sinc = |x: f64| if x.abs() < 1e-9 { 1.0 } else { libm::sin(PI * x) / (PI * x) };
    0.5 * (sinc(frequency - k as f64) + sinc(frequency + k as f64))
}

/// One point at which the error is taken.
struct Point {
    terms: [f64; TERMS],
    wanted: f64,
    scale: f64,
    weight: f64,
}

fn design(pass: f64, stop: f64) -> [f64; TERMS] {
    let point = |frequency: f64, wanted: f64, error: f64| Point {
        terms: core::array::from_fn(|k| term(frequency, k)),
        wanted,
        scale: 1.0 / error,
        weight: 1.0,
    };
    let within = (0..).map(|i| f64::from(i) * GRID).take_while(|f| *f < pass).chain([pass]);
    let beyond = (0..).map(|i| stop + f64::from(i) * GRID).take_while(|f| *f < stop + TAIL);
    let allowed = |frequency: f64| {
        let beyond = ((frequency / pass - LOW_END) / (1.0 - LOW_END)).max(0.0);
        LOW_ERROR + (PASS_ERROR - LOW_ERROR) * beyond
    };
    let mut points: Vec<Point> = within
        .map(|f| point(f, 1.0, allowed(f)))
        .chain(beyond.map(|f| point(f, 0.0, STOP_ERROR * libm::pow(stop / f, STOP_FALL))))
        .collect();
    let mut best = ([0.0; TERMS], f64::INFINITY);
    for _ in 0..ROUNDS {
        let series = least_squares(&points);
        let error = |point: &Point| {
            let sum: f64 = series.iter().zip(point.terms).map(|(a, term)| a * term).sum();
            (sum - point.wanted).abs() * point.scale
        };
        let errors: Vec<f64> = points.iter().map(error).collect();
        let greatest = errors.iter().copied().fold(0.0, f64::max);
        if greatest < best.1 {
            best = (series, greatest);
        }
        let mean =
            points.iter().zip(&errors).map(|(point, error)| point.weight * error).sum::<f64>() / errors.len() as f64;
        for (point, error) in points.iter_mut().zip(errors) {
            point.weight = (point.weight * error / mean).max(1e-9);
        }
    }
    best.0
}

/// Solves for all terms but the first, which is 1, and the second, which makes the sum 0 at the ends.
fn least_squares(points: &[Point]) -> [f64; TERMS] {
    const UNKNOWNS: usize = TERMS - 2;
    let sign = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
    let mut m = [[0.0; UNKNOWNS + 1]; UNKNOWNS];
    for point in points {
        let weight = point.weight * point.scale * point.scale;
        let terms: [f64; UNKNOWNS] = core::array::from_fn(|i| point.terms[i + 2] + sign(i) * point.terms[1]);
        let left = point.wanted - point.terms[0] - point.terms[1];
        for (row, a) in m.iter_mut().zip(terms) {
            for (sum, b) in row.iter_mut().zip(terms) {
                *sum += weight * a * b;
            }
            row[UNKNOWNS] += weight * a * left;
        }
    }
    for pivot in 0..UNKNOWNS {
        let largest = (pivot..UNKNOWNS).max_by(|a, b| m[*a][pivot].abs().total_cmp(&m[*b][pivot].abs()));
        m.swap(pivot, largest.unwrap_or(pivot));
        let from = m[pivot];
        for row in &mut m[pivot + 1..] {
            let factor = row[pivot] / from[pivot];
            row.iter_mut().zip(from).for_each(|(to, from)| *to -= factor * from);
        }
    }
    let mut found = [1.0; TERMS];
    for pivot in (0..UNKNOWNS).rev() {
        let known: f64 = (pivot + 1..UNKNOWNS).map(|i| m[pivot][i] * found[i + 2]).sum();
        found[pivot + 2] = (m[pivot][UNKNOWNS] - known) / m[pivot][pivot];
    }
    found[1] = 1.0 + (0..UNKNOWNS).map(|i| sign(i) * found[i + 2]).sum::<f64>();
    found
}

#[test]
fn the_prototypes_are_those_of_least_greatest_error() {
    for (index, prototype) in PROTOTYPES.iter().enumerate() {
        let found = design(prototype.pass, prototype.stop);
        for (k, (written, found)) in prototype.series.iter().zip(found).enumerate() {
            assert!((written - found).abs() < 1e-5, "shape {index}, term {k}: {written} is written, {found} found");
        }
    }
}
