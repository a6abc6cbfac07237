//! Subdevices and connections that go while the device runs: `IUnregisterSubdevice`, `IUnregisterPhysicalConnection`.

#![allow(unsafe_code, reason = "names of filters are strings of the Windows ABI")]

use alloc::format;

use super::connections::{self, End};
use crate::contract::services;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID, UNICODE_STRING};
use crate::portcls::adapter;
use crate::portcls::com::object::Com;
use crate::portcls::port::Port;
use crate::portcls::services::call_faults;
use crate::rtl::string::text;

/// Unregisters a subdevice (`IUnregisterSubdevice::UnregisterSubdevice`).
pub(crate) fn subdevice(fdo: PVOID, port: PVOID) -> NTSTATUS {
    if call_faults::must_fail("IUnregisterSubdevice::UnregisterSubdevice") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: only a live port is taken for one.
    let found = unsafe { Com::<Port>::from_borrowed(port) }.filter(|_| adapter::unregister(fdo.cast(), port));
    let Some(port) = found else {
        violation(
            "IUnregisterSubdevice::UnregisterSubdevice",
            Violation::new(
                services::UNREGISTERED_SUBDEVICE,
                format!("{port:p} is no port that is registered with the device at {fdo:p}"),
                "pass the device object that StartDevice got, and the port of a subdevice that is registered, once",
            ),
        );
        return STATUS_INVALID_PARAMETER;
    };
    port.depart();
    STATUS_SUCCESS
}

/// Reads one end of a connection as a driver names it: a port, or the name of another adapter's filter.
///
/// # Safety
/// `place` is a `UNICODE_STRING` if it is external.
pub(crate) unsafe fn end((place, external, pin): (PVOID, bool, u32)) -> Option<End> {
    if place.is_null() {
        return None;
    }
    Some(if external {
        // SAFETY: by the caller.
        End::External(unsafe { text(&*place.cast::<UNICODE_STRING>()) }, pin)
    } else {
        End::Port(place as usize, pin)
    })
}

/// Removes a connection (the three methods of `IUnregisterPhysicalConnection`).
///
/// # Safety
/// As [`end`].
pub(crate) unsafe fn connection(fdo: PVOID, from: (PVOID, bool, u32), to: (PVOID, bool, u32)) -> NTSTATUS {
    // SAFETY: by the caller.
    let (Some(from), Some(to)) = (unsafe { end(from) }, unsafe { end(to) }) else { return STATUS_INVALID_PARAMETER };
    if connections::disconnect(fdo.cast(), &from, &to) { STATUS_SUCCESS } else { STATUS_NOT_FOUND }
}
