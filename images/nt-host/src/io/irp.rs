//! I/O request packets: made, sent down a stack, completed up it.
#![allow(unsafe_code, reason = "packets of the Windows ABI")]

use core::ptr::null_mut;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::arch::cpu;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::ke::{event, spin_lock, wait};
use crate::mm::pool::{self, Owner};
use crate::nt::irql::*;
use crate::nt::status::*;
use crate::nt::*;

const TAG: u32 = u32::from_le_bytes(*b"Irp ");
const MULTIPLE_IRP_COMPLETE_REQUESTS: u32 = 0x44;
const NO_MORE_IRP_STACK_LOCATIONS: u32 = 0x35;
const CANCEL_STATE_IN_COMPLETED_IRP: u32 = 0x48;
const DRIVER_VERIFIER_IOMANAGER_VIOLATION: u32 = 0xc9;
/// Deepest stack of a packet.
const STACK_MAX: i8 = 64;

/// What frees a packet when its completion is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// The driver that allocated it.
    Driver,
    /// The I/O manager, as it does for packets built for the current thread.
    Manager,
    /// The host, which looks at the result first.
    Host,
}

#[derive(Clone, Copy, Debug)]
struct State {
    lifetime: Lifetime,
    completed: bool,
}

static PACKETS: Uninterrupted<BTreeMap<u64, State>> = Uninterrupted::new(BTreeMap::new());

struct CancelLock(core::cell::UnsafeCell<KSPIN_LOCK>);
// SAFETY: a spin lock.
unsafe impl Sync for CancelLock {}
static CANCEL_LOCK: CancelLock = CancelLock(core::cell::UnsafeCell::new(0));

const fn packet_size(stack: i8) -> usize {
    size_of::<IRP>() + stack as usize * size_of::<IO_STACK_LOCATION>()
}

/// Packets that exist: of the driver's making, for the leak check.
#[must_use]
pub fn outstanding() -> usize {
    PACKETS.with(|packets| packets.values().filter(|state| state.lifetime != Lifetime::Host).count())
}

/// Returns the packets that are not complete.
#[must_use]
pub fn incomplete() -> Vec<u64> {
    PACKETS.with(|packets| packets.iter().filter(|(_, state)| !state.completed).map(|(irp, _)| *irp).collect())
}

unsafe fn initialize(irp: *mut IRP, size: usize, stack: i8) {
    // SAFETY: the caller gives memory of this size.
    unsafe {
        irp.cast::<u8>().write_bytes(0, size);
        (*irp).Type = IO_TYPE_IRP;
        (*irp).Size = size as u16;
        (*irp).StackCount = stack;
        (*irp).CurrentLocation = stack + 1;
        (*irp).Tail.CurrentStackLocation = irp.add(1).cast::<IO_STACK_LOCATION>().add(stack as usize);
        crate::ke::list::init(&raw mut (*irp).ThreadListEntry);
    }
}

fn allocate(stack: i8, lifetime: Lifetime) -> Option<*mut IRP> {
    if !(1..=STACK_MAX).contains(&stack) {
        return None;
    }
    let size = packet_size(stack);
    let irp = pool::allocate(size as u64, TAG, false, Owner::System)? as *mut IRP;
    // SAFETY: fresh memory of this size.
    unsafe { initialize(irp, size, stack) };
    PACKETS.with(|packets| packets.insert(irp as u64, State { lifetime, completed: false }));
    Some(irp)
}

fn free(function: &'static str, irp: *mut IRP) {
    if PACKETS.with(|packets| packets.remove(&(irp as u64))).is_none() {
        verifier::stop(
            DRIVER_VERIFIER_IOMANAGER_VIOLATION,
            function,
            [1, irp as u64, 0, 0],
            format_args!("{irp:p} is no I/O request packet, or was freed before"),
        );
    }
    pool::free(function, irp as u64, None);
}

