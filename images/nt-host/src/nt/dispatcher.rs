//! What threads wait for, and what is called later: dispatcher objects, DPCs, timers, queues (`wdm.h`).

use core::ffi::c_void;

use super::{LIST_ENTRY, PVOID};

/// Values of [`DISPATCHER_HEADER::Type`].
pub mod object_type {
    /// Type of dispatcher object: notification event.
    pub const NOTIFICATION_EVENT: u8 = 0;
    /// Type of dispatcher object: synchronization event.
    pub const SYNCHRONIZATION_EVENT: u8 = 1;
    /// Type of dispatcher object: mutant.
    pub const MUTANT: u8 = 2;
    /// Type of dispatcher object: semaphore.
    pub const SEMAPHORE: u8 = 5;
    /// Type of dispatcher object: thread.
    pub const THREAD: u8 = 6;
    /// Type of dispatcher object: notification timer.
    pub const NOTIFICATION_TIMER: u8 = 8;
    /// Type of dispatcher object: synchronization timer.
    pub const SYNCHRONIZATION_TIMER: u8 = 9;
    /// [`KDPC::Type`](super::KDPC): `DpcObject`.
    pub const DPC: u8 = 19;
}

/// What every dispatcher object begins with: type, signal state, waiters.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DISPATCHER_HEADER {
    pub Type: u8,
    pub Signalling: u8,
    /// In 32-bit words.
    pub Size: u8,
    /// Timers: bit 6 inserted, bit 7 expired.
    pub TimerMiscFlags: u8,
    pub SignalState: i32,
    pub WaitListHead: LIST_ENTRY,
}

/// An event.
#[repr(C)]
pub struct KEVENT {
    pub Header: DISPATCHER_HEADER,
}

/// A semaphore.
#[repr(C)]
pub struct KSEMAPHORE {
    pub Header: DISPATCHER_HEADER,
    pub Limit: i32,
}

/// A mutex.
#[repr(C)]
pub struct KMUTANT {
    pub Header: DISPATCHER_HEADER,
    pub MutantListEntry: LIST_ENTRY,
    pub OwnerThread: PVOID,
    pub Abandoned: u8,
    pub ApcDisable: u8,
}

/// The routine of a deferred procedure call: DPC, context, two arguments.
pub type KDEFERRED_ROUTINE =
    unsafe extern "win64" fn(dpc: *mut KDPC, context: PVOID, argument1: PVOID, argument2: PVOID);

/// A deferred procedure call.
#[repr(C)]
pub struct KDPC {
    pub Type: u8,
    pub Importance: u8,
    pub Number: u16,
    pub DpcListEntry: LIST_ENTRY,
    pub DeferredRoutine: Option<KDEFERRED_ROUTINE>,
    pub DeferredContext: PVOID,
    pub SystemArgument1: PVOID,
    pub SystemArgument2: PVOID,
    /// Non-null while queued.
    pub DpcData: PVOID,
}

/// A timer.
#[repr(C)]
pub struct KTIMER {
    pub Header: DISPATCHER_HEADER,
    /// Interrupt time, 100 ns.
    pub DueTime: u64,
    pub TimerListEntry: LIST_ENTRY,
    pub Dpc: *mut KDPC,
    pub Processor: u32,
    /// Milliseconds; 0 = once.
    pub Period: u32,
}

/// A thread's place on the wait list of one object.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KWAIT_BLOCK {
    pub WaitListEntry: LIST_ENTRY,
    /// `WaitAll` 0, `WaitAny` 1.
    pub WaitType: u8,
    pub BlockState: u8,
    pub WaitKey: u16,
    pub SpareLong: i32,
    pub Thread: PVOID,
    pub Object: PVOID,
    pub SparePtr: PVOID,
}

/// A fast mutex.
#[repr(C)]
pub struct FAST_MUTEX {
    pub Count: i32,
    pub Owner: PVOID,
    pub Contention: u32,
    pub Event: KEVENT,
    pub OldIrql: u32,
}

/// The part of a remove lock that every build has.
#[repr(C)]
pub struct IO_REMOVE_LOCK_COMMON_BLOCK {
    pub Removed: u8,
    pub Reserved: [u8; 3],
    pub IoCount: i32,
    pub RemoveEvent: KEVENT,
}

/// The routine of a work item.
pub type WORKER_THREAD_ROUTINE = unsafe extern "win64" fn(parameter: PVOID);

/// A work item of the executive.
#[repr(C)]
pub struct WORK_QUEUE_ITEM {
    pub List: LIST_ENTRY,
    pub WorkerRoutine: Option<WORKER_THREAD_ROUTINE>,
    pub Parameter: *mut c_void,
}

/// The start of the shared data page that inlined kernel calls read (`ntddk.h`, `KUSER_SHARED_DATA`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KSYSTEM_TIME {
    pub LowPart: u32,
    pub High1Time: i32,
    pub High2Time: i32,
}
