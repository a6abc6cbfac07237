//! Threads on one processor: preemptive by priority and quantum, switched at waits and on the way down from
//! `DISPATCH_LEVEL`.
#![allow(unsafe_code, reason = "stacks, processor state and intrusive lists")]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::process::Process;
use super::stack::{self, Stack};
use super::{dpc, handle, handlers, list, timer, wait};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, cpu, trap, user_half};
use crate::contract::verifier;
use crate::nt::irql::*;
use crate::nt::status::*;
use crate::nt::{
    DISPATCHER_HEADER, HANDLE, KSTART_ROUTINE, KTIMER, KWAIT_BLOCK, LIST_ENTRY, NTSTATUS, PVOID, object_type,
};
use crate::{containing_record, export_functions};

const PRIORITIES: usize = 32;
/// Priority of a system thread.
const PRIORITY_NORMAL: i32 = 8;
/// Clock ticks before another thread of the same priority has its turn.
const QUANTUM_TICKS: u32 = 20;
/// Objects that a wait needs no blocks of the caller's for (`THREAD_WAIT_OBJECTS`).
pub const THREAD_WAIT_OBJECTS: usize = 3;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Running,
    Waiting,
    Terminated,
}

#[repr(C, align(16))]
struct FloatState([u8; 512]);

/// A thread. Drivers see its first field: waiting for a thread waits for its end.
#[repr(C)]
pub struct Thread {
    header: DISPATCHER_HEADER,
    stack_pointer: u64,
    float: FloatState,
    pub(super) state: State,
    pub(super) priority: i32,
    quantum: u32,
    queue: LIST_ENTRY,
    pub(super) blocks: [KWAIT_BLOCK; THREAD_WAIT_OBJECTS + 1],
    pub(super) wait_blocks: *mut KWAIT_BLOCK,
    pub(super) wait_count: usize,
    pub(super) wait_status: NTSTATUS,
    pub(super) timer: KTIMER,
    critical_regions: i32,
    pub(super) start: Option<KSTART_ROUTINE>,
    context: PVOID,
    stack: Option<Stack>,
    exit_status: NTSTATUS,
    references: u32,
    pub(super) by_driver: bool,
    /// The process that it works for.
    process: Process,
    /// The innermost exception whose handlers are being called.
    dispatch: *const handlers::Active,
}

struct Scheduler {
    ready: [LIST_ENTRY; PRIORITIES],
    current: *mut Thread,
    idle: *mut Thread,
    main: *mut Thread,
    initial_float: *mut FloatState,
}

struct Own(UnsafeCell<Scheduler>);
// SAFETY: reached with interrupts disabled only.
unsafe impl Sync for Own {}

const EMPTY: LIST_ENTRY = LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() };
static SCHEDULER: Own = Own(UnsafeCell::new(Scheduler {
    ready: [EMPTY; PRIORITIES],
    current: core::ptr::null_mut(),
    idle: core::ptr::null_mut(),
    main: core::ptr::null_mut(),
    initial_float: core::ptr::null_mut(),
}));
static RESCHEDULE: AtomicBool = AtomicBool::new(false);
static DRIVER_THREADS: AtomicU32 = AtomicU32::new(0);

struct Threads(Vec<*mut Thread>);
// SAFETY: reached with interrupts disabled only.
unsafe impl Send for Threads {}
/// Threads that have ended and whose stacks are to be freed.
static DEAD: Uninterrupted<Threads> = Uninterrupted::new(Threads(Vec::new()));
/// Every thread that exists.
static ALL: Uninterrupted<Threads> = Uninterrupted::new(Threads(Vec::new()));

