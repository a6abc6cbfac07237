//! Device timers: a routine about once a second, at `DISPATCH_LEVEL`.
#![allow(unsafe_code, reason = "timers of the Windows ABI")]

use alloc::boxed::Box;

use crate::contract::verifier;
use crate::export_functions;
use crate::ke::{dpc, timer};
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, IO_TIMER_ROUTINE, KDPC, KTIMER, NTSTATUS, PVOID, object_type};

const PERIOD_MS: u32 = 1000;

struct DeviceTimer {
    timer: KTIMER,
    dpc: KDPC,
    device: *mut DEVICE_OBJECT,
    routine: IO_TIMER_ROUTINE,
    context: PVOID,
}

unsafe extern "win64" fn tick(_dpc: *mut KDPC, context: PVOID, _a: PVOID, _b: PVOID) {
    let timer = context.cast::<DeviceTimer>();
    // SAFETY: the device's timer, which lives as long as the guest.
    unsafe { ((*timer).routine)((*timer).device, (*timer).context) };
}

unsafe fn of(function: &'static str, device: *mut DEVICE_OBJECT) -> *mut DeviceTimer {
    // SAFETY: an export's argument.
    let timer = unsafe { (*device).Timer }.cast::<DeviceTimer>();
    if timer.is_null() {
        verifier::stop(
            0xc4,
            function,
            [device as u64, 0, 0, 0],
            format_args!("the device object at {device:p} has no timer: call IoInitializeTimer first"),
        );
    }
    timer
}

export_functions! {
    /// Device timers.
    pub static EXPORTS;

    /// Gives a device a timer.
    [PASSIVE] fn IoInitializeTimer(device: *mut DEVICE_OBJECT, routine: Option<IO_TIMER_ROUTINE>, context: PVOID) -> NTSTATUS {
        let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
        {
            let own = Box::into_raw(Box::new(DeviceTimer {
                timer: core::mem::zeroed(), dpc: core::mem::zeroed(), device, routine, context,
            }));
            timer::initialize(&raw mut (*own).timer, object_type::NOTIFICATION_TIMER);
            dpc::KeInitializeDpc(&raw mut (*own).dpc, Some(tick), own.cast());
            (*device).Timer = own.cast();
        }
        STATUS_SUCCESS
    }

    /// Starts it.
    [DISPATCH] fn IoStartTimer(device: *mut DEVICE_OBJECT) {
        {
            let own = of("IoStartTimer", device);
            timer::set(&raw mut (*own).timer, -i64::from(PERIOD_MS) * 10_000, PERIOD_MS, &raw mut (*own).dpc);
        }
    }

    /// Stops it.
    [DISPATCH] fn IoStopTimer(device: *mut DEVICE_OBJECT) {
        {
            let own = of("IoStopTimer", device);
            timer::cancel(&raw mut (*own).timer);
            dpc::KeRemoveQueueDpc(&raw mut (*own).dpc);
        }
    }
}
