//! The adapter's side of its ports.

#![allow(unsafe_code, reason = "buffers and out parameters of drivers are passed by address")]

use alloc::string::String;

use super::{device_property, is_registered, note_initialised, physical_connection, registry_key, unregister};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::object::Com;
use crate::portcls::port::Port;
use crate::portcls::port::adapter::{AdapterServices, ConnectionEnd, ObjectOut};

/// Serves every port by the device that it was initialised with.
pub(crate) struct Services;

impl AdapterServices for Services {
    unsafe fn device_property(
        &self,
        fdo: PVOID,
        property: u32,
        room: u32,
        buffer: PVOID,
        length: *mut u32,
    ) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { device_property(fdo, property, room, buffer, length) }
    }

    unsafe fn registry_key(
        &self,
        fdo: PVOID,
        port: PVOID,
        out: ObjectOut,
        key: (u32, u32),
        attributes: PVOID,
        options: u32,
        disposition: *mut u32,
    ) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { registry_key::of_port(fdo, port, out, key, attributes, options, disposition) }
    }

    fn note_initialised(&self, fdo: PVOID, port: &Com<Port>) {
        note_initialised(fdo.cast(), port);
    }

    fn is_registered(&self, port: PVOID) -> bool {
        is_registered(port)
    }

    fn physical_connection(&self, port: PVOID, pin: u32) -> Option<(u32, String)> {
        physical_connection(port, pin)
    }

    fn unregister_subdevice(&self, fdo: PVOID, port: PVOID) -> NTSTATUS {
        unregister::subdevice(fdo, port)
    }

    unsafe fn unregister_connection(&self, fdo: PVOID, from: ConnectionEnd, to: ConnectionEnd) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { unregister::connection(fdo, from, to) }
    }
}
