//! What a port, and requests to it, need of the adapter device that it belongs to.

#![allow(unsafe_code, reason = "buffers and out parameters of drivers are passed by address")]

use alloc::string::String;

use super::Port;
use crate::nt::status::STATUS_NOT_SUPPORTED;
use crate::nt::{DEVICE_DESCRIPTION, NTSTATUS, PVOID};
use crate::portcls::com::object::Com;
use crate::portcls::kernel::lock::Lock;

/// One end of a physical connection as a driver names it: a port, or (`true`) the name of another adapter's filter; and
/// the pin.
pub(crate) type ConnectionEnd = (PVOID, bool, u32);

/// An out parameter for an object, and the object that aggregates it.
pub(crate) type ObjectOut = (*mut PVOID, PVOID);

/// What an adapter, a miniport or its port registers with a device, or takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// `IAdapterPowerManagement` of an object.
    Power(PVOID),
    /// None any more.
    NoPower,
    /// `IAdapterPnpManagement` of an object.
    Pnp(PVOID),
    /// None any more.
    NoPnp,
}

/// The adapter's side. Devices and ports are named by their addresses.
pub(crate) trait AdapterServices: Sync {
    /// Reads a property of the physical device below `fdo`, as `IoGetDeviceProperty` does.
    ///
    /// # Safety
    /// The buffer has `room` bytes, and `length` can be written.
    unsafe fn device_property(&self, fdo: PVOID, property: u32, room: u32, buffer: PVOID, length: *mut u32)
    -> NTSTATUS;

    /// Makes a registry key of the device or of the subdevice's interface; `key` is the kind of key and the access.
    ///
    /// # Safety
    /// The out parameters can be written, and `attributes` is null or object attributes.
    #[allow(clippy::too_many_arguments, reason = "the parameters of IPort::NewRegistryKey")]
    unsafe fn registry_key(
        &self,
        fdo: PVOID,
        port: PVOID,
        out: ObjectOut,
        key: (u32, u32),
        attributes: PVOID,
        options: u32,
        disposition: *mut u32,
    ) -> NTSTATUS;

    /// Notes a port that has been initialised for `fdo` and is not registered yet.
    fn note_initialised(&self, fdo: PVOID, port: &Com<Port>);

    /// Returns whether the port is that of a registered subdevice.
    fn is_registered(&self, port: PVOID) -> bool;

    /// Returns what a pin of a port is connected to: the other pin, and the symbolic link of its filter.
    fn physical_connection(&self, port: PVOID, pin: u32) -> Option<(u32, String)>;

    /// Takes a subdevice from its device.
    fn unregister_subdevice(&self, fdo: PVOID, port: PVOID) -> NTSTATUS;

    /// Removes a physical connection.
    ///
    /// # Safety
    /// The place of an external end is a `UNICODE_STRING`.
    unsafe fn unregister_connection(&self, fdo: PVOID, from: ConnectionEnd, to: ConnectionEnd) -> NTSTATUS;

    /// Makes a DMA channel as a description asks.
    ///
    /// # Safety
    /// The out parameter can be written.
    unsafe fn dma_channel(&self, fdo: PVOID, out: ObjectOut, description: &mut DEVICE_DESCRIPTION) -> NTSTATUS;

    /// Registers power or plug and play management.
    ///
    /// # Safety
    /// An object is a live one.
    unsafe fn register(&self, fdo: PVOID, what: Registration) -> NTSTATUS;

    /// Returns the physical device below `fdo`.
    fn physical_device(&self, fdo: PVOID) -> PVOID;

    /// Adds a stream resource of the device whose PDO this is.
    ///
    /// # Safety
    /// The descriptor is null or one, and the handle can be written.
    unsafe fn add_stream_resource(&self, pdo: PVOID, set: PVOID, descriptor: PVOID, handle: *mut PVOID) -> NTSTATUS;

    /// Removes a stream resource.
    fn remove_stream_resource(&self, handle: PVOID) -> NTSTATUS;
}

/// The services where there is no adapter: ports of tests.
struct NoAdapter;

impl AdapterServices for NoAdapter {
    unsafe fn device_property(
        &self,
        _fdo: PVOID,
        _property: u32,
        _room: u32,
        _buffer: PVOID,
        _length: *mut u32,
    ) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    unsafe fn registry_key(
        &self,
        _fdo: PVOID,
        _port: PVOID,
        _out: ObjectOut,
        _key: (u32, u32),
        _attributes: PVOID,
        _options: u32,
        _disposition: *mut u32,
    ) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    fn note_initialised(&self, _fdo: PVOID, _port: &Com<Port>) {}

    fn is_registered(&self, _port: PVOID) -> bool {
        true
    }

    fn physical_connection(&self, _port: PVOID, _pin: u32) -> Option<(u32, String)> {
        None
    }

    fn unregister_subdevice(&self, _fdo: PVOID, _port: PVOID) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    unsafe fn unregister_connection(&self, _fdo: PVOID, _from: ConnectionEnd, _to: ConnectionEnd) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    unsafe fn dma_channel(&self, _fdo: PVOID, _out: ObjectOut, _description: &mut DEVICE_DESCRIPTION) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    unsafe fn register(&self, _fdo: PVOID, _what: Registration) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    fn physical_device(&self, _fdo: PVOID) -> PVOID {
        core::ptr::null_mut()
    }

    unsafe fn add_stream_resource(&self, _pdo: PVOID, _set: PVOID, _resource: PVOID, _out: *mut PVOID) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }

    fn remove_stream_resource(&self, _handle: PVOID) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }
}

static SERVICES: Lock<&'static dyn AdapterServices> = Lock::new(&NoAdapter);

/// Sets the adapter's side of all ports, before a driver is loaded.
#[cfg(target_os = "none")]
pub(crate) fn set_services(services: &'static dyn AdapterServices) {
    SERVICES.with(|slot| *slot = services);
}

/// Returns the adapter's side. At most at `DISPATCH_LEVEL`.
pub(crate) fn services() -> &'static dyn AdapterServices {
    SERVICES.with(|services| *services)
}
