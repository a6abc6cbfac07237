//! The cases, a file a chapter.

mod channel;
mod conditions;
mod effects;
mod eg1;
mod eg2;
mod files;
mod filter;
mod fonts;
mod gain;
mod lfo;
mod pan;
mod pitch;
mod samples;
mod transforms;
mod voices;

use crate::case::{Case, curve, nth, seconds};

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
        fonts::cases(),
    ]
    .concat()
}
