//! Boots guests with the DirectMusic card, runs scenarios, judges, reports.
//!
//! The engine (this library) emits typed [events](event::Event) and returns typed results; the command line renders
//! them. The way of a performance: a song ([`midi`]) and a configuration go to [`perform`], which starts the card and
//! QEMU ([`machine`]), speaks with the guest ([`session`]), collects the PCM from guest memory, and lets [`judge`]
//! compare it with the offline render of the same events. What must be there first is brought in by [`provision`].

pub mod accelerator;
pub mod artefacts;
pub mod bank;
pub mod bench;
pub mod bug_check;
pub mod conditions;
pub mod contract;
pub mod doctor;
pub mod driver_file;
pub mod event;
pub mod failure;
pub mod fake;
pub mod hash;
pub mod hostile;
pub mod image_check;
pub mod inspect;
pub mod interrupt;
pub mod judge;
pub mod kills;
pub mod leftovers;
pub mod limits;
pub mod loudness;
pub mod machine;
pub mod midi;
pub mod perform;
pub mod process;
pub mod provision;
pub mod render;
pub mod scenario;
pub mod session;
pub mod shortage;
pub mod songs;
pub mod stall;
pub mod standstill;
pub mod suite;
