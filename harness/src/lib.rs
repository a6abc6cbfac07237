//! Boots guests with the DirectMusic card, runs scenarios, judges, reports.
//!
//! The library emits typed [events](event::Event) and returns typed results; the command line renders them. Its layers,
//! each of which uses only those below it:
//!
//! | layer | what it is for |
//! |---|---|
//! | [`dist`] | the download: tarball and Debian package |
//! | [`package`] | driver packages for Windows: image, INF, catalogue, signatures |
//! | [`image`] | images with a Windows of the user's: installation discs, answer files, the build |
//! | [`prompt`] | a prompt between steps: lines, views, the session as a scenario |
//! | [`scenario`], [`page_test`], [`debugger_test`], [`agent_test`], [`image_test`] | TOML scenarios, and the suite of the project |
//! | [`steps`] | what a scenario has driver, card and host do, step by step |
//! | [`report`] | events and results, rendered for people and programs |
//! | [`playback`], [`conformance`], [`alloc_faults`], [`bench`](mod@bench), [`hostile`], [`kills`] | the tests that use a test bed |
//! | [`testbed`] | card, QEMU, guest and driver, started and owned as one, with their run folder |
//! | [`debugger`] | a guest under a debugger: where it stops, and the files for lldb, gdb and VS Code |
//! | [`trace`] | traces of the card: filters, differences, counts, files for other programs |
//! | [`sound`] | songs, banks, offline renders, PCM |
//! | [`provision`] | QEMU, guest images, card and driver: found, built or downloaded |
//! | [`machine`] | the processes of card and QEMU, guest memory, and which of them ended first |
//! | [`document`] | TOML files that people write, with every mistake at its place |
//! | [`host`], [`event`], [`jobs`] | processes, signals, limits and files of the host; what the library says while it works; what runs side by side |
//!
//! [`testbed`] is the layer for tests of a driver of your own.

pub mod agent_test;
pub mod alloc_faults;
pub mod bench;
pub mod conformance;
pub mod debugger;
pub mod debugger_test;
pub mod dist;
pub mod document;
pub mod event;
pub mod host;
pub mod hostile;
pub mod image;
pub mod image_test;
pub mod jobs;
pub mod kills;
pub mod machine;
pub mod package;
pub mod page_test;
pub mod playback;
pub mod prompt;
pub mod provision;
mod provisioned_test;
pub mod qemu_limits;
pub mod report;
pub mod scenario;
pub mod sound;
pub mod steps;
pub mod testbed;
pub mod trace;
