//! What arrives on the line to a guest.

use guest_protocol::ToHost;

/// An arrival on the line.
pub(super) enum Arrival {
    /// A message of the protocol.
    Message(ToHost),
    /// Console text, such as the firmware's.
    Text(Vec<u8>),
    /// The guest's system, or its agent, has started anew. Only of a reliable line.
    Restarted,
    /// The end of the line.
    End,
}
