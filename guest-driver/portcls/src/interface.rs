//! `IUnknown`, as kernel code has it, and the list of all interfaces.

use core::ffi::c_void;

use crate::guid::Guid;
use crate::status::NtStatus;
use crate::{dmus, power, resource, services, wave};

/// A method's place in a virtual table.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name in the C headers.
    pub name: &'static str,
    /// Its slot, counted from 0 over all base interfaces.
    pub slot: usize,
}

/// An interface's slots.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its name in the C headers.
    pub name: &'static str,
    /// Number of its slots, its bases' included.
    pub slots: usize,
    /// The methods that it adds to its base.
    pub methods: &'static [Method],
}

/// The slots that every PortCls interface begins with. Unlike user mode's, `QueryInterface` returns an `NTSTATUS`.
#[repr(C)]
#[derive(Debug)]
pub struct IUnknown {
    /// The virtual table.
    pub table: *const IUnknownTable,
}

/// The virtual table of [`IUnknown`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IUnknownTable {
    /// Hands out an interface with a reference of its own. An unknown one is answered with a failing status and a null
    /// pointer; callers may only test for failure.
    pub query_interface:
        unsafe extern "system" fn(this: *mut IUnknown, iid: *const Guid, out: *mut *mut c_void) -> NtStatus,
    /// Adds a reference; gives the new count.
    pub add_ref: unsafe extern "system" fn(this: *mut IUnknown) -> u32,
    /// Takes a reference away; gives the new count. At 0 the object is gone.
    pub release: unsafe extern "system" fn(this: *mut IUnknown) -> u32,
}

impl IUnknown {
    /// The three slots that every interface begins with.
    pub const INTERFACE: Interface = Interface {
        name: "IUnknown",
        slots: size_of::<IUnknownTable>() / size_of::<usize>(),
        methods: &[
            Method { name: "QueryInterface", slot: 0 },
            Method { name: "AddRef", slot: 1 },
            Method { name: "Release", slot: 2 },
        ],
    };
}

const _: () = {
    assert!(core::mem::offset_of!(IUnknownTable, query_interface) == 0);
    assert!(core::mem::offset_of!(IUnknownTable, add_ref) == size_of::<usize>());
    assert!(core::mem::offset_of!(IUnknownTable, release) == 2 * size_of::<usize>());
};

/// Every interface that this crate states.
pub const ALL: &[Interface] = &[
    IUnknown::INTERFACE,
    resource::IResourceList::INTERFACE,
    services::IServiceSink::INTERFACE,
    services::IServiceGroup::INTERFACE,
    services::IInterruptSync::INTERFACE,
    services::IDmaChannel::INTERFACE,
    services::IDmaChannelSlave::INTERFACE,
    services::IRegistryKey::INTERFACE,
    services::IPort::INTERFACE,
    services::IMiniport::INTERFACE,
    services::IPortClsVersion::INTERFACE,
    services::IPortEvents::INTERFACE,
    services::IUnregisterSubdevice::INTERFACE,
    services::IUnregisterPhysicalConnection::INTERFACE,
    services::IPinCount::INTERFACE,
    services::IMusicTechnology::INTERFACE,
    power::IAdapterPowerManagement::INTERFACE,
    power::IPowerNotify::INTERFACE,
    dmus::IPortDMus::INTERFACE,
    dmus::IMiniportDMus::INTERFACE,
    dmus::IMXF::INTERFACE,
    dmus::IAllocatorMXF::INTERFACE,
    dmus::IMasterClock::INTERFACE,
    dmus::ISynthSinkDMus::INTERFACE,
    wave::IMiniportTopology::INTERFACE,
    wave::IPortWaveCyclic::INTERFACE,
    wave::IMiniportWaveCyclic::INTERFACE,
    wave::IPortWavePci::INTERFACE,
    wave::IMiniportWavePci::INTERFACE,
    wave::IMiniportWaveRT::INTERFACE,
    power::IAdapterPnpManagement::INTERFACE,
    power::IMiniportPnpNotify::INTERFACE,
];
