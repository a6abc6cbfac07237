//! The adapter's side of its ports.

#![allow(unsafe_code, reason = "buffers and out parameters of drivers are passed by address")]

use alloc::string::String;

use super::{
    connections, device_property, dma_channel, is_registered, note_initialised, physical, pnp, power, registry_key,
    stream_resource, unregister,
};
use crate::nt::{DEVICE_DESCRIPTION, NTSTATUS, PVOID};
use crate::portcls::com::object::Com;
use crate::portcls::port::Port;
use crate::portcls::port::adapter::{AdapterServices, ConnectionEnd, ObjectOut, Registration};

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
        connections::of_pin(port, pin)
    }

    fn unregister_subdevice(&self, fdo: PVOID, port: PVOID) -> NTSTATUS {
        unregister::subdevice(fdo, port)
    }

    unsafe fn unregister_connection(&self, fdo: PVOID, from: ConnectionEnd, to: ConnectionEnd) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { unregister::connection(fdo, from, to) }
    }

    unsafe fn dma_channel(&self, fdo: PVOID, out: ObjectOut, description: &mut DEVICE_DESCRIPTION) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { dma_channel::create(fdo.cast(), out, description) }
    }

    unsafe fn register(&self, fdo: PVOID, what: Registration) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe {
            match what {
                Registration::Power(object) => power::PcRegisterAdapterPowerManagement(object, fdo),
                Registration::NoPower => power::PcUnregisterAdapterPowerManagement(fdo.cast()),
                Registration::Pnp(object) => pnp::PcRegisterAdapterPnpManagement(object, fdo.cast()),
                Registration::NoPnp => pnp::PcUnregisterAdapterPnpManagement(fdo.cast()),
            }
        }
    }

    fn physical_device(&self, fdo: PVOID) -> PVOID {
        physical(fdo.cast()).map_or(core::ptr::null_mut(), <*mut _>::cast)
    }

    unsafe fn add_stream_resource(&self, pdo: PVOID, set: PVOID, descriptor: PVOID, handle: *mut PVOID) -> NTSTATUS {
        // SAFETY: by the caller.
        unsafe { stream_resource::add(pdo.cast(), set, descriptor.cast(), handle) }
    }

    fn remove_stream_resource(&self, handle: PVOID) -> NTSTATUS {
        stream_resource::remove(handle)
    }
}