/// Stops if an address is of no live packet.
pub(super) fn check(function: &'static str, irp: *mut IRP) {
    let mapped = crate::arch::paging::accessible(irp as u64, size_of::<IRP>() as u64, true);
    // SAFETY: only read where it is mapped.
    if !mapped || unsafe { (*irp).Type } != IO_TYPE_IRP {
        verifier::stop(
            DRIVER_VERIFIER_IOMANAGER_VIOLATION,
            function,
            [4, irp as u64, 0, 0],
            format_args!("{irp:p} is no I/O request packet: it was freed, or never initialised"),
        );
    }
}

/// Returns the next lower stack location of a packet that is to be sent.
///
/// # Safety
/// `irp` is live.
pub unsafe fn next_stack(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's promise.
    unsafe { (*irp).Tail.CurrentStackLocation.sub(1) }
}

/// Returns the stack location of the driver that has the packet.
///
/// # Safety
/// `irp` is live.
pub unsafe fn current_stack(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's promise.
    unsafe { (*irp).Tail.CurrentStackLocation }
}

/// A packet of the host's that has been sent, and how it ends.
pub struct Sent {
    irp: *mut IRP,
    end: Box<End>,
}

/// What a packet's completion writes.
struct End {
    done: KEVENT,
    result: IO_STATUS_BLOCK,
}

impl Sent {
    /// Returns whether the packet has been completed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        is_complete(self.irp)
    }

    /// Asks for its cancellation. Whether it has a cancel routine, which has then been called.
    pub fn cancel(&self) -> bool {
        // SAFETY: the packet lives until it is finished.
        unsafe { IoCancelIrp(self.irp) != 0 }
    }

    /// Waits for the packet and returns its status and information.
    #[must_use]
    pub fn finish(mut self) -> (NTSTATUS, usize) {
        // SAFETY: both live; the event is set when the packet is complete.
        unsafe { wait::wait_one("the I/O manager", (&raw mut self.end.done).cast()) };
        free("the I/O manager", self.irp);
        (self.end.result.Status, self.end.result.Information)
    }
}

fn is_complete(irp: *mut IRP) -> bool {
    PACKETS.with(|packets| packets.get(&(irp as u64)).is_none_or(|state| state.completed))
}

/// Sends a packet of the host's to the top of a device's stack and waits for its completion. `fill` writes the first
/// stack location; the status begins as `initial`. Returns status and information.
///
/// # Errors
/// Has the status `STATUS_INSUFFICIENT_RESOURCES` when there is no memory for the packet.
///
/// # Safety
/// `device` is live and the parameters that `fill` writes are what the request demands.
pub unsafe fn send_synchronous(
    device: *mut DEVICE_OBJECT,
    initial: NTSTATUS,
    fill: impl FnOnce(&mut IRP, &mut IO_STACK_LOCATION),
) -> (NTSTATUS, usize) {
    // SAFETY: the caller's promise.
    unsafe { send(device, initial, fill) }.map_or((STATUS_INSUFFICIENT_RESOURCES, 0), Sent::finish)
}

/// Sends a packet of the host's to the top of a device's stack. It may come back at any time. `None`: there is no
/// memory.
///
/// # Safety
/// As for [`send_synchronous`]; what the parameters point to lives until the packet is complete.
pub unsafe fn send(
    device: *mut DEVICE_OBJECT,
    initial: NTSTATUS,
    fill: impl FnOnce(&mut IRP, &mut IO_STACK_LOCATION),
) -> Option<Sent> {
    let mut end = Box::new(End {
        done: KEVENT { Header: event::header(0, 0) },
        result: IO_STATUS_BLOCK { Status: 0, StatusHigh: 0, Information: 0 },
    });
    // SAFETY: the caller's promise; what the packet points to lives as long as the packet.
    unsafe {
        let top = super::device::top(device);
        let irp = allocate((*top).StackSize, Lifetime::Host)?;
        (*irp).UserEvent = &raw mut end.done;
        (*irp).UserIosb = &raw mut end.result;
        (*irp).IoStatus.Status = initial;
        (*irp).Tail.Thread = crate::ke::thread::KeGetCurrentThread();
        fill(&mut *irp, &mut *next_stack(irp));
        let major = (*next_stack(irp)).MajorFunction;
        let status = IofCallDriver(top, irp);
        if status != STATUS_PENDING && !is_complete(irp) {
            verifier::stop(
                DRIVER_VERIFIER_IOMANAGER_VIOLATION,
                "IofCallDriver",
                [0x0e, irp as u64, status as u64, 0],
                format_args!(
                    "a dispatch routine returned {status:#010x} for major function {major:#x} and has neither completed the packet nor passed it on. Complete it, or mark it pending and return STATUS_PENDING"
                ),
            );
        }
        Some(Sent { irp, end })
    }
}