global_asm!(
    r#"
    .section .text.threads, "ax", @progbits
    /* switch_context(out old stack pointer, new stack pointer, old float state, new float state) */
    .global switch_context
switch_context:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    fxsave64 [rdx]
    fxrstor64 [rcx]
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

    .global thread_begin
thread_begin:
    xor ebp, ebp
    // It is entered like a function that was called, and calls one itself: drivers keep vectors on an aligned stack.
    sub rsp, 8
    call {enter}
    ud2
    "#,
    enter = sym enter,
);

unsafe extern "C" {
    fn switch_context(old: *mut u64, new: u64, old_float: *mut FloatState, new_float: *mut FloatState);
    fn thread_begin();
}

fn new_thread(priority: i32, by_driver: bool) -> *mut Thread {
    let thread = Box::into_raw(Box::new(Thread {
        header: DISPATCHER_HEADER {
            Type: object_type::THREAD,
            Signalling: 0,
            Size: 0,
            TimerMiscFlags: 0,
            SignalState: 0,
            WaitListHead: EMPTY,
        },
        stack_pointer: 0,
        float: FloatState([0; 512]),
        state: State::Ready,
        priority,
        quantum: QUANTUM_TICKS,
        queue: EMPTY,
        blocks: [KWAIT_BLOCK {
            WaitListEntry: EMPTY,
            WaitType: 0,
            BlockState: 0,
            WaitKey: 0,
            SpareLong: 0,
            Thread: core::ptr::null_mut(),
            Object: core::ptr::null_mut(),
            SparePtr: core::ptr::null_mut(),
        }; THREAD_WAIT_OBJECTS + 1],
        wait_blocks: core::ptr::null_mut(),
        wait_count: 0,
        wait_status: STATUS_SUCCESS,
        // SAFETY: plain data, initialised just below.
        timer: unsafe { core::mem::zeroed() },
        critical_regions: 0,
        start: None,
        context: core::ptr::null_mut(),
        stack: None,
        exit_status: STATUS_PENDING,
        references: 1,
        by_driver,
        process: Process::System,
        dispatch: core::ptr::null(),
    }));
    // SAFETY: a fresh thread.
    unsafe {
        list::init(&raw mut (*thread).header.WaitListHead);
        list::init(&raw mut (*thread).queue);
        timer::initialize(&raw mut (*thread).timer, object_type::NOTIFICATION_TIMER);
    }
    ALL.with(|all| all.0.push(thread));
    thread
}

/// Makes the code that runs now the main thread, and an idle thread beside it.
pub(super) fn init() {
    let scheduler = SCHEDULER.0.get();
    // SAFETY: runs once, interrupts off.
    unsafe {
        for head in &mut (*scheduler).ready {
            list::init(head);
        }
        let float = Box::into_raw(Box::new(FloatState([0; 512])));
        let mxcsr = 0x1f80u32;
        core::arch::asm!("fninit", "ldmxcsr [{m}]", "fxsave64 [{f}]", m = in(reg) &raw const mxcsr, f = in(reg) float);
        (*scheduler).initial_float = float;
        let main = new_thread(PRIORITY_NORMAL, false);
        (*main).state = State::Running;
        (*scheduler).main = main;
        (*scheduler).current = main;
        cpu::set_current_thread(main.cast());
        let idle = create(idle, core::ptr::null_mut(), 0, false).expect("memory for the idle thread");
        (*scheduler).idle = idle;
    }
}

unsafe extern "win64" fn idle(_context: PVOID) {
    loop {
        reap();
        x86_64::instructions::interrupts::enable_and_hlt();
    }
}

fn reap() {
    for thread in DEAD.with(|dead| core::mem::take(&mut dead.0)) {
        // SAFETY: the thread has ended and runs on its stack no more.
        unsafe {
            if let Some(stack) = (*thread).stack.take() {
                stack.free();
            }
            dereference(thread);
        }
    }
}

