//! What PortCls uses of this guest's kernel.

#![allow(unsafe_code, reason = "exported functions of the kernel are unsafe to call")]

use core::sync::atomic::{AtomicBool, Ordering};

pub(crate) use crate::exports::{
    IoConnectInterrupt, IoDisconnectInterrupt, KeAcquireInterruptSpinLock, KeCancelTimer, KeInitializeDpc,
    KeInitializeTimerEx, KeInsertQueueDpc, KeReleaseInterruptSpinLock, KeRemoveQueueDpc, KeSetTimerEx,
    KeSynchronizeExecution,
};
use crate::nt::{KDPC, KIRQL, KTIMER, PVOID};

pub(crate) use crate::alloc_faults::{allocation_failed, fail_allocation, fails as allocation_fails};
pub(crate) use crate::ks::event::{check_notification, signal};
use crate::ks::layout::{KSEVENT_ENTRY, KSEVENTDATA};

/// Calls into the driver: on a stack of the documented size, from which the thread comes back as it was.
pub(crate) fn call_driver<R>(what: &str, body: impl FnOnce() -> R) -> R {
    let before = crate::ke::thread_state::now();
    let result = crate::ke::stack::with_documented_stack(body);
    crate::ke::thread_state::check(what, before);
    result
}

pub(crate) use crate::arch::marks::{are_on as marks_are_on, mark};

/// Tells the harness what a driver asked for and does not get.
pub(crate) fn warn(what: core::fmt::Arguments<'_>) {
    crate::warn!("{what}");
}

/// Reads an I/O port.
pub(crate) fn read_port(port: u16) -> u8 {
    // SAFETY: the ports are those of a device whose driver gave them to a miniport of the system's.
    unsafe { x86_64::instructions::port::PortReadOnly::new(port).read() }
}

/// Writes an I/O port.
pub(crate) fn write_port(port: u16, value: u8) {
    // SAFETY: as above.
    unsafe { x86_64::instructions::port::PortWriteOnly::new(port).write(value) };
}

/// Returns the current IRQL.
pub(crate) fn current() -> KIRQL {
    crate::arch::cpu::irql()
}

/// Returns the number of this processor.
pub(crate) fn processor() -> usize {
    crate::arch::cpu::number()
}

/// Does what a processor must do between two looks at a lock.
pub(crate) fn while_spinning() {
    crate::arch::smp::while_spinning();
}

/// Raises the IRQL; gives the old one.
pub(crate) fn raise(level: KIRQL) -> KIRQL {
    crate::ke::level::raise(level)
}

/// Lowers the IRQL.
pub(crate) fn lower(level: KIRQL) {
    // SAFETY: `level` is what was in force before, so this lowers.
    unsafe { crate::exports::KeLowerIrql(level) }
}

/// Returns the time since boot, in 100 ns units.
pub(crate) fn interrupt_time() -> u64 {
    crate::ke::time::interrupt_time()
}

/// Returns the time that the machine ran since boot, in 100 ns units.
pub(crate) fn ran() -> i64 {
    (crate::arch::clock::ran() / 100).cast_signed()
}

/// Waits until no DPC is queued or runs on any processor. At `PASSIVE_LEVEL`.
pub(crate) fn flush_dpcs() {
    // SAFETY: it has no other condition.
    unsafe { crate::exports::KeFlushQueuedDpcs() };
}

/// Returns the clock ticks since boot, which come only while the processor runs.
pub(crate) fn ticks() -> u64 {
    crate::ke::time::ticks()
}

/// Returns the time since boot, in nanoseconds.
pub(crate) fn nanoseconds() -> u64 {
    crate::arch::clock::nanoseconds()
}

/// Returns whether a pointer-sized value can be read there.
pub(crate) fn is_readable(address: usize) -> bool {
    crate::arch::paging::accessible(address as u64, size_of::<usize>() as u64, false)
}

/// Returns whether an address is in the driver's image.
pub(crate) fn is_driver_code(address: usize) -> bool {
    crate::bugcheck::modules::module()
        .is_some_and(|module| (module.base..module.base + module.size).contains(&(address as u64)))
}

