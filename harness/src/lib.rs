//! Boots guests with the DirectMusic card, runs scenarios, judges, reports.
//!
//! The engine (this library) emits typed [events](event::Event) and returns typed results; the command line renders
//! them. The way of a performance: a song ([`sound`]) and a configuration go to [`perform`], which starts the card and
//! QEMU ([`machine`]), speaks with the guest ([`session`]), collects the PCM from guest memory, and lets [`judge`]
//! compare it with the offline render of the same events. What must be there first is brought in by [`provision`].

pub mod accelerator;
pub mod artefacts;
pub mod bench;
pub mod bug_check;
pub mod contract;
pub mod driver_file;
pub mod event;
pub mod failure;
pub mod fake;
pub mod host;
pub mod hostile;
pub mod inspect;
pub mod interrupt;
pub mod judge;
pub mod kills;
pub mod machine;
pub mod perform;
pub mod process;
pub mod provision;
pub mod scenario;
pub mod session;
pub mod shortage;
pub mod sound;
pub mod stall;
pub mod standstill;
