//! What PortCls uses of the kernel half, in one place; and a small double of it for tests on the build machine.

#[cfg(target_os = "none")]
pub(crate) use target::*;

#[cfg(test)]
pub(crate) use double::*;

#[cfg(target_os = "none")]
mod target {
    #![allow(unsafe_code, reason = "exported functions of the kernel are unsafe to call")]

    use core::sync::atomic::{AtomicBool, Ordering};

    pub(crate) use crate::api::{
        IoConnectInterrupt, IoDisconnectInterrupt, KeCancelTimer, KeInitializeDpc, KeInitializeTimerEx,
        KeInsertQueueDpc, KeRemoveQueueDpc, KeSetTimerEx, KeSynchronizeExecution,
    };
    use crate::nt::KIRQL;

    pub(crate) use super::super::adapter::device_property;

    /// The current IRQL.
    pub(crate) fn current() -> KIRQL {
        crate::arch::cpu::irql()
    }

    /// Raises the IRQL; gives the old one.
    pub(crate) fn raise(level: KIRQL) -> KIRQL {
        crate::ke::level::raise(level)
    }

    /// Lowers the IRQL.
    pub(crate) fn lower(level: KIRQL) {
        // SAFETY: `level` is what was in force before, so this lowers.
        unsafe { crate::api::KeLowerIrql(level) }
    }

    /// Time since boot, in 100 ns units.
    pub(crate) fn interrupt_time() -> u64 {
        crate::ke::time::interrupt_time()
    }

    /// Whether the host's main thread is in [`pause`].
    static PAUSED: AtomicBool = AtomicBool::new(false);

    /// Sleeps until [`wake`] is called, for a millisecond at most. At `PASSIVE_LEVEL`.
    pub(crate) fn pause() {
        PAUSED.store(true, Ordering::Relaxed);
        crate::ke::idle(1_000_000);
        PAUSED.store(false, Ordering::Relaxed);
    }

    /// Ends a [`pause`]. At any IRQL.
    pub(crate) fn wake() {
        if PAUSED.swap(false, Ordering::Relaxed) {
            crate::ke::host_wakeup();
        }
    }
}

/// IRQL as a number for each thread; DPCs that run when it falls below `DISPATCH_LEVEL`; no timers and no interrupts.
#[cfg(test)]
mod double {
    #![allow(unsafe_code, reason = "the kernel's functions take pointers")]
    #![allow(non_snake_case, reason = "the kernel's names")]

    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;

    use crate::nt::irql::DISPATCH_LEVEL;
    use crate::nt::{
        KDEFERRED_ROUTINE, KDPC, KINTERRUPT, KIRQL, KSERVICE_ROUTINE, KSYNCHRONIZE_ROUTINE, KTIMER, NTSTATUS, PVOID,
        status,
    };

    std::thread_local! {
        static IRQL: Cell<KIRQL> = const { Cell::new(0) };
        static DPCS: RefCell<VecDeque<*mut KDPC>> = const { RefCell::new(VecDeque::new()) };
        static CLOCK: Cell<u64> = const { Cell::new(1_000_000) };
    }

    pub(crate) fn current() -> KIRQL {
        IRQL.get()
    }

    pub(crate) fn raise(level: KIRQL) -> KIRQL {
        assert!(level >= IRQL.get(), "raised from {} to {level}", IRQL.get());
        IRQL.replace(level)
    }

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

    pub(crate) unsafe extern "win64" fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
        DPCS.with_borrow_mut(|queue| {
            let before = queue.len();
            queue.retain(|queued| *queued != dpc);
            u8::from(queue.len() < before)
        })
    }

    pub(crate) fn interrupt_time() -> u64 {
        CLOCK.replace(CLOCK.get() + 1)
    }

    pub(crate) unsafe fn device_property(
        _fdo: PVOID,
        _property: u32,
        _room: u32,
        _buffer: PVOID,
        _length: *mut u32,
    ) -> NTSTATUS {
        status::STATUS_NOT_SUPPORTED
    }

    /// A millisecond goes by.
    pub(crate) fn pause() {
        CLOCK.set(CLOCK.get() + 10_000);
    }

    pub(crate) fn wake() {}

    pub(crate) unsafe extern "win64" fn KeInitializeTimerEx(_timer: *mut KTIMER, _kind: i32) {}
    pub(crate) unsafe extern "win64" fn KeSetTimerEx(
        _timer: *mut KTIMER,
        _due: i64,
        _period: i32,
        _dpc: *mut KDPC,
    ) -> u8 {
        0
    }
    pub(crate) unsafe extern "win64" fn KeCancelTimer(_timer: *mut KTIMER) -> u8 {
        0
    }
    pub(crate) unsafe extern "win64" fn KeSynchronizeExecution(
        _interrupt: *mut KINTERRUPT,
        routine: Option<KSYNCHRONIZE_ROUTINE>,
        context: PVOID,
    ) -> u8 {
        // SAFETY: the caller's routine and context.
        routine.map_or(0, |routine| unsafe { routine(context) })
    }
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
    pub(crate) unsafe extern "win64" fn IoDisconnectInterrupt(_interrupt: *mut KINTERRUPT) {}
}
