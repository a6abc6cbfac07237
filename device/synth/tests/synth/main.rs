//! The synthesizer, from files and messages to frames: one program, because each is linked with all of it.

#[path = "../common/mod.rs"]
mod common;

mod builtin;
mod builtin_sound;
mod connections;
mod containers;
mod division;
mod downloads;
mod effects;
mod envelopes;
mod files;
mod hostile_dls;
mod hostile_sf2;
mod identities;
mod midi;
mod minimum_device;
mod mobile;
mod phase_lock;
mod priority;
mod quality;
mod samples;
mod sound_font_division;
mod sound_font_items;
mod sound_fonts;
mod table;
mod tolerances;
mod transforms;
mod traps;
mod voices;
mod volume;
mod worked_example;
