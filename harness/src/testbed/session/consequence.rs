//! Errors that may only be the consequence of a process's end, or of a limit of the host.

use std::fmt::Display;

use super::error::SessionError;
use crate::host::failure::Diagnosed;
use crate::host::limits::LimitError;

/// An error that a session can trace to its cause.
pub trait Consequence: Diagnosed + Display + From<SessionError> + From<LimitError> {
    /// Returns the error of the conversation with the guest, where that is what failed.
    fn session_error(&self) -> Option<&SessionError>;

    /// Tells whether the end of a process may explain it that the session has not reported itself.
    fn may_follow_a_death(&self) -> bool;
}
