//! What the documentation demands of a driver, as numbered rules and checks, and what turns a violation into a bug
//! check.

pub mod checks;
#[cfg(target_os = "none")]
pub mod delay;
pub mod delays;
#[cfg(any(test, target_os = "none"))]
pub mod export;
#[cfg(any(test, target_os = "none"))]
pub(crate) mod final_status;
pub mod kernel;
#[cfg(any(test, target_os = "none"))]
pub mod lacks;
pub mod lock_graph;
pub mod midi;
#[cfg(any(test, target_os = "none"))]
pub mod note;
pub mod ports;
pub mod rules;
pub mod services;
#[cfg(target_os = "none")]
pub mod verifier;
pub mod violation;
pub mod watch;
