//! What goes with a packet: priority hints, the top-level packet of a thread, access of control codes; packets that are
//! built and forwarded.
#![allow(unsafe_code, reason = "packets of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ptr::null_mut;

use super::irp::{self, IoAllocateIrp, IofCallDriver};
use crate::arch::uninterrupted::Uninterrupted;
use crate::export_functions;
use crate::ke::{event, thread, wait};
use crate::nt::status::*;
use crate::nt::*;

/// Where a packet's flags have its priority hint, plus one; 0 for none (`wdm.h` leaves these bits to the system).
const PRIORITY_SHIFT: u32 = 17;
/// The bits of the hint.
const PRIORITY_MASK: u32 = 7 << PRIORITY_SHIFT;
/// `IoPriorityNormal`.
const NORMAL: i32 = 2;
/// `MaxIoPriorityTypes`.
const PRIORITIES: i32 = 5;
/// The WDM version of Windows 10 and later: `IoIsWdmVersionAvailable(6, 0)` is the last that the documentation counts.
const WDM_VERSION: (u8, u8) = (6, 0);
/// `FSRTL_MAX_TOP_LEVEL_IRP_FLAG`: values up to here are no packets.
const TOP_LEVEL_FLAG_MAX: u64 = 0xffff;
/// `FILE_READ_ACCESS | FILE_WRITE_ACCESS`.
const ACCESS_MASK: u32 = 3;

/// By thread, its top-level packet.
static TOP_LEVEL: Uninterrupted<BTreeMap<u64, u64>> = Uninterrupted::new(BTreeMap::new());

unsafe extern "win64" fn forwarded(_device: *mut DEVICE_OBJECT, irp: *mut IRP, done: PVOID) -> NTSTATUS {
    // SAFETY: the event of `IoForwardIrpSynchronously`, which waits for it where the packet was pending.
    unsafe {
        if (*irp).PendingReturned != 0 {
            wait::signal(done.cast(), 1);
        }
    }
    STATUS_MORE_PROCESSING_REQUIRED
}

export_functions! {
    /// What goes with a packet.
    pub static EXPORTS;

    /// Returns the priority hint of a packet.
    [ANY] fn IoGetIoPriorityHint(irp: *const IRP) -> i32 {
        match (((*irp).Flags & PRIORITY_MASK) >> PRIORITY_SHIFT) as i32 {
            0 => NORMAL,
            hint => hint - 1,
        }
    }

    /// Sets the priority hint of a packet.
    [ANY] fn IoSetIoPriorityHint(irp: *mut IRP, hint: i32) -> NTSTATUS {
        // IoPriorityCritical is the system's own.
        if !(0..PRIORITIES - 1).contains(&hint) { return STATUS_INVALID_PARAMETER }
        (*irp).Flags = (*irp).Flags & !PRIORITY_MASK | ((hint as u32 + 1) << PRIORITY_SHIFT);
        STATUS_SUCCESS
    }

    /// Returns the top-level packet of the running thread.
    [ANY] fn IoGetTopLevelIrp() -> *mut IRP {
        TOP_LEVEL.with(|all| all.get(&(thread::KeGetCurrentThread() as u64)).copied().unwrap_or(0)) as *mut IRP
    }

    /// Sets the top-level packet of the running thread, or a small number that stands for one.
    [ANY] fn IoSetTopLevelIrp(irp: *mut IRP) {
        let me = thread::KeGetCurrentThread() as u64;
        if irp as u64 > TOP_LEVEL_FLAG_MAX { irp::check("IoSetTopLevelIrp", irp) }
        TOP_LEVEL.with(|all| if irp.is_null() { all.remove(&me) } else { all.insert(me, irp as u64) });
    }

    /// Returns whether the system has a version of WDM.
    [ANY] fn IoIsWdmVersionAvailable(major: u8, minor: u8) -> u8 { u8::from((major, minor) <= WDM_VERSION) }

    /// Checks that the sender of a control packet opened the device with an access.
    [PASSIVE] fn IoValidateDeviceIoControlAccess(packet: *mut IRP, required: u32) -> NTSTATUS {
        let stack = irp::current_stack(packet);
        if !matches!((*stack).MajorFunction, IRP_MJ_DEVICE_CONTROL) || required & !ACCESS_MASK != 0 || required == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        let Some(file) = (*stack).FileObject.as_ref() else { return STATUS_SUCCESS };
        let granted = u32::from(file.ReadAccess != 0) | u32::from(file.WriteAccess != 0) << 1;
        if (*packet).RequestorMode == KERNEL_MODE || granted & required == required { STATUS_SUCCESS } else { STATUS_ACCESS_DENIED }
    }

    /// Sets how a device's `StartIo` routine is called: as it is by default, whatever is asked.
    [DISPATCH] fn IoSetStartIoAttributes(_device: *mut DEVICE_OBJECT, deferred: u8, _not_cancelable: u8) {
        if deferred != 0 { crate::warn!("IoSetStartIoAttributes: StartIo is called from within IoStartNextPacket here, and not deferred") }
    }

    /// Sends a packet to the next lower driver and waits until it comes back. Returns whether it was sent.
    [PASSIVE] fn IoForwardIrpSynchronously(device: *mut DEVICE_OBJECT, packet: *mut IRP) -> u8 {
        if (*packet).CurrentLocation <= 1 { return 0 }
        let mut done = Box::new(KEVENT { Header: event::header(0, 0) });
        event::KeInitializeEvent(&raw mut *done, 0, 0);
        // As IoCopyCurrentIrpStackLocationToNext and IoSetCompletionRoutine.
        let (current, next) = (irp::current_stack(packet), irp::current_stack(packet).sub(1));
        next.write(*current);
        (*next).Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        (*next).CompletionRoutine = Some(forwarded);
        (*next).Context = (&raw mut *done).cast();
        if IofCallDriver(device, packet) == STATUS_PENDING {
            wait::wait_one("IoForwardIrpSynchronously", (&raw mut *done).cast());
        }
        1
    }

    /// Builds a packet that its completion routine frees.
    [DISPATCH] fn IoBuildAsynchronousFsdRequest(major: u32, device: *mut DEVICE_OBJECT, buffer: PVOID, length: u32, offset: *const i64,
        result: *mut IO_STATUS_BLOCK) -> *mut IRP {
        let packet = IoAllocateIrp((*device).StackSize, 0);
        if packet.is_null() { return null_mut() }
        let stack = irp::current_stack(packet).sub(1);
        (*stack).MajorFunction = major as u8;
        (*packet).UserIosb = result;
        (*packet).UserBuffer = buffer;
        (*packet).Tail.Thread = thread::KeGetCurrentThread();
        if matches!(major as u8, IRP_MJ_READ | IRP_MJ_WRITE) {
            if (*device).Flags & DO_DIRECT_IO != 0 && length > 0 {
                let list = crate::mm::mdl::IoAllocateMdl(buffer, length, 0, 0, packet);
                crate::mm::mdl::MmProbeAndLockPages(list, KERNEL_MODE, i32::from(major as u8 == IRP_MJ_READ));
            } else {
                (*packet).SystemBuffer = buffer;
            }
            (*stack).Parameters.Read = IO_READ_WRITE {
                Length: POINTER_ALIGNED(length),
                Key: 0,
                Flags: 0,
                ByteOffset: if offset.is_null() { 0 } else { offset.read() },
            };
        }
        packet
    }

    /// Returns the device that a file's packets go to: the top of the stack of its device.
    [DISPATCH] fn IoGetRelatedDeviceObject(file: *const FILE_OBJECT) -> *mut DEVICE_OBJECT { super::device::top((*file).DeviceObject) }
}
