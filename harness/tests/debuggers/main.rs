//! Debuggers at a guest: lldb, lldb-dap and gdb are driven through the files that a run writes, and a client of the stub plays what a
//! debugger does wrong.
//!
//! `cargo dmus test` provisions lldb and names it with `DMUS_LLDB`; the system's is taken otherwise. What a test needs and the machine
//! lacks is said, and the test skipped.

mod clients;
mod dap;
mod debug_information;
mod guest;
mod sessions;
mod violations;
