//! PortCls' dispatch of IRPs: plug and play, power, and kernel-streaming property requests.

#![allow(unsafe_code, reason = "IRPs are structures shared with the kernel")]

use core::ffi::c_void;

use super::{pnp, power};
use crate::exports::{
    IofCallDriver, KeInitializeEvent, KeSetEvent, KeWaitForSingleObject, PoCallDriver, PoStartNextPowerIrp,
};
use crate::ks::layout::KSEVENTDATA;
use crate::nt::status::{
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_MORE_PROCESSING_REQUIRED, STATUS_NO_SUCH_DEVICE, STATUS_PENDING, STATUS_SUCCESS, success,
};
use crate::nt::{
    DEVICE_OBJECT, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_PNP, IRP_MJ_POWER,
    IRP_MJ_SYSTEM_CONTROL, IRP_MN_CANCEL_STOP_DEVICE, IRP_MN_QUERY_CAPABILITIES, IRP_MN_QUERY_POWER,
    IRP_MN_QUERY_STOP_DEVICE, IRP_MN_REMOVE_DEVICE, IRP_MN_SET_POWER, IRP_MN_START_DEVICE, IRP_MN_STOP_DEVICE, KEVENT,
    NTSTATUS, PVOID, SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS,
};
use crate::portcls::adapter;
use crate::portcls::com::abi::{KsIdentifier, event_type, property_type};
use crate::portcls::kernel::irp::{complete, complete_with, stack_location};
use crate::portcls::request::property::{self, Request, Sent};
use crate::portcls::request::{Target, event};

/// `IOCTL_KS_PROPERTY` (ks.h).
pub(crate) const IOCTL_KS_PROPERTY: u32 = 0x002F_0003;

/// `IOCTL_KS_ENABLE_EVENT` and `IOCTL_KS_DISABLE_EVENT` (ks.h).
pub(crate) const IOCTL_KS_ENABLE_EVENT: u32 = 0x002F_0007;
/// `IOCTL_KS_DISABLE_EVENT` (ks.h).
pub(crate) const IOCTL_KS_DISABLE_EVENT: u32 = 0x002F_000B;

/// Bytes of `KSPROPERTY`, and of `KSNODEPROPERTY`.
const KSPROPERTY_BYTES: usize = size_of::<KsIdentifier>();
const KSNODEPROPERTY_BYTES: usize = KSPROPERTY_BYTES + 8;

/// Sends an IRP to the device below and waits until it comes back, not completed.
///
/// # Safety
/// The IRP is the caller's, at `PASSIVE_LEVEL`.
pub(crate) unsafe fn forward_and_wait(fdo: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    let Some(lower) = adapter::lower(fdo) else { return STATUS_NO_SUCH_DEVICE };
    // SAFETY: by the caller; the event lives until the completion routine has set it, which is waited for.
    unsafe {
        let mut event: KEVENT = core::mem::zeroed();
        KeInitializeEvent(&raw mut event, 0, 0);
        let current = (*irp).Tail.CurrentStackLocation;
        let next = current.sub(1);
        next.write(current.read());
        (*next).Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        (*next).CompletionRoutine = Some(forwarded);
        (*next).Context = (&raw mut event).cast();
        if IofCallDriver(lower, irp) == STATUS_PENDING {
            KeWaitForSingleObject((&raw mut event).cast(), 0, 0, 0, core::ptr::null_mut());
        }
        (*irp).IoStatus.Status
    }
}

unsafe extern "win64" fn forwarded(_device: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID) -> NTSTATUS {
    // SAFETY: the context is the event of `forward_and_wait`, which waits if the IRP was pending.
    unsafe {
        if (*irp).PendingReturned != 0 {
            KeSetEvent(context.cast(), 0, 0);
        }
    }
    STATUS_MORE_PROCESSING_REQUIRED
}

/// Hands an IRP on to the device below.
unsafe fn pass_down(fdo: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: by the caller the IRP is ours.
    unsafe {
        let Some(lower) = adapter::lower(fdo) else { return complete(irp, STATUS_NO_SUCH_DEVICE) };
        (*irp).CurrentLocation += 1;
        (*irp).Tail.CurrentStackLocation = (*irp).Tail.CurrentStackLocation.add(1);
        IofCallDriver(lower, irp)
    }
}

