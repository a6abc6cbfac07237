//! Kernel-streaming requests of clients, on a filter handle or a pin handle: properties, events, data intersections.

pub(crate) mod event;
pub(crate) mod intersection;
pub(crate) mod property;

use super::com::object::Com;
use super::pin::Pin;
use super::port::Port;

/// What a request is sent to.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A filter handle.
    Filter(&'a Com<Port>),
    /// A pin handle.
    Pin(&'a Pin),
}

impl Target<'_> {
    /// Returns the port whose filter this is, or the pin's.
    pub(crate) fn port(&self) -> &Com<Port> {
        match self {
            Self::Filter(port) => port,
            Self::Pin(pin) => pin.port(),
        }
    }
}