/// Creates a thread, ready to run.
pub(super) fn create(start: KSTART_ROUTINE, context: PVOID, priority: i32, by_driver: bool) -> Option<*mut Thread> {
    let stack = Stack::allocate(stack::STACK_BYTES)?;
    let thread = new_thread(priority, by_driver);
    // SAFETY: a fresh thread and a fresh stack.
    unsafe {
        (*thread).start = Some(start);
        (*thread).context = context;
        (*thread).stack = Some(stack);
        // As `switch_context` leaves it: six registers, the return address; aligned as at a function's entry.
        let top = (stack.end() - 16) as *mut u64;
        top.write(thread_begin as *const () as u64);
        (*thread).stack_pointer = top as u64 - 48;
        top.sub(6).write_bytes(0, 6);
        cpu::exclusively(|| {
            core::ptr::copy_nonoverlapping((*SCHEDULER.0.get()).initial_float, &raw mut (*thread).float, 1);
            make_ready(thread);
        });
    }
    Some(thread)
}

extern "C" fn enter() -> ! {
    user_half::show(false);
    cpu::set_exclusive_depth(0);
    super::level::set(cpu::irql(), PASSIVE_LEVEL);
    x86_64::instructions::interrupts::enable();
    let thread = current();
    // SAFETY: the thread that runs; its start routine was set when it was created.
    unsafe {
        if let Some(start) = (*thread).start {
            start((*thread).context);
        }
    }
    terminate(STATUS_SUCCESS)
}

fn terminate(status: NTSTATUS) -> ! {
    let thread = current();
    cpu::enter_exclusive();
    // SAFETY: the thread that runs; exclusive.
    unsafe {
        if (*thread).by_driver {
            DRIVER_THREADS.fetch_sub(1, Ordering::Relaxed);
        }
        (*thread).exit_status = status;
        (*thread).state = State::Terminated;
        wait::signal(&raw mut (*thread).header, 1);
        DEAD.with(|dead| dead.0.push(thread));
        switch_away();
    }
    unreachable!("a thread that has ended runs");
}

unsafe fn dereference(thread: *mut Thread) {
    // SAFETY: the caller gives up a reference to a live thread.
    unsafe {
        let last = cpu::exclusively(|| {
            (*thread).references -= 1;
            (*thread).references == 0
        });
        if last {
            ALL.with(|all| all.0.retain(|other| *other != thread));
            drop(Box::from_raw(thread));
        }
    }
}

/// Returns the thread that runs.
pub(super) fn current() -> *mut Thread {
    cpu::current_thread().cast()
}

/// Makes the code that runs on the second processor a thread, which is never switched away from.
pub(super) fn adopt() {
    let thread = new_thread(0, false);
    // SAFETY: a fresh thread.
    unsafe { (*thread).state = State::Running };
    cpu::set_current_thread(thread.cast());
}

/// Returns every thread that exists.
pub(super) fn all() -> Vec<*mut Thread> {
    ALL.with(|all| all.0.clone())
}

/// Returns how many system threads of the driver have not ended.
#[must_use]
pub fn driver_threads() -> u32 {
    DRIVER_THREADS.load(Ordering::Relaxed)
}

/// Returns whether the running thread is in a critical region.
pub(super) fn in_critical_region() -> bool {
    let thread = current();
    // SAFETY: the thread that runs.
    !thread.is_null() && unsafe { (*thread).critical_regions } > 0
}

/// Returns in how many critical and guarded regions the running thread is.
pub(super) fn critical_regions() -> i32 {
    let thread = current();
    // SAFETY: the thread that runs.
    if thread.is_null() { 0 } else { unsafe { (*thread).critical_regions } }
}

/// Puts the running thread into so many critical and guarded regions.
pub(super) fn set_critical_regions(regions: i32) {
    let thread = current();
    if !thread.is_null() {
        // SAFETY: the thread that runs.
        unsafe { (*thread).critical_regions = regions };
    }
}

