//! What a session sees of the line that it is served on.

use guest_protocol::Event;

/// What a session sees of the line while it serves a request.
pub trait Outlet {
    /// Serves the line for so many milliseconds at most. Returns whether the harness still waits for the answer.
    fn pump(&mut self, milliseconds: u32) -> bool;
    /// Sends an event.
    fn event(&mut self, event: Event);
}
