//! The guest agent for Windows, without Windows: what it sends to a driver, and how it answers the harness.
//!
//! | module | what |
//! |---|---|
//! | [`layout`] | the structures of kernel streaming, for both widths |
//! | [`guid`] | the GUIDs of kernel streaming |
//! | [`records`] | the records of music pins |
//! | [`system`] | what a session needs of the system that it runs on |
//! | [`outlet`] | what a session sees of its line |
//! | [`session`] | requests of the harness, answered with that |
//! | [`serve`] | the session on a reliable line |
//!
//! The program (`main.rs`) adds the system: Windows. Tests add one of their own.

#![no_std]

extern crate alloc;

pub mod guid;
pub mod layout;
pub mod outlet;
pub mod records;
pub mod serve;
pub mod session;
pub mod system;
