//! Waiting for dispatcher objects.
#![allow(unsafe_code, reason = "wait lists of the Windows ABI")]

use core::cell::UnsafeCell;

use super::lock_order::{self, Holder};
use super::thread::{self, State, THREAD_WAIT_OBJECTS, Thread};
use super::{event, level, list, resident, timer};
use crate::arch::cpu;
use crate::contract::{checks, verifier, watch};
use crate::nt::irql::*;
use crate::nt::status::*;
use crate::nt::{DISPATCHER_HEADER, KEVENT, KMUTANT, KWAIT_BLOCK, LIST_ENTRY, NTSTATUS, PVOID, object_type};
use crate::{containing_record, export_functions};

const WAIT_ALL: u8 = 0;
const WAIT_ANY: u8 = 1;
const MAXIMUM_WAIT_OBJECTS: usize = 64;

struct HostEvent(UnsafeCell<KEVENT>);
// SAFETY: reached with interrupts disabled only.
unsafe impl Sync for HostEvent {}

/// What the host's main thread sleeps on.
static HOST: HostEvent = HostEvent(UnsafeCell::new(KEVENT {
    Header: DISPATCHER_HEADER {
        Type: object_type::SYNCHRONIZATION_EVENT,
        Signalling: 0,
        Size: 0,
        TimerMiscFlags: 0,
        SignalState: 0,
        WaitListHead: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
    },
}));

/// Wakes the host's main thread.
pub(super) fn signal_host() {
    // SAFETY: a live object.
    unsafe { signal(HOST.0.get().cast(), 1) };
}

/// Lets the host's main thread wait for the serial line or a wake-up, at most `timeout_ns` nanoseconds.
pub(super) fn host_idle(timeout_ns: u64) {
    if crate::arch::serial::readable() {
        return;
    }
    let timeout = -((timeout_ns / 100).min(i64::MAX as u64) as i64);
    // SAFETY: a live object, on the main thread.
    unsafe { wait_for("ke::idle", &[HOST.0.get().cast()], false, Some(timeout), core::ptr::null_mut()) };
}

/// Sets an object's signal state and releases the threads that wait for it.
///
/// # Safety
/// `object` is a live dispatcher object.
pub unsafe fn signal(object: *mut DISPATCHER_HEADER, state: i32) {
    cpu::exclusively(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            (*object).SignalState = state;
            release_waiters(object);
        }
    });
}

/// Lets waiters go as far as the object's state allows. Interrupts are off.
pub(super) unsafe fn release_waiters(object: *mut DISPATCHER_HEADER) {
    // SAFETY: the callers hold interrupts off and give a live object.
    unsafe {
        let head = &raw mut (*object).WaitListHead;
        if (*head).Flink.is_null() {
            list::init(head);
        }
        let mut at = (*head).Flink;
        while at != head {
            let block = containing_record!(at, KWAIT_BLOCK, WaitListEntry);
            at = (*at).Flink;
            let waiter = (*block).Thread.cast::<Thread>();
            if !signaled(object, waiter) {
                return;
            }
            let blocks = core::slice::from_raw_parts((*waiter).wait_blocks, (*waiter).wait_count);
            if (*block).WaitType == WAIT_ALL {
                if !blocks.iter().all(|block| signaled(block.Object.cast(), waiter)) {
                    continue;
                }
                blocks.iter().for_each(|block| acquire(block.Object.cast(), waiter));
                wake(waiter, STATUS_SUCCESS);
            } else {
                acquire(object, waiter);
                wake(waiter, NTSTATUS::from((*block).WaitKey));
            }
            // The list has changed under us: `wake` took the waiter's blocks out.
            at = (*head).Flink;
        }
    }
}

/// Ends a thread's wait. Interrupts are off.
unsafe fn wake(thread: *mut Thread, status: NTSTATUS) {
    // SAFETY: the callers hold interrupts off; the thread waits.
    unsafe {
        for index in 0..(*thread).wait_count {
            list::remove(&raw mut (*(*thread).wait_blocks.add(index)).WaitListEntry);
        }
        (*thread).wait_count = 0;
        (*thread).wait_status = status;
        timer::cancel(&raw mut (*thread).timer);
        list::init(&raw mut (*thread).timer.Header.WaitListHead);
        thread::make_ready(thread);
    }
}

unsafe fn signaled(object: *mut DISPATCHER_HEADER, thread: *mut Thread) -> bool {
    // SAFETY: a live object.
    unsafe {
        (*object).SignalState > 0
            || ((*object).Type == object_type::MUTANT && (*object.cast::<KMUTANT>()).OwnerThread == thread.cast())
    }
}

