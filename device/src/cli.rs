//! The command line of `vhost-device-dmus`: its arguments, and its commands.

pub mod args;
pub mod bank;
pub mod commands;
pub mod confine;
pub mod exit;
pub mod offline;
pub mod replay;
pub mod serve;
pub mod signal_exit;
pub mod stems;
pub mod whole_file;
