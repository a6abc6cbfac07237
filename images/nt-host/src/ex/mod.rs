//! The executive: pool, fast mutexes, interlocked lists, lookaside lists.

pub mod fast_mutex;
pub mod lists;
pub mod lookaside;
pub mod pool;
pub mod resource;
pub mod variables;

use crate::export::Export;

/// What the executive exports.
pub static EXPORTS: &[&[Export]] =
    &[pool::EXPORTS, resource::EXPORTS, fast_mutex::EXPORTS, lists::EXPORTS, lookaside::EXPORTS, variables::VARIABLES];