/// Lets a thread run. Interrupts are off.
pub(super) unsafe fn make_ready(thread: *mut Thread) {
    // SAFETY: the callers hold interrupts off and give a live thread that is in no queue.
    unsafe {
        let scheduler = SCHEDULER.0.get();
        (*thread).state = State::Ready;
        (*thread).quantum = QUANTUM_TICKS;
        list::insert_before(&raw mut (*scheduler).ready[(*thread).priority as usize], &raw mut (*thread).queue);
        let current = (*scheduler).current;
        if !current.is_null() && (*thread).priority > (*current).priority {
            RESCHEDULE.store(true, Ordering::Relaxed);
            dpc::request_dispatch_of(0);
        }
    }
}

/// Returns the best ready thread of at least `priority`, taken out of its queue. Interrupts are off.
unsafe fn take_ready(priority: i32) -> Option<*mut Thread> {
    // SAFETY: the caller holds interrupts off.
    unsafe {
        let scheduler = SCHEDULER.0.get();
        for level in (priority.max(0) as usize..PRIORITIES).rev() {
            if let Some(entry) = list::pop(&raw mut (*scheduler).ready[level]) {
                return Some(containing_record!(entry, Thread, queue));
            }
        }
        None
    }
}

/// Counts a clock tick of the running thread.
pub(super) fn quantum_tick() {
    let thread = current();
    if thread.is_null() {
        return;
    }
    // SAFETY: the thread that was interrupted.
    unsafe {
        (*thread).quantum = (*thread).quantum.saturating_sub(1);
        if (*thread).quantum == 0 {
            RESCHEDULE.store(true, Ordering::Relaxed);
            trap::request_dispatch();
        }
    }
}

/// Switches to another thread if one should run; called by the dispatch interrupt, interrupts off.
pub(super) fn reschedule() {
    if !RESCHEDULE.swap(false, Ordering::Relaxed) {
        return;
    }
    // SAFETY: interrupts are off.
    unsafe {
        let thread = current();
        if thread.is_null() || (*thread).state != State::Running {
            return;
        }
        let at_least = if (*thread).quantum == 0 { (*thread).priority } else { (*thread).priority + 1 };
        match take_ready(at_least) {
            Some(next) => {
                (*thread).state = State::Ready;
                let quantum_over = (*thread).quantum == 0;
                (*thread).quantum = QUANTUM_TICKS;
                let head = &raw mut (*SCHEDULER.0.get()).ready[(*thread).priority as usize];
                // Preempted, it goes on first; its turn over, it goes last.
                list::insert_before(if quantum_over { head } else { (*head).Flink }, &raw mut (*thread).queue);
                switch_to(next);
            }
            None => (*thread).quantum = QUANTUM_TICKS,
        }
    }
}

/// Returns the processor away: the running thread waits or has ended. Interrupts are off; they are off when it
/// returns.
pub(super) unsafe fn switch_away() {
    // SAFETY: the caller's promise; the idle thread is always ready or running.
    unsafe {
        let next = take_ready(0).expect("the idle thread is always there");
        switch_to(next);
    }
}

unsafe fn switch_to(next: *mut Thread) {
    // SAFETY: interrupts are off; both threads are live.
    unsafe {
        let scheduler = SCHEDULER.0.get();
        let old = (*scheduler).current;
        (*next).state = State::Running;
        if next == old {
            return;
        }
        (*scheduler).current = next;
        cpu::set_current_thread(next.cast());
        let depth = cpu::exclusive_depth();
        switch_context(
            &raw mut (*old).stack_pointer,
            (*next).stack_pointer,
            &raw mut (*old).float,
            &raw mut (*next).float,
        );
        // Back on this thread.
        cpu::set_exclusive_depth(depth);
        user_half::show((*old).process != Process::System);
    }
}