unsafe fn complete(irp: *mut IRP) {
    check("IofCompleteRequest", irp);
    // SAFETY: checked to be a packet; its stack locations follow it.
    unsafe {
        let count = (*irp).StackCount;
        if (*irp).CurrentLocation > count + 1
            || PACKETS.with(|packets| packets.get(&(irp as u64)).is_some_and(|s| s.completed))
        {
            verifier::stop(
                MULTIPLE_IRP_COMPLETE_REQUESTS,
                "IofCompleteRequest",
                [irp as u64, 0, 0, 0],
                format_args!("the packet at {irp:p} is completed twice"),
            );
        }
        let status = (*irp).IoStatus.Status;
        if status == STATUS_PENDING || status == -1 {
            verifier::stop(
                DRIVER_VERIFIER_IOMANAGER_VIOLATION,
                "IofCompleteRequest",
                [6, irp as u64, status as u64, 0],
                format_args!(
                    "the packet at {irp:p} is completed with status {status:#x}: set IoStatus.Status to the final status before"
                ),
            );
        }
        if (*irp).CancelRoutine.is_some() {
            verifier::stop(
                CANCEL_STATE_IN_COMPLETED_IRP,
                "IofCompleteRequest",
                [irp as u64, 0, 0, 0],
                format_args!(
                    "the packet at {irp:p} is completed with a cancel routine set: call IoSetCancelRoutine(Irp, NULL) before"
                ),
            );
        }
        while (*irp).CurrentLocation <= count {
            let stack = (*irp).Tail.CurrentStackLocation;
            (*irp).CurrentLocation += 1;
            (*irp).Tail.CurrentStackLocation = stack.add(1);
            (*irp).PendingReturned = (*stack).Control & SL_PENDING_RETURNED;
            let above = if (*irp).CurrentLocation > count { null_mut() } else { (*stack.add(1)).DeviceObject };
            let wanted = if (*irp).Cancel != 0 { SL_INVOKE_ON_CANCEL } else { 0 }
                | if success((*irp).IoStatus.Status) { SL_INVOKE_ON_SUCCESS } else { SL_INVOKE_ON_ERROR };
            let routine = (*stack).CompletionRoutine.filter(|_| (*stack).Control & wanted != 0);
            if let Some(routine) = routine {
                let context = (*stack).Context;
                let result = crate::ke::driver_call::call("a completion routine", || routine(above, irp, context));
                if result == STATUS_MORE_PROCESSING_REQUIRED {
                    return;
                }
            } else if (*irp).PendingReturned != 0 && (*irp).CurrentLocation <= count {
                (*(*irp).Tail.CurrentStackLocation).Control |= SL_PENDING_RETURNED;
            }
        }
        finish(irp);
    }
}

/// Completes a packet for good: the result reaches its sender.
unsafe fn finish(irp: *mut IRP) {
    let lifetime = PACKETS.with(|packets| {
        packets.get_mut(&(irp as u64)).map(|state| {
            state.completed = true;
            state.lifetime
        })
    });
    // SAFETY: the packet is live; the pointers in it are its maker's.
    unsafe {
        if let Some(result) = (*irp).UserIosb.as_mut() {
            *result = (*irp).IoStatus;
        }
        let done = (*irp).UserEvent;
        match lifetime {
            Some(Lifetime::Manager) => free("IofCompleteRequest", irp),
            Some(Lifetime::Host) | None => {}
            Some(Lifetime::Driver) => verifier::stop(
                DRIVER_VERIFIER_IOMANAGER_VIOLATION,
                "IofCompleteRequest",
                [0x0a, irp as u64, 0, 0],
                format_args!(
                    "the packet at {irp:p} came from IoAllocateIrp and its completion reached the I/O manager: its completion routine must return STATUS_MORE_PROCESSING_REQUIRED and free it"
                ),
            ),
        }
        if !done.is_null() {
            wait::signal(done.cast(), 1);
        }
    }
}

