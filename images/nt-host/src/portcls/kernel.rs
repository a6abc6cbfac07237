//! What PortCls uses of the kernel half, in one place; and a small double of it for tests on the build machine.

#[cfg(target_os = "none")]
pub(crate) use target::*;

#[cfg(test)]
pub(crate) use double::*;

#[cfg(target_os = "none")]
mod target {
    #![allow(unsafe_code, reason = "exported functions of the kernel are unsafe to call")]

    use core::sync::atomic::{AtomicBool, Ordering};

    pub(crate) use crate::exports::{
        IoConnectInterrupt, IoDisconnectInterrupt, KeAcquireInterruptSpinLock, KeCancelTimer, KeInitializeDpc,
        KeInitializeTimerEx, KeInsertQueueDpc, KeReleaseInterruptSpinLock, KeRemoveQueueDpc, KeSetTimerEx,
        KeSynchronizeExecution,
    };
    use crate::nt::{KDPC, KIRQL, KTIMER, PVOID};

    pub(crate) use super::super::adapter::{device_property, is_registered, physical_connection};
    use super::super::events::{self, Generated};
    pub(crate) use super::super::registry_key::of_port as registry_key_of_port;
    pub(crate) use super::super::unregister;
    pub(crate) use crate::alloc_faults::refuse;
    use crate::arch::uninterrupted::Uninterrupted;
    pub(crate) use crate::ks::event::{check_notification, signal};
    use crate::ks::layout::{KSEVENT_ENTRY, KSEVENTDATA};

    /// The current IRQL.
    pub(crate) fn current() -> KIRQL {
        crate::arch::cpu::irql()
    }

    /// The number of this processor.
    pub(crate) fn processor() -> usize {
        crate::arch::cpu::number()
    }

    /// What is done between two looks at a lock.
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

    /// Time since boot, in 100 ns units.
    pub(crate) fn interrupt_time() -> u64 {
        crate::ke::time::interrupt_time()
    }

    /// Time that the machine ran since boot, in 100 ns units.
    pub(crate) fn ran() -> i64 {
        (crate::arch::clock::ran() / 100).cast_signed()
    }

    /// Waits until no DPC is queued or runs on any processor. At `PASSIVE_LEVEL`.
    pub(crate) fn flush_dpcs() {
        // SAFETY: it has no other condition.
        unsafe { crate::exports::KeFlushQueuedDpcs() };
    }

    /// Clock ticks since boot, which come only while the processor runs.
    pub(crate) fn ticks() -> u64 {
        crate::ke::time::ticks()
    }

    /// Time since boot, in nanoseconds.
    pub(crate) fn nanoseconds() -> u64 {
        crate::arch::clock::nanoseconds()
    }

    /// Whether a pointer-sized value can be read there.
    pub(crate) fn is_readable(address: usize) -> bool {
        crate::arch::paging::accessible(address as u64, size_of::<usize>() as u64, false)
    }

    /// Whether an address lies in the driver's image.
    pub(crate) fn is_driver_code(address: usize) -> bool {
        crate::bugcheck::modules::module()
            .is_some_and(|module| (module.base..module.base + module.size).contains(&(address as u64)))
    }

    /// Outstanding pool allocations of the driver's, and their bytes.
    pub(crate) fn pool() -> (u64, u64) {
        let (count, bytes, _) = crate::mm::pool::totals();
        (count, bytes)
    }

    /// Memory that ends where nothing is mapped.
    pub(crate) struct Edge {
        page: u64,
    }

    impl Edge {
        /// A page of it.
        pub(crate) fn new() -> Option<Self> {
            let bytes = crate::arch::PAGE_SIZE;
            crate::mm::contiguous::allocate_contiguous(bytes, bytes, 0, u64::MAX - 1).map(|(page, _)| Self { page })
        }

        /// The bytes, at the very end; at most a page.
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