/// Runs `body` as a thread of a process that asks the system for something: the user half of the address space is
/// there, and the previous mode is user mode.
pub fn as_caller<R>(process: Process, body: impl FnOnce() -> R) -> R {
    let set = |process| {
        cpu::exclusively(|| {
            user_half::show(process != Process::System);
            // SAFETY: the thread that runs.
            unsafe { core::mem::replace(&mut (*current()).process, process) }
        })
    };
    let before = set(process);
    let result = body();
    set(before);
    result
}

/// Returns the innermost exception that this thread dispatches.
pub(super) fn active_dispatch() -> *const handlers::Active {
    // SAFETY: the thread that runs.
    unsafe { (*current()).dispatch }
}

/// Makes an exception the innermost that this thread dispatches.
pub(super) fn set_active_dispatch(active: *const handlers::Active) {
    // SAFETY: the thread that runs.
    unsafe { (*current()).dispatch = active };
}

/// `XSTATE_MASK_LEGACY`: the x87 unit and SSE.
const LEGACY_FEATURES: u64 = 3;

unsafe extern "C" {
    static boot_stack_guard: u8;
    static boot_stack_top: u8;
}

/// Returns first address and end of the stack that is in use.
fn stack_limits() -> (u64, u64) {
    let here = 0u8;
    match stack::containing(&raw const here as u64).map(Stack::limits) {
        Some(limits) => (limits.start, limits.end),
        None => ((&raw const boot_stack_guard) as u64 + PAGE_SIZE, (&raw const boot_stack_top) as u64),
    }
}

/// Returns whether an address is on the stack that is in use.
#[must_use]
pub fn is_on_stack(address: u64) -> bool {
    let (first, end) = stack_limits();
    (first..end).contains(&address)
}

/// Returns the process that the running thread works for.
#[must_use]
pub fn process() -> Process {
    let thread = current();
    // SAFETY: the thread that runs, if threads run already.
    if thread.is_null() { Process::System } else { unsafe { (*thread).process } }
}

