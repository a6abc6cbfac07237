//! The command line of `vhost-device-dmus`: what it parses, and the commands that need no machine.

pub mod args;
pub mod bank;
pub mod exit;
pub mod offline;
pub mod signal_exit;
pub mod stems;
pub mod whole_file;
