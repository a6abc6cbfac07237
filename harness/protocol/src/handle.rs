//! Handles of what a session has open.

use serde::{Deserialize, Serialize};

/// A handle of an open filter, an open pin or a pending property request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handle(pub u32);
