//! What the harness needs of the machine that it runs on: processes, signals, files, limits, and what runs leave behind.

pub mod control_group;
pub mod ended;
pub mod failure;
pub mod file_error;
pub mod hash;
pub mod interrupt;
pub mod invocation;
pub mod leftovers;
pub mod limits;
pub mod lossy;
pub mod process;
pub mod run_id;
pub mod stamp;
pub mod standstill;
mod threads;
mod together;
