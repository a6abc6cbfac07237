//! What a system does with a device beside using it: power, stop and start, surprise removal.

#![allow(unsafe_code, reason = "packets are structures shared with the kernel")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::{DevicePower, Failure};

use crate::conformance::removal;
use crate::harness::failure;
use crate::io::irp::send_synchronous;
use crate::nt::status::{STATUS_NOT_SUPPORTED, success};
use crate::nt::{
    DEVICE_OBJECT, IO_POWER, IRP_MJ_POWER, IRP_MN_CANCEL_STOP_DEVICE, IRP_MN_QUERY_POWER, IRP_MN_QUERY_STOP_DEVICE,
    IRP_MN_SET_POWER, IRP_MN_STOP_DEVICE, IRP_MN_SURPRISE_REMOVAL, NTSTATUS, POINTER_ALIGNED,
};
use crate::pci::registers::{self, Registers};
use crate::pnp::driver;

/// `DevicePowerState` of `POWER_STATE_TYPE` (wdm.h).
const DEVICE_POWER_STATE: u32 = 1;

fn device() -> Result<*mut DEVICE_OBJECT, Failure> {
    driver::device_object().ok_or_else(|| failure::request("no device is started"))
}

/// Sends a power request through the device's stack. Returns whether it was granted.
fn power(minor: u8, state: u32) -> Result<NTSTATUS, Failure> {
    let device = device()?;
    // SAFETY: a live stack; the parameters are a device power request's.
    let (status, _) = unsafe {
        send_synchronous(device, STATUS_NOT_SUPPORTED, |_, stack| {
            stack.MajorFunction = IRP_MJ_POWER;
            stack.MinorFunction = minor;
            stack.Parameters.Power = IO_POWER {
                SystemContext: POINTER_ALIGNED(0),
                Type: POINTER_ALIGNED(DEVICE_POWER_STATE),
                State: POINTER_ALIGNED(state),
                ShutdownType: POINTER_ALIGNED(0),
            };
        })
    };
    Ok(status)
}

/// Asks for a power state, then sets it.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) when no device is started,
/// [`FailureKind::Status`](guest_protocol::FailureKind::Status) if the driver refuses the state.
pub(super) fn set_power(state: DevicePower) -> Result<(), Failure> {
    let number = match state {
        DevicePower::D0 => 1,
        DevicePower::D1 => 2,
        DevicePower::D2 => 3,
        DevicePower::D3 => 4,
    };
    for minor in [IRP_MN_QUERY_POWER, IRP_MN_SET_POWER] {
        let status = power(minor, number)?;
        if !success(status) {
            return Err(failure::status(status, &format!("the driver does not go to {state:?}")));
        }
    }
    Ok(())
}

/// Asks whether the device may be stopped, stops it, and starts it again with other resources, which are the answer.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) when no device is started,
/// [`FailureKind::Status`](guest_protocol::FailureKind::Status) if the driver fails one of the requests.
pub(super) fn restart() -> Result<Vec<String>, Failure> {
    let status = driver::pnp(device()?, IRP_MN_QUERY_STOP_DEVICE, |_| {});
    if !success(status) {
        driver::pnp(device()?, IRP_MN_CANCEL_STOP_DEVICE, |_| {});
        return Err(failure::status(status, "the driver does not let its device be stopped"));
    }
    let status = driver::pnp(device()?, IRP_MN_STOP_DEVICE, |_| {});
    if !success(status) {
        return Err(failure::status(status, "the driver does not stop its device"));
    }
    match driver::start_again() {
        Some((status, resources)) if success(status) => Ok(resources),
        Some((status, _)) => Err(failure::status(status, "the driver does not start its device a second time")),
        None => Err(failure::request("no device is started")),
    }
}

/// Makes the registers read all ones, as a bus without the device does, and tells the driver that its device is gone.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) when no device is started,
/// [`FailureKind::Status`](guest_protocol::FailureKind::Status) if the driver fails `IRP_MN_SURPRISE_REMOVAL`.
pub(super) fn surprise_removal() -> Result<(), Failure> {
    let device = device()?;
    registers::set(Registers::AllOnes);
    // Another device on the line interrupts: a card that is gone must not claim that.
    removal::check_all_ones();
    let status = driver::pnp(device, IRP_MN_SURPRISE_REMOVAL, |_| {});
    if success(status) { Ok(()) } else { Err(failure::status(status, "the driver fails IRP_MN_SURPRISE_REMOVAL")) }
}
