//! What the harness needs of the machine that it runs on: its limits, and what runs leave behind on it.

pub mod hash;
pub mod leftovers;
pub mod limits;
