//! The card itself and the thread that it runs on; it knows no transport.

pub mod activity;
mod bell;
pub mod device;
pub mod engine;
pub mod identity;
pub mod injection;
pub mod line_out;
pub mod status;
mod steps;

pub use device::{AdvanceError, Advanced, Card};
pub use engine::{Engine, Link, NoAnswer};
pub use identity::Identity;
pub use injection::InjectError;
