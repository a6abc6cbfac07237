//! A double of the kernel for tests on the build machine: IRQL as a number for each thread; DPCs that run when it falls
//! below `DISPATCH_LEVEL`; no timers and no interrupts.

#![allow(unsafe_code, reason = "the kernel's functions take pointers")]
#![allow(non_snake_case, reason = "the kernel's names")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::vec::Vec;

use guest_protocol::MarkKind;

use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::{
    KDEFERRED_ROUTINE, KDPC, KINTERRUPT, KIRQL, KSERVICE_ROUTINE, KSYNCHRONIZE_ROUTINE, KTIMER, NTSTATUS, PVOID, status,
};

std::thread_local! {
    static IRQL: Cell<KIRQL> = const { Cell::new(0) };
    static DPCS: RefCell<VecDeque<*mut KDPC>> = const { RefCell::new(VecDeque::new()) };
    static CLOCK: Cell<u64> = const { Cell::new(1_000_000) };
    static NUMBER: u8 = const { 0 };
}

/// Returns what is one processor's alone: here, the address of a value of the thread.
pub(crate) fn processor() -> usize {
    NUMBER.with(|number| core::ptr::from_ref(number) as usize)
}

std::thread_local! {
    static MARKS: RefCell<Vec<(MarkKind, u16, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether anything is marked: here, always.
pub(crate) fn marks_are_on() -> bool {
    true
}

/// Keeps a mark.
pub(crate) fn mark(kind: MarkKind, number: u16, value: u64) {
    MARKS.with_borrow_mut(|marks| marks.push((kind, number, value)));
}

/// Takes this thread's marks.
pub(crate) fn take_marks() -> Vec<(MarkKind, u16, u64)> {
    MARKS.take()
}

/// What answers I/O ports: gets the port and what is written, or `None` for a read.
pub(crate) type Ports = std::boxed::Box<dyn FnMut(u16, Option<u8>) -> u8>;

std::thread_local! {
    static PORTS: RefCell<Option<Ports>> = const { RefCell::new(None) };
}

/// Sets what answers this thread's I/O ports.
pub(crate) fn set_ports(ports: Ports) {
    PORTS.set(Some(ports));
}

/// Reads a port: all ones where nothing answers.
pub(crate) fn read_port(port: u16) -> u8 {
    PORTS.with_borrow_mut(|ports| ports.as_mut().map_or(0xFF, |ports| ports(port, None)))
}

/// Writes a port.
pub(crate) fn write_port(port: u16, value: u8) {
    PORTS.with_borrow_mut(|ports| ports.as_mut().map(|ports| ports(port, Some(value))));
}

/// Yields between two looks at a lock, and lets ten microseconds go by.
pub(crate) fn while_spinning() {
    CLOCK.set(CLOCK.get() + 100);
    std::thread::yield_now();
}

/// Calls into the driver.
pub(crate) fn call_driver<R>(_what: &str, body: impl FnOnce() -> R) -> R {
    body()
}

/// Prints what a driver asked for and does not get.
pub(crate) fn warn(what: core::fmt::Arguments<'_>) {
    std::println!("{what}");
}

/// Returns the IRQL of this thread.
pub(crate) fn current() -> KIRQL {
    IRQL.get()
}

/// Raises the IRQL of this thread and returns the old one.
pub(crate) fn raise(level: KIRQL) -> KIRQL {
    assert!(level >= IRQL.get(), "raised from {} to {level}", IRQL.get());
    IRQL.replace(level)
}

/// Lowers the IRQL of this thread, and runs the DPCs that it held off.
pub(crate) fn lower(level: KIRQL) {
    IRQL.set(level);
    if level < DISPATCH_LEVEL {
        while let Some(dpc) = DPCS.with_borrow_mut(VecDeque::pop_front) {
            IRQL.set(DISPATCH_LEVEL);
            // SAFETY: a queued DPC is alive until it has run or has been removed.
            unsafe {
                let content = dpc.read();
                (*dpc).DpcData = core::ptr::null_mut();
                content.DeferredRoutine.expect("initialised")(
                    dpc,
                    content.DeferredContext,
                    content.SystemArgument1,
                    content.SystemArgument2,
                );
            }
            IRQL.set(level);
        }
    }
}

/// Initialises a DPC.
pub(crate) unsafe extern "win64" fn KeInitializeDpc(
    dpc: *mut KDPC,
    routine: Option<KDEFERRED_ROUTINE>,
    context: PVOID,
) {
    // SAFETY: the caller's DPC.
    unsafe {
        dpc.write_bytes(0, 1);
        (*dpc).DeferredRoutine = routine;
        (*dpc).DeferredContext = context;
    }
}

/// Queues a DPC, which runs as soon as the IRQL allows.
pub(crate) unsafe extern "win64" fn KeInsertQueueDpc(dpc: *mut KDPC, first: PVOID, second: PVOID) -> u8 {
    // SAFETY: the caller's DPC.
    unsafe {
        if !(*dpc).DpcData.is_null() {
            return 0;
        }
        (*dpc).DpcData = dpc.cast();
        ((*dpc).SystemArgument1, (*dpc).SystemArgument2) = (first, second);
    }
    DPCS.with_borrow_mut(|queue| queue.push_back(dpc));
    if current() < DISPATCH_LEVEL {
        lower(current());
    }
    1
}

/// Removes a DPC from the queue.
pub(crate) unsafe extern "win64" fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
    DPCS.with_borrow_mut(|queue| {
        let before = queue.len();
        queue.retain(|queued| *queued != dpc);
        u8::from(queue.len() < before)
    })
}

/// Returns the time of this thread in nanoseconds.
pub(crate) fn nanoseconds() -> u64 {
    interrupt_time() * 100
}

/// Returns no clock ticks.
pub(crate) fn ticks() -> u64 {
    0
}

/// Returns the time of this thread, 100 ns units.
pub(crate) fn ran() -> i64 {
    interrupt_time().cast_signed()
}

/// Returns the time of this thread, 100 ns units; each call is one unit later.
pub(crate) fn interrupt_time() -> u64 {
    CLOCK.replace(CLOCK.get() + 1)
}

/// Returns that every address can be read.
pub(crate) fn is_readable(_address: usize) -> bool {
    true
}

/// Returns that every address but null is code of the driver.
pub(crate) fn is_driver_code(address: usize) -> bool {
    address != 0
}

/// Checks that this thread is at `PASSIVE_LEVEL`, where its DPCs have run.
pub(crate) fn flush_dpcs() {
    assert_eq!(current(), 0, "DPCs are waited for at PASSIVE_LEVEL");
}

/// Calls `routine` before and after `body`.
pub(crate) fn with_interruptions<R>(routine: &dyn Fn(), body: impl FnOnce() -> R) -> R {
    routine();
    let result = body();
    routine();
    result
}

/// Makes no allocation fail: drivers of tests allocate from the build machine.
pub(crate) fn fail_allocation(_number: u32) {}

/// Returns that no allocation was made to fail.
pub(crate) fn allocation_failed() -> bool {
    false
}

/// Returns no pool allocations.
pub(crate) fn pool() -> (u64, u64) {
    (0, 0)
}

/// Memory with nothing behind it that a test could notice.
pub(crate) struct Edge(std::boxed::Box<[u64]>);

impl Edge {
    /// Allocates a page.
    pub(crate) fn new() -> Option<Self> {
        Some(Self(std::vec![0; 512].into_boxed_slice()))
    }

    /// Copies bytes to the end of the page.
    pub(crate) fn place(&self, bytes: &[u8]) -> *mut u8 {
        let at = self.0.as_ptr().cast_mut().cast::<u8>().wrapping_add(4096 - bytes.len());
        // SAFETY: inside the box.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        at
    }
}

/// Returns that no allocation fails.
pub(crate) fn allocation_fails(_function: &str) -> bool {
    false
}

/// Accepts every notification.
pub(crate) fn check_notification(_data: &crate::ks::layout::KSEVENTDATA) -> NTSTATUS {
    status::STATUS_SUCCESS
}

/// Counts in the counter whose address is the client's `Object`.
pub(crate) unsafe fn signal(entry: *mut crate::ks::layout::KSEVENT_ENTRY) -> NTSTATUS {
    // SAFETY: the test's counter outlives its event.
    unsafe { *(*entry).Object.cast::<u32>() += 1 };
    status::STATUS_SUCCESS
}

/// Makes an entry for a client's event.
pub(crate) fn create_event(data: &crate::ks::layout::KSEVENTDATA, flags: u32) -> *mut crate::ks::layout::KSEVENT_ENTRY {
    // SAFETY: all zero is a valid entry.
    let mut entry: std::boxed::Box<crate::ks::layout::KSEVENT_ENTRY> =
        std::boxed::Box::new(unsafe { core::mem::zeroed() });
    (entry.Object, entry.Flags) = (data.Object as PVOID, flags);
    std::boxed::Box::into_raw(entry)
}

/// Frees an entry.
pub(crate) unsafe fn free_event(entry: *mut crate::ks::layout::KSEVENT_ENTRY) {
    // SAFETY: made by `create_event`.
    drop(unsafe { std::boxed::Box::from_raw(entry) });
}

/// Lets a millisecond go by.
pub(crate) fn pause() {
    CLOCK.set(CLOCK.get() + 10_000);
}

/// Does nothing: no test sleeps.
pub(crate) fn wake() {}

/// Does nothing: tests have no packets.
pub(crate) fn mark_pending(_irp: PVOID) {}

/// Does nothing: tests have no timers.
pub(crate) unsafe extern "win64" fn KeInitializeTimerEx(_timer: *mut KTIMER, _kind: i32) {}
/// Sets no timer.
pub(crate) unsafe extern "win64" fn KeSetTimerEx(_timer: *mut KTIMER, _due: i64, _period: i32, _dpc: *mut KDPC) -> u8 {
    0
}
/// Cancels no timer.
pub(crate) unsafe extern "win64" fn KeCancelTimer(_timer: *mut KTIMER) -> u8 {
    0
}
/// Calls the routine.
pub(crate) unsafe extern "win64" fn KeSynchronizeExecution(
    _interrupt: *mut KINTERRUPT,
    routine: Option<KSYNCHRONIZE_ROUTINE>,
    context: PVOID,
) -> u8 {
    // SAFETY: the caller's routine and context.
    routine.map_or(0, |routine| unsafe { routine(context) })
}
/// Connects nothing, and succeeds.
pub(crate) unsafe extern "win64" fn IoConnectInterrupt(
    interrupt: *mut *mut KINTERRUPT,
    _routine: Option<KSERVICE_ROUTINE>,
    _context: PVOID,
    _lock: *mut usize,
    _vector: u32,
    _irql: KIRQL,
    _synchronize_irql: KIRQL,
    _mode: i32,
    _share: u8,
    _affinity: u64,
    _floating: u8,
) -> NTSTATUS {
    // SAFETY: the caller's out parameter; the double never looks behind it.
    unsafe { interrupt.write(core::ptr::dangling_mut()) };
    status::STATUS_SUCCESS
}
/// Does nothing: tests have no interrupts.
pub(crate) unsafe extern "win64" fn IoDisconnectInterrupt(_interrupt: *mut KINTERRUPT) {}

/// Takes no lock.
pub(crate) unsafe extern "win64" fn KeAcquireInterruptSpinLock(_interrupt: *mut KINTERRUPT) -> KIRQL {
    0
}

/// Releases no lock.
pub(crate) unsafe extern "win64" fn KeReleaseInterruptSpinLock(_interrupt: *mut KINTERRUPT, _old: KIRQL) {}
