//! The cases, a file a chapter.

mod channel;
mod conditions;
mod effects;
mod eg1;
mod eg2;
mod files;
mod filter;
mod gain;
mod lfo;
mod pan;
mod pitch;
mod samples;
mod transforms;
mod voices;

use crate::case::Case;

/// Returns all cases, chapter by chapter.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        pitch::cases(),
        gain::cases(),
        pan::cases(),
        lfo::cases(),
        eg1::cases(),
        eg2::cases(),
        filter::cases(),
        samples::cases(),
        voices::cases(),
        channel::cases(),
        effects::cases(),
        files::cases(),
        conditions::cases(),
        transforms::cases(),
    ]
    .concat()
}

/// Returns when the `index`th of notes begins that follow each other at a distance of some ms.
fn nth(index: usize, distance: u32) -> u32 {
    crate::case::FIRST + index as u32 * distance
}

/// Milliseconds as seconds.
fn seconds(milliseconds: u32) -> f64 {
    f64::from(milliseconds) / 1000.0
}

/// Returns the gain of velocity, volume and expression, in dB (inverted concave, 96 dB).
fn curve(value: u8) -> f64 {
    40.0 * libm::log10(f64::from(value) / 127.0)
}
