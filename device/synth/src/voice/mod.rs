//! The parts of a sounding voice: oscillator, envelopes, low-frequency oscillators, filter, and their control.

pub(crate) mod active;
mod aim;
pub(crate) mod articulation;
pub(crate) mod control;
pub(crate) mod curve;
pub(crate) mod envelope;
pub(crate) mod filter;
pub(crate) mod lead;
mod leads;
pub(crate) mod lfo;
pub(crate) mod oscillator;
pub(crate) mod sample;
pub(crate) mod sound_font;
pub(crate) mod standard;
pub(crate) mod zone;