/// Returns the outstanding pool allocations of the driver, and their bytes.
pub(crate) fn pool() -> (u64, u64) {
    let (count, bytes, _) = crate::mm::pool::totals();
    (count, bytes)
}

/// Memory that ends where nothing is mapped.
pub(crate) struct Edge {
    page: u64,
}

impl Edge {
    /// Makes a page of it.
    pub(crate) fn new() -> Option<Self> {
        let bytes = crate::arch::PAGE_SIZE;
        crate::mm::contiguous::allocate_contiguous(bytes, bytes, 0, u64::MAX - 1).map(|(page, _)| Self { page })
    }

    /// Returns the bytes, at the very end; at most a page.
    pub(crate) fn place(&self, bytes: &[u8]) -> *mut u8 {
        let at = (self.page + crate::arch::PAGE_SIZE) as usize - bytes.len();
        // SAFETY: the page is ours; the caller's bytes are at most as many.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        at as *mut u8
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        crate::mm::contiguous::free_contiguous("a probe", self.page);
    }
}

/// Calls `routine` from a DPC while `body` runs: every millisecond, and at each preemption point of `body`, be it
/// only between two instructions.
pub(crate) fn with_interruptions<R>(routine: &dyn Fn(), body: impl FnOnce() -> R) -> R {
    // SAFETY: all zero is a valid value of plain C structures; all are initialised here, and taken back before they
    // and what the DPCs call go.
    unsafe {
        let mut timer: alloc::boxed::Box<KTIMER> = alloc::boxed::Box::new(core::mem::zeroed());
        let mut dpcs: alloc::boxed::Box<[KDPC; 2]> = alloc::boxed::Box::new(core::mem::zeroed());
        let context = &raw const routine;
        let [timed, at_points] = &mut *dpcs;
        KeInitializeTimerEx(&raw mut *timer, 1);
        for dpc in [&raw mut *timed, &raw mut *at_points] {
            KeInitializeDpc(dpc, Some(call_routine), context.cast_mut().cast());
        }
        KeSetTimerEx(&raw mut *timer, -10_000, 1, timed);
        let result = crate::ke::preemption_point::with_dpc_at_each(at_points, body);
        KeCancelTimer(&raw mut *timer);
        for dpc in [&raw mut *timed, &raw mut *at_points] {
            KeRemoveQueueDpc(dpc);
        }
        crate::exports::KeFlushQueuedDpcs();
        result
    }
}

unsafe extern "win64" fn call_routine(_dpc: *mut KDPC, context: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the context is the routine of `with_interruptions`, which outlives the DPC.
    unsafe { (*context.cast::<&dyn Fn()>())() };
}

/// Returns an entry for an event.
pub(crate) fn create_event(data: &KSEVENTDATA, flags: u32) -> *mut KSEVENT_ENTRY {
    crate::ks::event::create(0, data, flags)
}

/// Frees it.
///
/// # Safety
/// It is not used any more.
pub(crate) unsafe fn free_event(entry: *mut KSEVENT_ENTRY) {
    // SAFETY: by the caller.
    unsafe { crate::ks::event::free("IPortEvents", entry) };
}

/// Whether the host's main thread is in [`pause`].
static PAUSED: AtomicBool = AtomicBool::new(false);

/// Sleeps until [`wake`] is called, for a millisecond at most. At `PASSIVE_LEVEL`.
pub(crate) fn pause() {
    PAUSED.store(true, Ordering::Relaxed);
    crate::ke::idle(1_000_000);
    PAUSED.store(false, Ordering::Relaxed);
}

/// Marks a packet as pending (`IoMarkIrpPending`).
pub(crate) fn mark_pending(irp: PVOID) {
    // SAFETY: a packet that is this driver's, and not completed.
    unsafe { (*crate::io::irp::current_stack(irp.cast())).Control |= crate::nt::SL_PENDING_RETURNED };
}

/// Ends a [`pause`]. At any IRQL.
pub(crate) fn wake() {
    if PAUSED.swap(false, Ordering::Relaxed) {
        crate::ke::host_wakeup();
    }
}
