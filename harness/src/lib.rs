//! Boots guests with the DirectMusic card, runs scenarios, judges, reports.
//!
//! The library emits typed [events](event::Event) and returns typed results; the command line renders them. Its layers,
//! each of which uses only those below it:
//!
//! | layer | what it is for |
//! |---|---|
//! | [`kills`], [`scenario`] | TOML scenarios, the suite of the project, and who is blamed for a killed process |
//! | [`playback`], [`conformance`], [`alloc_faults`], [`bench`](mod@bench), [`hostile`] | what is done with a test bed |
//! | [`testbed`] | card, QEMU, guest and driver, started and owned as one, with their run folder |
//! | [`provision`] | QEMU, guest images, card and driver: found, built or downloaded |
//! | [`machine`] | the processes of card and QEMU, guest memory, and which of them ended first |
//! | [`sound`] | songs, banks, offline renders, PCM |
//! | [`host`], [`event`] | processes, signals, limits and files of the host; what the library says while it works |

pub mod alloc_faults;
pub mod bench;
pub mod conformance;
pub mod event;
pub mod host;
pub mod hostile;
pub mod kills;
pub mod machine;
pub mod playback;
pub mod provision;
pub mod report;
pub mod scenario;
pub mod sound;
pub mod testbed;
