//! The synthesizers that run within this program, each behind the same few calls.

mod dls_synth;
mod oxisynth;
mod rustysynth;

use std::fmt::Debug;

pub(crate) use dls_synth::DlsSynth;
pub(crate) use oxisynth::OxiSynth;
pub(crate) use rustysynth::RustySynth;

/// Frames a second, everywhere.
pub(crate) const RATE: u32 = 44_100;

/// Frames that are rendered at a time: a multiple of the 64 that all of them work in.
pub(crate) const BLOCK: usize = 512;

/// What a synthesizer is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Voices that it must be able to sound.
    pub(crate) voices: u16,
    /// Reverb and chorus.
    pub(crate) effects: bool,
}

/// Why a synthesizer does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{engine}: {reason}")]
pub(crate) struct EngineError {
    /// The synthesizer.
    pub(crate) engine: &'static str,
    /// Its own error.
    pub(crate) reason: String,
}

impl EngineError {
    /// Makes an error of the engine's own.
    pub(crate) fn new(engine: &'static str, reason: impl Debug) -> Self {
        Self { engine, reason: format!("{reason:?}") }
    }
}

/// A synthesizer with a bank.
pub(crate) trait Engine {
    /// Takes a channel message.
    fn midi(&mut self, message: &[u8]);

    /// Renders the next frames, at most [`BLOCK`], into a buffer of its own, as floating point.
    fn render(&mut self, frames: usize);

    /// Returns the sum of the squares of the samples that [`render`](Self::render) left in the buffer.
    fn energy(&self) -> f64;

    /// Returns the left side of what [`render`](Self::render) left in the buffer.
    fn left(&self) -> Vec<f32>;

    /// Returns how many voices sound. `None`: the synthesizer does not count them.
    fn voices(&self) -> Option<u32>;
}

/// Returns the sum of the squares.
fn energy<'a>(samples: impl Iterator<Item = &'a f32>) -> f64 {
    samples.map(|sample| f64::from(*sample) * f64::from(*sample)).sum()
}
