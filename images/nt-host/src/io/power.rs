//! Power: states that drivers report, power requests that they ask for.
#![allow(unsafe_code, reason = "packets of the Windows ABI")]

use alloc::boxed::Box;

use super::device;
use super::irp::{self, IofCallDriver};
use crate::export_functions;
use crate::ke::work;
use crate::nt::status::*;
use crate::nt::*;

/// Called when a power request of a driver is over.
type RequestPowerComplete = unsafe extern "win64" fn(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    state: u32,
    context: PVOID,
    status: *mut IO_STATUS_BLOCK,
);

struct Request {
    device: *mut DEVICE_OBJECT,
    minor: u8,
    state: u32,
    routine: Option<RequestPowerComplete>,
    context: PVOID,
}

/// `POWER_STATE_TYPE`: a device's.
const DEVICE_POWER_STATE: u32 = 1;

unsafe extern "win64" fn send(parameter: PVOID) {
    // SAFETY: the request that was queued, once; the device is referenced until the end.
    unsafe {
        let request = Box::from_raw(parameter.cast::<Request>());
        let (status, information) = irp::send_synchronous(request.device, STATUS_NOT_SUPPORTED, |_, stack| {
            stack.MajorFunction = IRP_MJ_POWER;
            stack.MinorFunction = request.minor;
            stack.Parameters.Power = IO_POWER {
                SystemContext: POINTER_ALIGNED(0),
                Type: POINTER_ALIGNED(DEVICE_POWER_STATE),
                State: POINTER_ALIGNED(request.state),
                ShutdownType: POINTER_ALIGNED(0),
            };
        });
        let mut result = IO_STATUS_BLOCK { Status: status, StatusHigh: 0, Information: information };
        if let Some(routine) = request.routine {
            routine(request.device, request.minor, request.state, request.context, &raw mut result);
        }
        device::release(request.device);
    }
}

export_functions! {
    /// Power.
    pub static EXPORTS;

    /// Asks the power manager for a device power request, which a worker thread sends to the top of the stack.
    [DISPATCH] fn PoRequestPowerIrp(pdo: *mut DEVICE_OBJECT, minor: u8, state: u32, routine: Option<RequestPowerComplete>,
        context: PVOID, irp: *mut *mut IRP) -> NTSTATUS {
        if !matches!(minor, IRP_MN_SET_POWER | IRP_MN_QUERY_POWER) {
            // Wake signals never come on this bus.
            return if minor == IRP_MN_WAIT_WAKE { STATUS_NOT_SUPPORTED } else { STATUS_INVALID_PARAMETER_2 };
        }
        device::reference(pdo);
        if !irp.is_null() {
            irp.write(core::ptr::null_mut());
        }
        work::queue(send, Box::into_raw(Box::new(Request { device: pdo, minor, state, routine, context })).cast());
        STATUS_PENDING
    }

    /// Reports a state that a device has reached: gives the state before, which this system does not keep apart.
    [DISPATCH] fn PoSetPowerState(_device: *mut DEVICE_OBJECT, _kind: i32, state: u32) -> u32 { state }

    /// Registers for idle detection: this system never finds a device idle, as a null pointer says.
    [DISPATCH] fn PoRegisterDeviceForIdleDetection(_device: *mut DEVICE_OBJECT, _conservation: u32, _performance: u32, _state: i32) -> *mut u32 {
        core::ptr::null_mut()
    }

    /// Reports activity: this system never sleeps.
    [DISPATCH] fn PoSetSystemState(_flags: u32) {}

    /// Passes a power packet on.
    [DISPATCH] fn PoCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS { IofCallDriver(device, irp) }

    /// Lets the next power packet come, which Windows since Vista does by itself.
    [DISPATCH] fn PoStartNextPowerIrp(_irp: *mut IRP) {}
}