export_functions! {
    /// Threads.
    pub static EXPORTS;

    /// Returns the thread that runs.
    [ANY] fn KeGetCurrentThread() -> PVOID { current().cast() }

    /// Returns the thread that runs.
    [ANY] fn PsGetCurrentThread() -> PVOID { current().cast() }

    /// Returns the process that runs: one system process.
    [ANY] fn IoGetCurrentProcess() -> PVOID { (&raw const SCHEDULER).cast_mut().cast() }

    /// Returns the process that runs.
    [ANY] fn PsGetCurrentProcess() -> PVOID { (&raw const SCHEDULER).cast_mut().cast() }

    /// Returns the number.
    [ANY] fn PsGetCurrentProcessId() -> HANDLE { 4 as HANDLE }

    /// Returns the number of the thread that runs.
    [ANY] fn PsGetCurrentThreadId() -> HANDLE { (current() as u64 >> 4 & 0xffff_fffc) as HANDLE }

    /// Returns the mode of the caller that this thread works for.
    [ANY] fn ExGetPreviousMode() -> i8 { i8::from(process() != Process::System) }

    /// Returns whether the request of a packet comes from a 32-bit process; without one, whether this thread works
    /// for one.
    [ANY] fn IoIs32bitProcess(irp: *const crate::nt::IRP) -> u8 {
        let thread = if irp.is_null() || (*irp).Tail.Thread.is_null() { current() } else { (*irp).Tail.Thread.cast() };
        u8::from((*thread).process == Process::Narrow)
    }

    /// Returns whether a thread is the system's: all are.
    [ANY] fn PsIsSystemThread(_thread: PVOID) -> u8 { 1 }

    /// Creates a system thread.
    [PASSIVE] fn PsCreateSystemThread(handle: *mut HANDLE, _access: u32, _attributes: PVOID, _process: HANDLE,
        _client: PVOID, start: Option<KSTART_ROUTINE>, context: PVOID) -> NTSTATUS {
        let Some(start) = start else { return STATUS_INVALID_PARAMETER };
        let Some(thread) = create(start, context, PRIORITY_NORMAL, true) else { return STATUS_INSUFFICIENT_RESOURCES };
        DRIVER_THREADS.fetch_add(1, Ordering::Relaxed);
        {
            (*thread).references += 1;
            handle.write(handle::open(handle::Object::Thread(thread.cast())));
        }
        STATUS_SUCCESS
    }

    /// Ends the system thread that calls it.
    [PASSIVE] fn PsTerminateSystemThread(status: NTSTATUS) -> NTSTATUS {
        if current() == (*SCHEDULER.0.get()).main {
            return STATUS_INVALID_PARAMETER;
        }
        terminate(status)
    }

    /// Sets a thread's priority and gives the old one.
    [DISPATCH] fn KeSetPriorityThread(thread: *mut Thread, priority: i32) -> i32 {
        if !(1..PRIORITIES as i32).contains(&priority) {
            verifier::broken(None, 0xc4, "KeSetPriorityThread", [0, thread as u64, priority as u64, 0],
                format_args!("a thread's priority is 1 to 31, not {priority}"));
            return (*thread).priority;
        }
        cpu::exclusively(|| {
            let old = (*thread).priority;
            (*thread).priority = priority;
            if (*thread).state == State::Ready {
                list::remove(&raw mut (*thread).queue);
                make_ready(thread);
            }
            old
        })
    }

    /// Returns a thread's priority.
    [DISPATCH] fn KeQueryPriorityThread(thread: *mut Thread) -> i32 { (*thread).priority }

    /// Returns where the stack of the thread that runs begins and ends.
    [ANY] fn IoGetStackLimits(low: *mut u64, high: *mut u64) {
        let (first, end) = stack_limits();
        low.write(first);
        high.write(end);
    }

    /// Returns whether a range is on the stack of the thread that runs.
    [ANY] fn IoWithinStackLimits(start: u64, bytes: u64) -> u32 {
        let (first, end) = stack_limits();
        u32::from(start >= first && start.checked_add(bytes).is_some_and(|last| last <= end))
    }

    /// Returns where the stack of the thread that runs ends.
    [ANY] fn IoGetInitialStack() -> u64 { stack_limits().1 }

    /// Returns which of the processor's extended features are on: the x87 unit and SSE, which every thread has for
    /// itself.
    [ANY] fn RtlGetEnabledExtendedFeatures(mask: u64) -> u64 { mask & LEGACY_FEATURES }

    /// Saves extended state for its use: that of the features that are on is a thread's, and kept by the convention of
    /// calls.
    [DISPATCH] fn KeSaveExtendedProcessorState(mask: u64, _state: PVOID) -> NTSTATUS {
        if mask & !LEGACY_FEATURES == 0 { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
    }

    /// Undoes it.
    [DISPATCH] fn KeRestoreExtendedProcessorState(_state: PVOID) {}

    /// Keeps ordinary asynchronous procedure calls away.
    [APC] fn KeEnterCriticalRegion() { (*current()).critical_regions += 1 }

    /// Lets them in again.
    [APC] fn KeLeaveCriticalRegion() {
        let thread = current();
        {
            if (*thread).critical_regions == 0 {
                verifier::broken(None, 0xc4, "KeLeaveCriticalRegion", [0; 4],
                    format_args!("the thread is in no critical region: KeEnterCriticalRegion is missing"));
                return;
            }
            (*thread).critical_regions -= 1;
        }
    }
}

/// Takes another reference to a thread.
///
/// # Safety
/// `thread` is live.
pub unsafe fn reference(thread: PVOID) {
    // SAFETY: the caller's promise.
    cpu::exclusively(|| unsafe { (*thread.cast::<Thread>()).references += 1 });
}

/// Returns a reference up.
///
/// # Safety
/// The caller owns a reference.
pub unsafe fn release(thread: PVOID) {
    // SAFETY: the caller's promise.
    unsafe { dereference(thread.cast()) };
}