    /// Calls `routine` from a DPC while `body` runs: every millisecond, and whenever `body` gives a DPC the chance, be it
    /// only between two instructions.
    pub(crate) fn with_interruptions<R>(routine: &dyn Fn(), body: impl FnOnce() -> R) -> R {
        // SAFETY: all zero is a valid value of plain C structures; all are initialised here, and taken back before they
        // and what the DPCs call go.
        unsafe {
            let mut timer: alloc::boxed::Box<KTIMER> = alloc::boxed::Box::new(core::mem::zeroed());
            let mut dpcs: alloc::boxed::Box<[KDPC; 2]> = alloc::boxed::Box::new(core::mem::zeroed());
            let context = &raw const routine;
            let [timed, taken] = &mut *dpcs;
            KeInitializeTimerEx(&raw mut *timer, 1);
            for dpc in [&raw mut *timed, &raw mut *taken] {
                KeInitializeDpc(dpc, Some(call_routine), context.cast_mut().cast());
            }
            KeSetTimerEx(&raw mut *timer, -10_000, 1, timed);
            let result = crate::ke::preemption_point::taken_by(taken, body);
            KeCancelTimer(&raw mut *timer);
            for dpc in [&raw mut *timed, &raw mut *taken] {
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

    /// An entry for an event.
    pub(crate) fn create_event(data: &KSEVENTDATA, flags: u32) -> *mut KSEVENT_ENTRY {
        crate::ks::event::create(0, data, flags)
    }

    /// Frees it.
    ///
    /// # Safety
    /// Nobody uses it any more.
    pub(crate) unsafe fn free_event(entry: *mut KSEVENT_ENTRY) {
        // SAFETY: by the caller.
        unsafe { crate::ks::event::free("IPortEvents", entry) };
    }

    struct Later(core::cell::UnsafeCell<KDPC>);
    // SAFETY: only passed to the kernel's functions.
    unsafe impl Sync for Later {}
    // SAFETY: all zero until it is initialised, before it is queued first.
    static LATER: Later = Later(core::cell::UnsafeCell::new(unsafe { core::mem::zeroed() }));
    static GENERATED: Uninterrupted<alloc::vec::Vec<Generated>> = Uninterrupted::new(alloc::vec::Vec::new());

    /// Has events generated from a DPC.
    pub(crate) fn generate_later(wanted: Generated) {
        // SAFETY: the DPC is initialised by whoever comes first, before it is queued.
        unsafe {
            GENERATED.with(|generated| {
                generated.push(wanted);
                if (*LATER.0.get()).DeferredRoutine.is_none() {
                    KeInitializeDpc(LATER.0.get(), Some(generate_now), core::ptr::null_mut());
                }
            });
            KeInsertQueueDpc(LATER.0.get(), core::ptr::null_mut(), core::ptr::null_mut());
        }
    }

    unsafe extern "win64" fn generate_now(_dpc: *mut KDPC, _context: PVOID, _first: PVOID, _second: PVOID) {
        for wanted in GENERATED.with(core::mem::take) {
            events::generate(&wanted);
        }
    }

    /// Whether the host's main thread is in [`pause`].
    static PAUSED: AtomicBool = AtomicBool::new(false);

    /// Sleeps until [`wake`] is called, for a millisecond at most. At `PASSIVE_LEVEL`.
    pub(crate) fn pause() {
        PAUSED.store(true, Ordering::Relaxed);
        crate::ke::idle(1_000_000);
        PAUSED.store(false, Ordering::Relaxed);
    }

    /// `IoMarkIrpPending`.
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
        static NUMBER: u8 = const { 0 };
    }

    /// What is one processor's alone: here, a thread's.
    pub(crate) fn processor() -> usize {
        NUMBER.with(|number| core::ptr::from_ref(number) as usize)
    }

    /// What is done between two looks at a lock.
    pub(crate) fn while_spinning() {
        std::thread::yield_now();
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

    pub(crate) fn nanoseconds() -> u64 {
        interrupt_time() * 100
    }

    pub(crate) fn ticks() -> u64 {
        0
    }

    pub(crate) fn ran() -> i64 {
        interrupt_time().cast_signed()
    }

    pub(crate) fn interrupt_time() -> u64 {
        CLOCK.replace(CLOCK.get() + 1)
    }

    pub(crate) fn is_readable(_address: usize) -> bool {
        true
    }

    pub(crate) fn is_driver_code(address: usize) -> bool {
        address != 0
    }

    /// A thread's DPCs have run whenever it is at `PASSIVE_LEVEL`.
    pub(crate) fn flush_dpcs() {
        assert_eq!(current(), 0, "DPCs are waited for at PASSIVE_LEVEL");
    }

    pub(crate) fn with_interruptions<R>(routine: &dyn Fn(), body: impl FnOnce() -> R) -> R {
        routine();
        let result = body();
        routine();
        result
    }

    pub(crate) fn pool() -> (u64, u64) {
        (0, 0)
    }

    pub(crate) struct Edge(std::boxed::Box<[u64]>);

    impl Edge {
        pub(crate) fn new() -> Option<Self> {
            Some(Self(std::vec![0; 512].into_boxed_slice()))
        }

        pub(crate) fn place(&self, bytes: &[u8]) -> *mut u8 {
            let at = self.0.as_ptr().cast_mut().cast::<u8>().wrapping_add(4096 - bytes.len());
            // SAFETY: inside the box.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
            at
        }
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

    pub(crate) fn is_registered(_port: PVOID) -> bool {
        true
    }

    pub(crate) fn physical_connection(_port: PVOID, _pin: u32) -> Option<(u32, std::string::String)> {
        None
    }

    pub(crate) unsafe fn registry_key_of_port(
        _fdo: PVOID,
        _port: PVOID,
        _out: (*mut PVOID, PVOID),
        _kind: (u32, u32),
        _attributes: PVOID,
        _options: u32,
        _disposition: *mut u32,
    ) -> NTSTATUS {
        status::STATUS_NOT_SUPPORTED
    }

    pub(crate) mod unregister {
        use super::{NTSTATUS, PVOID, status};

        pub(crate) fn subdevice(_fdo: PVOID, _port: PVOID) -> NTSTATUS {
            status::STATUS_NOT_SUPPORTED
        }

        pub(crate) unsafe fn connection(_fdo: PVOID, _from: (PVOID, bool, u32), _to: (PVOID, bool, u32)) -> NTSTATUS {
            status::STATUS_NOT_SUPPORTED
        }
    }

    pub(crate) fn refuse(_function: &str) -> bool {
        false
    }

    pub(crate) fn check_notification(_data: &crate::ks::layout::KSEVENTDATA) -> NTSTATUS {
        status::STATUS_SUCCESS
    }

    /// The client's `Object` is the address of a counter here.
    pub(crate) unsafe fn signal(entry: *mut crate::ks::layout::KSEVENT_ENTRY) -> NTSTATUS {
        // SAFETY: the test's counter outlives its event.
        unsafe { *(*entry).Object.cast::<u32>() += 1 };
        status::STATUS_SUCCESS
    }

    pub(crate) fn create_event(
        data: &crate::ks::layout::KSEVENTDATA,
        flags: u32,
    ) -> *mut crate::ks::layout::KSEVENT_ENTRY {
        // SAFETY: all zero is a valid entry.
        let mut entry: std::boxed::Box<crate::ks::layout::KSEVENT_ENTRY> =
            std::boxed::Box::new(unsafe { core::mem::zeroed() });
        (entry.Object, entry.Flags) = (data.Object as PVOID, flags);
        std::boxed::Box::into_raw(entry)
    }

    pub(crate) unsafe fn free_event(entry: *mut crate::ks::layout::KSEVENT_ENTRY) {
        // SAFETY: made by `create_event`.
        drop(unsafe { std::boxed::Box::from_raw(entry) });
    }

    pub(crate) fn generate_later(wanted: crate::portcls::events::Generated) {
        crate::portcls::events::generate(&wanted);
    }

    /// A millisecond goes by.
    pub(crate) fn pause() {
        CLOCK.set(CLOCK.get() + 10_000);
    }

    pub(crate) fn wake() {}

    pub(crate) fn mark_pending(_irp: PVOID) {}

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

    pub(crate) unsafe extern "win64" fn KeAcquireInterruptSpinLock(_interrupt: *mut KINTERRUPT) -> KIRQL {
        0
    }

    pub(crate) unsafe extern "win64" fn KeReleaseInterruptSpinLock(_interrupt: *mut KINTERRUPT, _old: KIRQL) {}
}