export_functions! {
    /// Packets.
    pub static EXPORTS;

    /// Allocates a packet.
    [DISPATCH] fn IoAllocateIrp(stack: i8, _charge: u8) -> *mut IRP { allocate(stack, Lifetime::Driver).unwrap_or(null_mut()) }

    /// Frees a packet.
    [DISPATCH] fn IoFreeIrp(irp: *mut IRP) { free("IoFreeIrp", irp) }

    /// Initialises a packet in the driver's own memory.
    [DISPATCH] fn IoInitializeIrp(irp: *mut IRP, size: u16, stack: i8) { initialize(irp, size.into(), stack) }

    /// Makes a packet usable again.
    [DISPATCH] fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS) {
        check("IoReuseIrp", irp);
        {
            initialize(irp, (*irp).Size.into(), (*irp).StackCount);
            (*irp).IoStatus.Status = status;
        }
        PACKETS.with(|packets| if let Some(state) = packets.get_mut(&(irp as u64)) { state.completed = false });
    }

    /// Passes a packet to the next lower driver.
    [DISPATCH] fn IofCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        check("IofCallDriver", irp);
        if !super::device::is_device(device.cast()) {
            verifier::stop(DRIVER_VERIFIER_IOMANAGER_VIOLATION, "IofCallDriver", [2, device as u64, irp as u64, 0],
                format_args!("{device:p} is no device object, or was deleted"));
        }
        {
            (*irp).CurrentLocation -= 1;
            if (*irp).CurrentLocation <= 0 {
                verifier::stop(NO_MORE_IRP_STACK_LOCATIONS, "IofCallDriver", [irp as u64, 0, 0, 0],
                    format_args!("the packet at {irp:p} has no stack location left: it was allocated with too small a StackSize, or passed down more often than there are drivers"));
            }
            let stack = (*irp).Tail.CurrentStackLocation.sub(1);
            (*irp).Tail.CurrentStackLocation = stack;
            (*stack).DeviceObject = device;
            let major = usize::from((*stack).MajorFunction);
            if major > IRP_MJ_MAXIMUM_FUNCTION {
                verifier::stop(DRIVER_VERIFIER_IOMANAGER_VIOLATION, "IofCallDriver", [3, irp as u64, major as u64, 0],
                    format_args!("major function {major:#x} does not exist"));
            }
            match (*(*device).DriverObject).MajorFunction[major] {
                Some(dispatch) => crate::ke::driver_call::call("a dispatch routine", || dispatch(device, irp)),
                None => invalid_request(device, irp),
            }
        }
    }

    /// Completes a packet.
    [DISPATCH] fn IofCompleteRequest(irp: *mut IRP, _boost: i8) { complete(irp) }

    /// Completes a packet.
    [DISPATCH] fn IoCompleteRequest(irp: *mut IRP, _boost: i8) { complete(irp) }

    /// Sets a completion routine.
    [DISPATCH] fn IoSetCompletionRoutineEx(_device: *mut DEVICE_OBJECT, irp: *mut IRP, routine: Option<IO_COMPLETION_ROUTINE>,
        context: PVOID, success: u8, error: u8, cancel: u8) -> NTSTATUS {
        {
            let stack = next_stack(irp);
            (*stack).CompletionRoutine = routine;
            (*stack).Context = context;
            (*stack).Control = if success != 0 { SL_INVOKE_ON_SUCCESS } else { 0 }
                | if error != 0 { SL_INVOKE_ON_ERROR } else { 0 }
                | if cancel != 0 { SL_INVOKE_ON_CANCEL } else { 0 };
        }
        STATUS_SUCCESS
    }

    /// Builds a packet that the I/O manager frees and whose event it signals.
    [APC] fn IoBuildSynchronousFsdRequest(major: u32, device: *mut DEVICE_OBJECT, buffer: PVOID, length: u32,
        offset: *const i64, event: *mut KEVENT, result: *mut IO_STATUS_BLOCK) -> *mut IRP {
        {
            let Some(irp) = allocate((*device).StackSize, Lifetime::Manager) else { return null_mut() };
            (*irp).UserEvent = event;
            (*irp).UserIosb = result;
            (*irp).UserBuffer = buffer;
            (*irp).Tail.Thread = crate::ke::thread::KeGetCurrentThread();
            let stack = next_stack(irp);
            (*stack).MajorFunction = major as u8;
            if matches!(major as u8, IRP_MJ_READ | IRP_MJ_WRITE) {
                (*irp).SystemBuffer = buffer;
                (*stack).Parameters.Read = IO_READ_WRITE {
                    Length: POINTER_ALIGNED(length),
                    Key: 0,
                    Flags: 0,
                    ByteOffset: if offset.is_null() { 0 } else { offset.read() },
                };
            }
            irp
        }
    }

    /// Builds a device control packet with neither buffer copied: kernel callers share one address space.
    [APC] fn IoBuildDeviceIoControlRequest(code: u32, device: *mut DEVICE_OBJECT, input: PVOID, input_length: u32,
        output: PVOID, output_length: u32, internal: u8, event: *mut KEVENT, result: *mut IO_STATUS_BLOCK) -> *mut IRP {
        {
            let Some(irp) = allocate((*device).StackSize, Lifetime::Manager) else { return null_mut() };
            (*irp).UserEvent = event;
            (*irp).UserIosb = result;
            (*irp).UserBuffer = output;
            (*irp).SystemBuffer = if input.is_null() { output } else { input };
            (*irp).Tail.Thread = crate::ke::thread::KeGetCurrentThread();
            let stack = next_stack(irp);
            (*stack).MajorFunction = if internal != 0 { IRP_MJ_INTERNAL_DEVICE_CONTROL } else { IRP_MJ_DEVICE_CONTROL };
            (*stack).Parameters.DeviceIoControl = IO_DEVICE_CONTROL {
                OutputBufferLength: POINTER_ALIGNED(output_length),
                InputBufferLength: POINTER_ALIGNED(input_length),
                IoControlCode: POINTER_ALIGNED(code),
                Type3InputBuffer: input,
            };
            irp
        }
    }

    /// Asks for a packet's cancellation.
    [DISPATCH] fn IoCancelIrp(irp: *mut IRP) -> u8 {
        check("IoCancelIrp", irp);
        {
            let mut old = 0;
            IoAcquireCancelSpinLock(&raw mut old);
            (*irp).Cancel = 1;
            match (*irp).CancelRoutine.take() {
                Some(routine) => {
                    (*irp).CancelIrql = old;
                    // The routine releases the lock.
                    routine((*current_stack(irp)).DeviceObject, irp);
                    1
                }
                None => {
                    IoReleaseCancelSpinLock(old);
                    0
                }
            }
        }
    }

    /// Takes the cancel lock.
    [DISPATCH] fn IoAcquireCancelSpinLock(irql: *mut KIRQL) {
        {
            irql.write(crate::ke::level::raise(DISPATCH_LEVEL));
            spin_lock::acquire("IoAcquireCancelSpinLock", CANCEL_LOCK.0.get());
        }
    }

    /// Gives the cancel lock back.
    [AT_DISPATCH] fn IoReleaseCancelSpinLock(irql: KIRQL) {
        spin_lock::release("IoReleaseCancelSpinLock", CANCEL_LOCK.0.get());
        crate::ke::level::set(cpu::irql(), irql);
    }
}

/// Completes a request that the driver has no routine for.
///
/// # Safety
/// `irp` is live and this driver's.
pub unsafe extern "win64" fn invalid_request(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the caller's promise.
    unsafe {
        (*irp).IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
        (*irp).IoStatus.Information = 0;
        IofCompleteRequest(irp, 0);
    }
    STATUS_INVALID_DEVICE_REQUEST
}
