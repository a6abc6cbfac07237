//! The executive: pool, locks that threads wait for, lists, rundown protection, timers of its own.

pub mod callback;
pub mod fast_mutex;
pub mod lists;
pub mod lookaside;
pub mod pool;
pub mod push_lock;
pub mod resource;
pub mod rundown;
pub mod timer;
pub mod variables;
mod wait_on_address;

use crate::contract::export::Export;

/// What the executive exports.
pub static EXPORTS: &[&[Export]] = &[
    callback::EXPORTS,
    pool::EXPORTS,
    resource::EXPORTS,
    fast_mutex::EXPORTS,
    lists::EXPORTS,
    lookaside::EXPORTS,
    push_lock::EXPORTS,
    rundown::EXPORTS,
    timer::EXPORTS,
    variables::VARIABLES,
];
