//! The function's PCI configuration space, read through the bus driver's `BUS_INTERFACE_STANDARD`.
#![allow(unsafe_code, reason = "an IRP is made and sent by hand")]

use core::ptr;

use dmus_miniport::irql::Passive;
use dmus_miniport::pci::ConfigSpace;
use portcls::wdm::{BusInterfaceStandard, IoStatusBlock, KEvent};
use portcls::{NtStatus, Opaque};

use crate::nt;

/// A referenced interface of the bus driver.
pub(crate) struct BusInterface(BusInterfaceStandard);

impl BusInterface {
    /// Queries the device's stack for the interface.
    pub(crate) fn query(_: Passive, physical_device: *mut Opaque) -> Result<Self, NtStatus> {
        // SAFETY: all zero is a value: no pointers, no functions.
        let mut interface: BusInterfaceStandard = unsafe { core::mem::zeroed() };
        let mut event = KEvent::uninitialized();
        let mut io_status = IoStatusBlock { status: NtStatus::SUCCESS, information: 0 };
        // SAFETY: room for an event, which stays where it is until the request is done.
        unsafe { nt::KeInitializeEvent(&raw mut event, nt::NOTIFICATION_EVENT, 0) };
        // SAFETY: the physical device object is the caller's; the reference is given back below.
        let target = unsafe { nt::IoGetAttachedDeviceReference(physical_device) };
        // SAFETY: event and status block outlive the request, which is waited for.
        let irp = unsafe {
            nt::IoBuildSynchronousFsdRequest(
                nt::IRP_MJ_PNP,
                target,
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                &raw mut event,
                &raw mut io_status,
            )
        };
        let status = if irp.is_null() {
            NtStatus::INSUFFICIENT_RESOURCES
        } else {
            // SAFETY: a fresh IRP is ours until it is sent. The next stack location is the one below the current.
            unsafe {
                let next = (*irp).current_stack_location.sub(1);
                (*next).minor_function = nt::IRP_MN_QUERY_INTERFACE;
                (*next).interface_type = &raw const nt::GUID_BUS_INTERFACE_STANDARD;
                (*next).size = size_of::<BusInterfaceStandard>() as u16;
                (*next).version = 1;
                (*next).interface = (&raw mut interface).cast();
                (*next).interface_specific_data = ptr::null_mut();
                // A PnP request begins as not supported, which stays when no driver of the stack handles it.
                (*irp).io_status.status = NtStatus::NOT_SUPPORTED;
            }
            // SAFETY: a complete request to a device that is referenced.
            let sent = unsafe { nt::IofCallDriver(target, irp) };
            if sent == NtStatus::PENDING {
                // SAFETY: at PASSIVE_LEVEL, on an event that the request sets.
                _ = unsafe { nt::KeWaitForSingleObject((&raw mut event).cast(), 0, 0, 0, ptr::null()) };
                // SAFETY: the request is done; the system has written the block.
                unsafe { (&raw const io_status.status).read_volatile() }
            } else {
                sent
            }
        };
        // SAFETY: referenced above.
        unsafe { nt::ObfDereferenceObject(target) };
        if !status.is_success() {
            return Err(status);
        }
        if interface.get_bus_data.is_none() {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        // The bus driver has referenced it for us.
        Ok(Self(interface))
    }
}

impl ConfigSpace for BusInterface {
    fn read32(&mut self, offset: u8) -> u32 {
        // A failed read returns all ones, like an absent function.
        let mut value = u32::MAX;
        if let Some(get_bus_data) = self.0.get_bus_data {
            // SAFETY: the interface is referenced, and the buffer holds four bytes.
            unsafe {
                get_bus_data(
                    self.0.context,
                    nt::PCI_WHICHSPACE_CONFIG,
                    (&raw mut value).cast(),
                    offset.into(),
                    size_of::<u32>() as u32,
                );
            }
        }
        value
    }
}

impl Drop for BusInterface {
    fn drop(&mut self) {
        if let Some(dereference) = self.0.interface_dereference {
            // SAFETY: the reference that `query` was given.
            unsafe { dereference(self.0.context) };
        }
    }
}