/// Changes the object by which a wait was satisfied.
unsafe fn acquire(object: *mut DISPATCHER_HEADER, thread: *mut Thread) {
    // SAFETY: a live, signaled object.
    unsafe {
        match (*object).Type & 0x7f {
            object_type::SYNCHRONIZATION_EVENT | object_type::SYNCHRONIZATION_TIMER => (*object).SignalState = 0,
            object_type::SEMAPHORE => (*object).SignalState -= 1,
            object_type::MUTANT => {
                if (*object).SignalState == 1 {
                    lock_order::acquired(Holder::Thread(thread as u64), object as u64);
                }
                (*object).SignalState -= 1;
                (*object.cast::<KMUTANT>()).OwnerThread = thread.cast();
            }
            _ => {}
        }
    }
}

/// Waits for objects. `timeout`: `None` for ever, negative relative, zero not at all, positive system time; 100 ns
/// units.
///
/// # Safety
/// The objects are live, the blocks null or as many as the objects.
pub unsafe fn wait_for(
    function: &'static str,
    objects: &[*mut DISPATCHER_HEADER],
    all: bool,
    timeout: Option<i64>,
    blocks: *mut KWAIT_BLOCK,
) -> NTSTATUS {
    let level = cpu::irql();
    super::preemption_point::pass();
    if timeout != Some(0) && level > APC_LEVEL {
        verifier::stop_by_rule(
            verifier::RULE_IRQL,
            0x0a,
            function,
            [objects[0] as u64, u64::from(level), 0, 0],
            format_args!(
                "{function} was called at IRQL {level} with a timeout that is not zero: only a thread at PASSIVE_LEVEL or APC_LEVEL can wait. In a DPC or under a spin lock, use a zero timeout or move the work to a work item"
            ),
        );
    }
    let thread = thread::current();
    // SAFETY: the caller's promise.
    unsafe { objects.iter().for_each(|&object| check(function, object)) };
    objects.iter().for_each(|&object| resident::expect(function, "an object to wait for", object));
    // A thread that waits for one of several objects, or for a time, can go on without the mutex.
    if let ([mutex], None) = (objects, timeout)
        // SAFETY: a dispatcher object, as was just checked.
        && unsafe { (**mutex).Type } & 0x7f == object_type::MUTANT
    {
        lock_order::ordered(function, Holder::Thread(thread as u64), *mutex as u64);
    }
    cpu::exclusively(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            if all {
                if objects.iter().all(|&object| signaled(object, thread)) {
                    objects.iter().for_each(|&object| acquire(object, thread));
                    return STATUS_SUCCESS;
                }
            } else if let Some(index) = objects.iter().position(|&object| signaled(object, thread)) {
                acquire(objects[index], thread);
                return index as NTSTATUS;
            }
            if timeout == Some(0) {
                return STATUS_TIMEOUT;
            }
            block_thread(thread, objects, all, timeout, blocks);
            // Another thread ran meanwhile, at a level of its own.
            level::set(cpu::irql(), level);
            (*thread).wait_status
        }
    })
}

unsafe fn block_thread(
    thread: *mut Thread,
    objects: &[*mut DISPATCHER_HEADER],
    all: bool,
    timeout: Option<i64>,
    blocks: *mut KWAIT_BLOCK,
) {
    // SAFETY: interrupts are off; the caller gives live objects and room for the blocks.
    unsafe {
        let (own, room) = if blocks.is_null() {
            (&raw mut (*thread).blocks as *mut KWAIT_BLOCK, THREAD_WAIT_OBJECTS)
        } else {
            (blocks, MAXIMUM_WAIT_OBJECTS - 1)
        };
        debug_assert!(objects.len() <= room);
        for (index, &object) in objects.iter().enumerate() {
            let block = own.add(index);
            (*block).WaitType = if all { WAIT_ALL } else { WAIT_ANY };
            (*block).WaitKey = index as u16;
            (*block).Thread = thread.cast();
            (*block).Object = object.cast();
            let head = &raw mut (*object).WaitListHead;
            if (*head).Flink.is_null() {
                list::init(head);
            }
            list::insert_before(head, &raw mut (*block).WaitListEntry);
        }
        (*thread).wait_blocks = own;
        (*thread).wait_count = objects.len();
        (*thread).state = State::Waiting;
        if let Some(timeout) = timeout {
            // The thread's own timer ends the wait through its one block, kept apart from the caller's.
            (*thread).timer.Header.SignalState = 0;
            TIMEOUTS.watch(thread);
            timer::set(&raw mut (*thread).timer, timeout, 0, core::ptr::null_mut());
        }
        thread::switch_away();
    }
}

/// How a thread's timer ends its wait: the timer object's wait list holds the thread's last block.
struct Timeouts;
static TIMEOUTS: Timeouts = Timeouts;

impl Timeouts {
    unsafe fn watch(&self, thread: *mut Thread) {
        // SAFETY: interrupts are off; the block is the thread's own and in no list.
        unsafe {
            let block = &raw mut (*thread).blocks[THREAD_WAIT_OBJECTS];
            (*block).WaitType = WAIT_ANY;
            (*block).WaitKey = STATUS_TIMEOUT as u16;
            (*block).Thread = thread.cast();
            (*block).Object = (&raw mut (*thread).timer).cast();
            let head = &raw mut (*thread).timer.Header.WaitListHead;
            list::init(head);
            list::insert_before(head, &raw mut (*block).WaitListEntry);
        }
    }
}