/// Does what PortCls does with an IRP.
///
/// # Safety
/// The IRP is the caller's, and is given up by the call.
pub(crate) unsafe fn dispatch(fdo: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe {
        let location = stack_location(irp);
        match location.MajorFunction {
            IRP_MJ_PNP => plug_and_play(fdo, irp, location.MinorFunction),
            IRP_MJ_POWER => power(fdo, irp, location.MinorFunction),
            IRP_MJ_SYSTEM_CONTROL => pass_down(fdo, irp),
            IRP_MJ_DEVICE_CONTROL => device_control(irp),
            // Handles are the agent's: what arrives here is bound to one already.
            IRP_MJ_CREATE | IRP_MJ_CLEANUP | IRP_MJ_CLOSE => complete(irp, STATUS_SUCCESS),
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

/// Handles a power request: on the way down the driver before the bus, on the way up after it.
unsafe fn power(fdo: *mut DEVICE_OBJECT, irp: *mut IRP, minor: u8) -> NTSTATUS {
    /// `DevicePowerState` of `POWER_STATE_TYPE`.
    const DEVICE_STATE: u32 = 1;
    // SAFETY: by the caller the IRP is ours.
    unsafe {
        PoStartNextPowerIrp(irp);
        let parameters = stack_location(irp).Parameters.Power;
        let (of_device, state) = (parameters.Type.0 == DEVICE_STATE, parameters.State.0);
        match minor {
            IRP_MN_SET_POWER if of_device && power::is_up(state) => {
                let status = forward_and_wait(fdo, irp);
                power::up(fdo);
                return complete(irp, status);
            }
            IRP_MN_SET_POWER if of_device => power::down(fdo, state),
            IRP_MN_QUERY_POWER if of_device => {
                let status = power::query(fdo, state);
                if !success(status) {
                    return complete(irp, status);
                }
            }
            _ => {}
        }
        let Some(lower) = adapter::lower(fdo) else { return complete(irp, STATUS_NO_SUCH_DEVICE) };
        (*irp).CurrentLocation += 1;
        (*irp).Tail.CurrentStackLocation = (*irp).Tail.CurrentStackLocation.add(1);
        PoCallDriver(lower, irp)
    }
}

unsafe fn plug_and_play(fdo: *mut DEVICE_OBJECT, irp: *mut IRP, minor: u8) -> NTSTATUS {
    // SAFETY: by the caller the IRP is ours.
    unsafe {
        match minor {
            IRP_MN_START_DEVICE => {
                let mut status = forward_and_wait(fdo, irp);
                if success(status) {
                    status = adapter::start(fdo, irp);
                }
                complete(irp, status)
            }
            IRP_MN_QUERY_CAPABILITIES => {
                let mut status = forward_and_wait(fdo, irp);
                if success(status) {
                    let capabilities = stack_location(irp).Parameters.DeviceCapabilities.Capabilities;
                    status = power::query_capabilities(fdo, capabilities);
                }
                complete(irp, status)
            }
            IRP_MN_QUERY_STOP_DEVICE => {
                pnp::query_stop(fdo);
                pass_down(fdo, irp)
            }
            IRP_MN_CANCEL_STOP_DEVICE => {
                pnp::cancel_stop(fdo);
                pass_down(fdo, irp)
            }
            IRP_MN_STOP_DEVICE => {
                pnp::stop(fdo);
                adapter::release_subdevices(fdo);
                property::expect_none();
                (*irp).IoStatus.Status = STATUS_SUCCESS;
                pass_down(fdo, irp)
            }
            IRP_MN_REMOVE_DEVICE => {
                adapter::release_subdevices(fdo);
                property::expect_none();
                (*irp).IoStatus.Status = STATUS_SUCCESS;
                let status = pass_down(fdo, irp);
                adapter::remove(fdo);
                status
            }
            _ => pass_down(fdo, irp),
        }
    }
}

/// Handles a request of kernel streaming on a handle: the file object's `FsContext` is the [`Target`].
unsafe fn device_control(irp: *mut IRP) -> NTSTATUS {
    // SAFETY: by the caller the IRP is ours; METHOD_NEITHER passes the client's own pointers, and the only client is
    // the agent, in this address space.
    unsafe {
        let location = stack_location(irp);
        let parameters = location.Parameters.DeviceIoControl;
        if location.FileObject.is_null() {
            return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
        }
        let Some(target) = (*location.FileObject).FsContext.cast::<Target<'_>>().as_ref() else {
            return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
        };
        let input = bytes(parameters.Type3InputBuffer, parameters.InputBufferLength.0);
        let room = parameters.OutputBufferLength.0;
        match parameters.IoControlCode.0 {
            IOCTL_KS_PROPERTY => property(irp, target, input, room),
            IOCTL_KS_ENABLE_EVENT => complete(irp, enable_event(irp, target, input, room)),
            IOCTL_KS_DISABLE_EVENT => {
                let whole = input.is_empty() || input.len() >= size_of::<KSEVENTDATA>();
                let client = if input.is_empty() { core::ptr::null() } else { input.as_ptr().cast() };
                let status = if whole { event::disable(*target, client) } else { STATUS_INVALID_BUFFER_SIZE };
                complete(irp, status)
            }
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

unsafe fn property(irp: *mut IRP, target: &Target<'_>, input: &[u8], room: u32) -> NTSTATUS {
    // SAFETY: by the caller; the client's buffer has as much room as it says.
    unsafe {
        let Some((request, instance)) = parse(input) else { return complete(irp, STATUS_INVALID_PARAMETER) };
        let value: &mut [u8] = match room {
            0 => &mut [],
            length => core::slice::from_raw_parts_mut((*irp).UserBuffer.cast(), length as usize),
        };
        match property::send(*target, &Request { instance, ..request }, value, irp.cast::<c_void>()) {
            Sent::Answered((status, length)) => complete_with(irp, status, length),
            Sent::Pending => STATUS_PENDING,
        }
    }
}

/// Handles `KSEVENT` or `KSE_NODE`, with the client's `KSEVENTDATA` where the output would be. Its headers are those
/// of properties.
unsafe fn enable_event(irp: *mut IRP, target: &Target<'_>, input: &[u8], room: u32) -> NTSTATUS {
    let Some((request, _)) = parse(input) else { return STATUS_INVALID_PARAMETER };
    let Request { node, set, id, verb, .. } = request;
    let asks = verb == event_type::BASIC_SUPPORT;
    if !asks && (room as usize) < size_of::<KSEVENTDATA>() {
        return STATUS_BUFFER_TOO_SMALL;
    }
    // SAFETY: by the caller; the client's data is in its buffer as long as the event is enabled.
    unsafe {
        let client = (*irp).UserBuffer.cast();
        event::request(*target, &event::Request { node, set, id, verb }, client, irp.cast::<c_void>())
    }
}

unsafe fn bytes<'a>(pointer: PVOID, length: u32) -> &'a [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: by the caller.
    unsafe { core::slice::from_raw_parts(pointer.cast(), length as usize) }
}

/// Parses `KSPROPERTY` or `KSNODEPROPERTY`, and what follows. Which of the two it is, the topology bit alone says.
fn parse(input: &[u8]) -> Option<(Request<'static>, &[u8])> {
    let header = input.first_chunk::<KSPROPERTY_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mut set = [0; 16];
    set.copy_from_slice(&header[..16]);
    let flags = word(20);
    let node = if flags & property_type::TOPOLOGY != 0 {
        let node = input.get(KSPROPERTY_BYTES..KSNODEPROPERTY_BYTES)?;
        Some(u32::from_le_bytes([node[0], node[1], node[2], node[3]]))
    } else {
        None
    };
    let rest = &input[if node.is_some() { KSNODEPROPERTY_BYTES } else { KSPROPERTY_BYTES }..];
    let request = Request {
        node,
        set: crate::portcls::com::guids::from_bytes(set),
        id: word(16),
        verb: flags & !property_type::TOPOLOGY,
        instance: &[],
    };
    Some((request, rest))
}
