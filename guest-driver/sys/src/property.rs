//! The property handler: makes slices of a request's pointers.
#![allow(unsafe_code, reason = "a function that PortCls calls with pointers")]

use dmus_miniport::irql::Passive;
use dmus_miniport::property::{CallerMemory, Property, Request, Target, handle};
use portcls::NtStatus;
use portcls::descriptor::PcPropertyRequest;
use portcls::wdm::Irp;

use crate::com::Object;
use crate::miniport::Miniport;
use crate::nt;
use crate::pending_request::PendingPropertyRequest;
use crate::stream::Stream;

/// The sender of the request, in whose process the handler runs.
struct Caller {
    /// It is a user-mode process: kernel addresses are not its own.
    is_user: bool,
}

impl CallerMemory for Caller {
    fn is_readable(&self) -> bool {
        nt::mm_copy_memory().is_some()
    }

    unsafe fn copy(&self, _: Passive, from: u64, to: *mut u8, bytes: usize) -> bool {
        let Some(end) = from.checked_add(bytes as u64) else { return false };
        if self.is_user && end > nt::user_end() {
            return false;
        }
        let Some(copy) = nt::mm_copy_memory() else { return false };
        let mut copied = 0;
        // SAFETY: the target is common-buffer memory of that length; the function reads any address safely, and says so
        // by its status.
        let status = unsafe { copy(to.cast(), from, bytes, nt::MM_COPY_MEMORY_VIRTUAL, &raw mut copied) };
        status.is_success() && copied == bytes
    }
}

/// Handles every property request.
pub(crate) unsafe extern "system" fn handler(request: *mut PcPropertyRequest) -> NtStatus {
    // SAFETY: PortCls gives a request that is the handler's during the call.
    let Some(request) = (unsafe { request.as_mut() }) else { return NtStatus::INVALID_PARAMETER };
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    // SAFETY: the item that matched, which is one of ours.
    let Some(item) = (unsafe { request.property_item.as_ref() }) else { return NtStatus::INVALID_PARAMETER };
    // SAFETY: our items' sets are constants.
    let Some(property) = Property::find(unsafe { &*item.set }, item.id) else { return NtStatus::NOT_FOUND };
    if request.major_target.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the major target is the miniport that the table is of.
    let miniport = unsafe { Object::<Miniport>::of(request.major_target) };
    let stream = if request.minor_target.is_null() {
        None
    } else {
        // SAFETY: the minor target is a stream of that miniport.
        let stream = unsafe { Object::<Stream>::of(request.minor_target) };
        Some(Target { id: stream.class.id(), time: stream.class.time().unwrap_or(0) })
    };
    // SAFETY: the request's IRP, or null.
    let is_user = unsafe { request.irp.cast::<Irp>().as_ref() }.is_some_and(|irp| irp.requestor_mode != 0);
    let client = PendingPropertyRequest::of(request);

    let instance: &[u8] = if request.instance.is_null() {
        &[]
    } else {
        // SAFETY: PortCls gives `instance_size` bytes.
        unsafe { core::slice::from_raw_parts(request.instance.cast(), request.instance_size as usize) }
    };
    let value = if request.value.is_null() {
        None
    } else {
        // SAFETY: PortCls gives `value_size` bytes.
        Some(unsafe { core::slice::from_raw_parts_mut(request.value.cast(), request.value_size as usize) })
    };
    handle(
        miniport.class.running().map(|running| &running.card),
        level,
        Some(client),
        Request {
            property,
            verb: request.verb,
            node: request.node,
            stream,
            instance,
            value,
            value_size: &mut request.value_size,
            memory: &Caller { is_user },
        },
    )
}