unsafe fn check(function: &'static str, object: *mut DISPATCHER_HEADER) {
    // SAFETY: an export's argument.
    let kind = unsafe { (*object).Type } & 0x7f;
    if !matches!(kind, 0 | 1 | 2 | 5 | 6 | 8 | 9) {
        verifier::stop(
            0xc4,
            function,
            [object as u64, u64::from(kind), 0, 0],
            format_args!(
                "the object at {object:p} is no dispatcher object (type {kind}): it was never initialised, or is gone"
            ),
        );
    }
}

/// `UserMode`.
const USER_MODE: i8 = 1;

/// Checks that a wait in `UserMode`, during which the stack may be paged out, needs nothing of the stack, and is for no
/// mutex.
fn expect_kernel_mode(function: &'static str, mode: i8, objects: &[*mut DISPATCHER_HEADER], blocks: *mut KWAIT_BLOCK) {
    if mode != USER_MODE || !watch::is_on() {
        return;
    }
    let on_stack = |address: u64| thread::is_on_stack(address);
    // SAFETY: an export's arguments.
    let is_mutex = |object: &&*mut DISPATCHER_HEADER| unsafe { (***object).Type } & 0x7f == object_type::MUTANT;
    let wrong = if let Some(object) = objects.iter().find(|&&object| on_stack(object as u64)) {
        Some((*object as u64, "is on the stack, which may be paged out during a wait in UserMode"))
    } else if on_stack(blocks as u64) {
        Some((
            blocks as u64,
            "is the array of wait blocks, on the stack, which may be paged out during a wait in UserMode",
        ))
    } else {
        objects
            .iter()
            .find(is_mutex)
            .map(|mutex| (*mutex as u64, "is a mutex, for which only waits in KernelMode are allowed"))
    };
    if let Some((address, why)) = wrong {
        verifier::failed(
            checks::USER_WAIT_ON_STACK,
            0xc4,
            function,
            [address, 0, 0, 0],
            format_args!("{function} waits in UserMode, and what is at {address:#x} {why}: wait in KernelMode"),
        );
    }
}

unsafe fn timeout_of(timeout: *const i64) -> Option<i64> {
    // SAFETY: null or a pointer of the caller's.
    unsafe { timeout.as_ref().copied() }
}

export_functions! {
    /// Waiting.
    pub static EXPORTS;

    /// Waits for an object.
    [DISPATCH] fn KeWaitForSingleObject(object: *mut DISPATCHER_HEADER, _reason: i32, mode: i8, _alertable: u8,
        timeout: *const i64) -> NTSTATUS {
        expect_kernel_mode("KeWaitForSingleObject", mode, &[object], core::ptr::null_mut());
        wait_for("KeWaitForSingleObject", &[object], false, timeout_of(timeout), core::ptr::null_mut())
    }

    /// Waits for all (0) or any (1) of several objects.
    [DISPATCH] fn KeWaitForMultipleObjects(count: u32, objects: *const *mut DISPATCHER_HEADER, kind: i32, _reason: i32,
        mode: i8, _alertable: u8, timeout: *const i64, blocks: *mut KWAIT_BLOCK) -> NTSTATUS {
        let count = count as usize;
        if count == 0 || count > MAXIMUM_WAIT_OBJECTS || (blocks.is_null() && count > THREAD_WAIT_OBJECTS) {
            verifier::stop(0x0c, "KeWaitForMultipleObjects", [count as u64, 0, 0, 0],
                format_args!("{count} objects: 1 to {THREAD_WAIT_OBJECTS} without wait blocks, at most {MAXIMUM_WAIT_OBJECTS} with them"));
        }
        {
            let objects = core::slice::from_raw_parts(objects, count);
            expect_kernel_mode("KeWaitForMultipleObjects", mode, objects, blocks);
            wait_for("KeWaitForMultipleObjects", objects, kind == 0, timeout_of(timeout), blocks)
        }
    }

    /// Lets time pass.
    [APC] fn KeDelayExecutionThread(_mode: i8, _alertable: u8, interval: *const i64) -> NTSTATUS {
        let interval = interval.read();
        if interval == 0 {
            return STATUS_SUCCESS;
        }
        let mut never = KEVENT { Header: event::header(object_type::NOTIFICATION_EVENT, 0) };
        let status = {
            wait_for("KeDelayExecutionThread", &[(&raw mut never).cast()], false, Some(interval), core::ptr::null_mut())
        };
        if status == STATUS_TIMEOUT { STATUS_SUCCESS } else { status }
    }
}

/// Waits for ever for one object, for the host and its exports.
///
/// # Safety
/// `object` is a live dispatcher object.
pub unsafe fn wait_one(function: &'static str, object: PVOID) -> NTSTATUS {
    // SAFETY: the caller's promise.
    unsafe { wait_for(function, &[object.cast()], false, None, core::ptr::null_mut()) }
}
