//! vhost-user messages as they go over the socket, for front-ends that break the protocol.
//!
//! Source: QEMU, "Vhost-user Protocol", section "Header".

/// Length of a message's header in bytes.
pub const HEADER_BYTES: usize = 12;

/// Returns a message as it goes over the socket, without descriptors: request code, flags, length of the body, body.
#[must_use]
pub fn encode(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    for word in [code, flags, body.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}
