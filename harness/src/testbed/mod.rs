//! The test bed: card, QEMU, guest and driver, started and owned as one, with its run folder.

pub mod bug_check;
pub mod fake;
pub mod run_folder;
pub mod session;
pub mod stall;
pub mod synthesizer;
