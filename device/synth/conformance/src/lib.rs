//! A conformance suite for DLS synthesizers (MMA DLS-1 v1.1b; DLS Level 2.2, RP-025 amendment 2) and SoundFont synthesizers
//! (SoundFont 2.04).
//!
//! Each case is one rule: a small DLS file or SoundFont, a small MIDI file, and a text with the expected output. Any synthesizer
//! that renders the two to a WAV file can be judged, as the README describes.
//!
//! | what | where |
//! |---|---|
//! | the cases | [`cases`], written with [`case`] |
//! | their files | [`dls`], [`font`], [`score`], [`units`], [`expect`], [`store`] |
//! | sound | [`render`] |
//! | what is read from it | [`signal`], [`prototype`] |
//! | verdicts and reports | [`judge`], [`report`], [`compare`] |

pub mod case;
pub mod cases;
pub mod compare;
pub mod dls;
pub mod expect;
pub mod font;
pub mod judge;
pub mod prototype;
pub mod render;
pub mod report;
pub mod run;
pub mod score;
pub mod signal;
pub mod store;
pub mod units;
