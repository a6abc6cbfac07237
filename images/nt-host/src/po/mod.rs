//! The power manager's services: settings that drivers watch, requests that keep the system awake, and the power
//! management framework. What is asked of devices' power states is in [`crate::io::power`].

pub mod framework;
pub mod request;
pub mod setting;

use alloc::string::String;
use alloc::vec::Vec;

use crate::contract::export::Export;

/// What the power manager exports.
pub static EXPORTS: &[&[Export]] = &[framework::EXPORTS, request::EXPORTS, setting::EXPORTS];

/// Returns what drivers hold of the power manager, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    let mut left = setting::outstanding();
    left.extend(request::outstanding());
    left.extend(framework::outstanding());
    left
}
