//! `IInterruptSync`: one interrupt, several service routines, and routines that run synchronised with them.

#![allow(unsafe_code, reason = "service routines are called by address, at the interrupt's IRQL")]

use alloc::format;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::call_faults;
#[cfg(target_os = "none")]
use super::resources;
use super::resources::ResourceList;
use crate::contract::note::note;
use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::irql::DEVICE_LEVEL_MAX;
use crate::nt::status::{
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, success,
};
use crate::nt::{
    CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE, CM_RESOURCE_TYPE_INTERRUPT, CM_SHARE_SHARED,
    KINTERRUPT, KIRQL, NTSTATUS, PVOID,
};
use crate::portcls::com::guids::{GUID, IID_IINTERRUPTSYNC};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};

/// Most routines of one sync object: a card has a handful of functions.
const ROUTINES_MAX: usize = 16;

/// Walks over the routines in `InterruptSyncModeRepeat` before the host says that they never end.
const WALKS_MAX: usize = 10_000;

/// `PINTERRUPTSYNCROUTINE`.
pub(crate) type Routine = unsafe extern "win64" fn(PVOID, PVOID) -> NTSTATUS;

/// `INTERRUPTSYNCMODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Until one routine succeeds.
    Normal,
    /// Each once.
    All,
    /// Whole walks until no routine succeeds in one.
    Repeat,
}

impl Mode {
    fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Normal),
            2 => Some(Self::All),
            3 => Some(Self::Repeat),
            _ => None,
        }
    }
}

/// Service routines are called this often when the interrupt is connected: a quiet device is claimed by none, and one
/// with something pending is clean when its status has been read.
const QUIET_CALLS: usize = 8;

/// The routines in the order of their calls.
struct Routines {
    count: usize,
    list: [Option<(Routine, PVOID)>; ROUTINES_MAX],
}

/// How far the miniport that is being initialised has got, for the order that rule 19 demands.
mod initialising {
    /// No `IMiniportDMus::Init` is running.
    pub(crate) const NO: u8 = 0;
    /// One is, and no service group is registered.
    pub(crate) const WITHOUT_GROUP: u8 = 1;
    /// One is, and its service group is registered.
    pub(crate) const WITH_GROUP: u8 = 2;
}

static INITIALISING: AtomicU8 = AtomicU8::new(initialising::NO);

/// Runs a miniport's `Init`, so that an interrupt that it connects too early is noticed.
pub(crate) fn during_init<R>(init: impl FnOnce() -> R) -> R {
    INITIALISING.store(initialising::WITHOUT_GROUP, Ordering::Relaxed);
    let result = init();
    INITIALISING.store(initialising::NO, Ordering::Relaxed);
    result
}

/// Notes that the miniport that is being initialised has registered its service group.
pub(crate) fn group_registered() {
    let _ = INITIALISING.compare_exchange(
        initialising::WITHOUT_GROUP,
        initialising::WITH_GROUP,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
}

/// Where the interrupt is, by its translated descriptor.
#[derive(Clone, Copy)]
struct Line {
    vector: u32,
    irql: KIRQL,
    affinity: u64,
    latched: bool,
    shared: bool,
    /// A message, which no other device shares, instead of a line.
    message: bool,
}

/// `IInterruptSync`.
pub(crate) struct InterruptSync {
    mode: Mode,
    line: Line,
    /// Changed only at the interrupt's IRQL, where no service routine runs.
    routines: UnsafeCell<Routines>,
    interrupt: AtomicPtr<KINTERRUPT>,
}

// SAFETY: the routines are read and changed at the interrupt's IRQL only, on the guest's one processor.
unsafe impl Send for InterruptSync {}
// SAFETY: as above.
unsafe impl Sync for InterruptSync {}

impl InterruptSync {
    /// Makes a sync object for the n-th interrupt of a resource list. `None` when it has no such interrupt.
    fn of_resource(list: &Com<ResourceList>, number: u32, mode: Mode) -> Option<Com<Self>> {
        let entry = list.translated(i32::from(CM_RESOURCE_TYPE_INTERRUPT), number)?;
        let flags = entry.Flags;
        // SAFETY: the type says which member of the union it is. A message's translated descriptor is laid out as a
        // line's, so that the classical connection serves both. No page says that PcNewInterruptSync is for messages, or
        // that it is not.
        let place = unsafe { entry.u.Interrupt };
        let line = Line {
            vector: place.Vector,
            irql: place.Level as KIRQL,
            affinity: place.Affinity,
            latched: flags & CM_RESOURCE_INTERRUPT_LATCHED != 0,
            shared: entry.ShareDisposition == CM_SHARE_SHARED,
            message: flags & CM_RESOURCE_INTERRUPT_MESSAGE != 0,
        };
        Some(Com::new(Self {
            mode,
            line,
            routines: UnsafeCell::new(Routines { count: 0, list: [None; ROUTINES_MAX] }),
            interrupt: AtomicPtr::new(core::ptr::null_mut()),
        }))
    }

    /// Makes a sync object for the first interrupt of a resource list, with one service routine, for a miniport of the
    /// system's. `None` when the list has no interrupt.
    ///
    /// # Safety
    /// The routine can be called with the context until the object is disconnected.
    pub(crate) unsafe fn with_routine(
        list: &Com<ResourceList>,
        routine: Routine,
        context: PVOID,
    ) -> Option<Result<Com<Self>, NTSTATUS>> {
        let sync = Self::of_resource(list, 0, Mode::Normal)?;
        // SAFETY: a live object; the routine is the caller's.
        let status = unsafe { register_service_routine(sync.as_raw().cast(), Some(routine), context, 0) };
        Some(if success(status) { Ok(sync) } else { Err(status) })
    }

    /// Connects the interrupt.
    pub(crate) fn connect(this: &Com<Self>) -> NTSTATUS {
        // SAFETY: a live object.
        unsafe { connect(this.as_raw().cast()) }
    }

    /// Disconnects the interrupt.
    pub(crate) fn disconnect(this: &Com<Self>) {
        // SAFETY: a live object.
        unsafe { disconnect(this.as_raw().cast()) };
    }

    fn is_connected(&self) -> bool {
        !self.interrupt.load(Ordering::Acquire).is_null()
    }

    /// Runs `body` as the interrupt's routines run: at its IRQL, and with its lock once it is connected.
    fn synchronized<R>(&self, body: impl FnOnce() -> R) -> R {
        let interrupt = self.interrupt.load(Ordering::Acquire);
        if interrupt.is_null() {
            let before = kernel::raise(self.line.irql.max(irql::current()));
            let result = body();
            kernel::lower(before);
            return result;
        }
        // SAFETY: disconnecting happens at passive level on the processor that this runs on, so the object lives.
        unsafe {
            let before = kernel::KeAcquireInterruptSpinLock(interrupt);
            let result = body();
            kernel::KeReleaseInterruptSpinLock(interrupt, before);
            result
        }
    }

    /// Runs `body` with the routines, when none of them runs.
    fn at_interrupt_irql<R>(&self, body: impl FnOnce(&mut Routines) -> R) -> R {
        // SAFETY: the routines are not touched meanwhile.
        self.synchronized(|| body(unsafe { &mut *self.routines.get() }))
    }

    /// Interrupts in the very moment of the connection, as another device on a shared line does (rules 21, 60).
    fn fire_at_once(&self, this: PVOID) {
        if !watch::is_on() {
            return;
        }
        let claimed = self.synchronized(|| {
            rules::must_survive(rules::EARLY_INTERRUPT, || (0..QUIET_CALLS).all(|_| self.serve(this)))
        });
        if self.line.message {
            // Of no other device, so that a routine may claim it without a look at the device.
            return;
        }
        if claimed {
            violation(
                "IInterruptSync::Connect",
                Violation::new(
                    rules::INTERRUPT_NOT_OURS,
                    format!("the service routines claimed {QUIET_CALLS} interrupts in a row that no device had raised"),
                    "read the device's own status, return STATUS_UNSUCCESSFUL when it shows nothing or all ones, acknowledge it before Notify",
                ),
            );
        } else {
            rules::INTERRUPT_NOT_OURS.held();
        }
    }

    /// Calls the service routines by the mode. Returns whether any claimed the interrupt.
    fn serve(&self, this: PVOID) -> bool {
        // SAFETY: called at the interrupt's IRQL.
        let routines = unsafe { &*self.routines.get() };
        let walk = |until_success: bool| {
            let mut claimed = false;
            for (routine, context) in routines.list[..routines.count].iter().flatten() {
                // SAFETY: the driver registered it with this context, which outlives this object (rule 63).
                claimed |= success(unsafe { routine(this, *context) });
                if claimed && until_success {
                    break;
                }
            }
            claimed
        };
        match self.mode {
            Mode::Normal => walk(true),
            Mode::All => walk(false),
            Mode::Repeat => {
                let mut claimed = false;
                for _ in 0..WALKS_MAX {
                    if !walk(false) {
                        rules::INTERRUPT_CLAIM.held();
                        return claimed;
                    }
                    claimed = true;
                }
                violation(
                    "IInterruptSync (Repeat)",
                    Violation::new(
                        rules::INTERRUPT_CLAIM,
                        format!("the service routines claimed the same interrupt {WALKS_MAX} times"),
                        "return STATUS_UNSUCCESSFUL when the device's status register shows nothing, or reads all ones",
                    ),
                );
                true
            }
        }
    }
}

/// Every sync object that is connected, by address.
static CONNECTED: Lock<Vec<usize>> = Lock::new(Vec::new());

/// What a storm of interrupts did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Storm {
    /// Interrupts that came by a line: for each service routine as many.
    pub(crate) raised: u64,
    /// How many of them were claimed.
    pub(crate) claimed: u64,
}

/// Clock ticks after which a storm ends although not all its interrupts have come: a device whose registers are slow
/// costs its driver more than the clock's watchdog allows at one IRQL.
const STORM_TICKS_MAX: u64 = 500;

/// Calls every connected service routine this often in a row, at its IRQL, without a DPC between: what another device
/// on the line, or one gone mad, does. Returns how many came by a line and were claimed: a message belongs to no other
/// device, and may be claimed without a look at the device.
pub(crate) fn storm(interrupts: u32) -> Storm {
    let held = irql::Raised::to_dispatch();
    let connected = CONNECTED.with(|connected| connected.clone());
    let mut storm = Storm::default();
    for address in connected {
        // SAFETY: a connected object lives, and disconnecting happens at passive level, where this is not.
        let sync = unsafe { &*(address as *const Object<InterruptSync>) };
        let end = kernel::ticks() + STORM_TICKS_MAX;
        let (raised, claimed) = sync.synchronized(|| {
            let mut counts = (0, 0);
            while counts.0 < u64::from(interrupts) && kernel::ticks() < end {
                counts.0 += 1;
                counts.1 += u64::from(sync.serve(address as PVOID));
            }
            counts
        });
        if !sync.line.message {
            storm.raised += raised;
            storm.claimed += claimed;
        }
    }
    drop(held);
    storm
}

/// Serves an interrupt: what the kernel calls.
unsafe extern "win64" fn service(_interrupt: *mut KINTERRUPT, context: PVOID) -> u8 {
    // SAFETY: the interrupt is connected, so the object lives: it disconnects before its last release.
    let sync = unsafe { &*context.cast::<Object<InterruptSync>>() };
    let claimed = sync.serve(context);
    rules::INTERRUPT_CALLS.held();
    u8::from(claimed)
}

impl Class for InterruptSync {
    const NAME: &'static str = "IInterruptSync";
    const INTERFACES: &'static [GUID] = &[IID_IINTERRUPTSYNC];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<InterruptSync>();
        static VTABLE: [Slot; 8] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(call_synchronized_routine as *const ()),
            Slot(get_k_interrupt as *const ()),
            Slot(connect as *const ()),
            Slot(disconnect as *const ()),
            Slot(register_service_routine as *const ()),
        ];
        &VTABLE
    }

    fn released(object: &Object<Self>) {
        let address: *const Object<Self> = object;
        // SAFETY: an object of this class without another reference.
        if unsafe { disconnect_object(object, address as usize) } {
            note(
                rules::DISCONNECT,
                "IInterruptSync::Release",
                "the last reference is released while the interrupt is connected, which disconnects it; the samples mask the \
                 device's interrupts and call Disconnect before that",
            );
        }
        rules::DISCONNECT.held();
    }
}

type This = *mut Object<InterruptSync>;

/// A synchronised call on its way through the kernel.
struct Call {
    routine: Routine,
    this: PVOID,
    context: PVOID,
    status: NTSTATUS,
}

unsafe extern "win64" fn synchronized(context: PVOID) -> u8 {
    // SAFETY: the call is on the stack of `call_synchronized_routine`, which waits.
    unsafe {
        let call = &mut *context.cast::<Call>();
        call.status = (call.routine)(call.this, call.context);
        u8::from(success(call.status))
    }
}

unsafe extern "win64" fn call_synchronized_routine(this: This, routine: Option<Routine>, context: PVOID) -> NTSTATUS {
    irql::at_most(DEVICE_LEVEL_MAX, "IInterruptSync", "CallSynchronizedRoutine");
    let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
    let mut call = Call { routine, this: this.cast(), context, status: STATUS_UNSUCCESSFUL };
    // SAFETY: the caller holds a reference; the routine and its context are the caller's.
    unsafe {
        let interrupt = object(this).interrupt.load(Ordering::Acquire);
        if interrupt.is_null() {
            // Not connected: no service routine can run, and the routine may still count on its IRQL.
            let before = kernel::raise(object(this).line.irql.max(irql::current()));
            synchronized((&raw mut call).cast());
            kernel::lower(before);
        } else {
            kernel::KeSynchronizeExecution(interrupt, Some(synchronized), (&raw mut call).cast());
        }
    }
    call.status
}

unsafe extern "win64" fn get_k_interrupt(this: This) -> *mut KINTERRUPT {
    // SAFETY: the caller holds a reference.
    unsafe { &object(this).interrupt }.load(Ordering::Acquire)
}

unsafe extern "win64" fn connect(this: This) -> NTSTATUS {
    irql::passive("IInterruptSync", "Connect");
    // SAFETY: the caller holds a reference.
    let sync = unsafe { object(this) };
    let too_early = if sync.at_interrupt_irql(|routines| routines.count) == 0 {
        Some("no service routine is registered")
    } else if INITIALISING.load(Ordering::Relaxed) == initialising::WITHOUT_GROUP {
        Some("no service group is registered with the port")
    } else if sync.is_connected() {
        Some("it is connected already")
    } else {
        None
    };
    if let Some(what) = too_early {
        violation(
            "IInterruptSync::Connect",
            Violation::new(
                rules::INTERRUPT_ORDER,
                what,
                "RegisterServiceRoutine, IPortDMus::RegisterServiceGroup, then Connect: the interrupt may come at once",
            ),
        );
        if sync.is_connected() {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
    } else {
        rules::INTERRUPT_ORDER.held();
    }
    if call_faults::must_fail("IInterruptSync::Connect") || kernel::allocation_fails("IInterruptSync::Connect") {
        return crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;
    }
    let mut interrupt = core::ptr::null_mut();
    let line = sync.line;
    // SAFETY: the object is kept until Disconnect (rule 63).
    let status = unsafe {
        kernel::IoConnectInterrupt(
            &raw mut interrupt,
            Some(service),
            this.cast(),
            core::ptr::null_mut(),
            line.vector,
            line.irql,
            line.irql,
            i32::from(line.latched),
            u8::from(line.shared),
            line.affinity,
            0,
        )
    };
    if success(status) {
        sync.interrupt.store(interrupt, Ordering::Release);
        CONNECTED.with(|connected| connected.push(this as usize));
        sync.fire_at_once(this.cast());
    }
    status
}

unsafe extern "win64" fn disconnect(this: This) {
    irql::passive("IInterruptSync", "Disconnect");
    // SAFETY: the caller holds a reference.
    unsafe { disconnect_object(object(this), this as usize) };
}

/// Disconnects an object, which is at `address`, from its interrupt. Returns whether it was connected.
///
/// # Safety
/// `IoDisconnectInterrupt` may be called.
unsafe fn disconnect_object(sync: &InterruptSync, address: usize) -> bool {
    let interrupt = sync.interrupt.swap(core::ptr::null_mut(), Ordering::AcqRel);
    if interrupt.is_null() {
        return false;
    }
    CONNECTED.with(|connected| connected.retain(|entry| *entry != address));
    // SAFETY: by the caller; it was connected, and is disconnected once.
    unsafe { kernel::IoDisconnectInterrupt(interrupt) };
    true
}

unsafe extern "win64" fn register_service_routine(
    this: This,
    routine: Option<Routine>,
    context: PVOID,
    first: u8,
) -> NTSTATUS {
    irql::passive("IInterruptSync", "RegisterServiceRoutine");
    let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
    if call_faults::must_fail("IInterruptSync::RegisterServiceRoutine")
        || kernel::allocation_fails("IInterruptSync::RegisterServiceRoutine")
    {
        return crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.at_interrupt_irql(|routines| {
        if routines.count == ROUTINES_MAX {
            return crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;
        }
        let place = if first != 0 { 0 } else { routines.count };
        routines.list[place..=routines.count].rotate_right(1);
        routines.list[place] = Some((routine, context));
        routines.count += 1;
        STATUS_SUCCESS
    })
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What makes interrupt sync objects.
    pub(crate) static EXPORTS;

    /// Makes a sync object for the n-th interrupt of a resource list.
    [PASSIVE] fn PcNewInterruptSync(out: *mut PVOID, outer: PVOID, list: PVOID, number: u32, mode: i32) -> NTSTATUS {
        let (false, true, Some(mode)) = (out.is_null(), outer.is_null(), Mode::from_number(mode)) else {
            return STATUS_INVALID_PARAMETER;
        };
        let list = resources::list(list);
        let Some(sync) = list.and_then(|list| InterruptSync::of_resource(&list, number, mode)) else {
            return STATUS_INVALID_PARAMETER;
        };
        if call_faults::must_fail("PcNewInterruptSync") {
            return crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;
        }
        out.write(sync.into_raw());
        STATUS_SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    std::thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }

    fn sync(mode: Mode) -> Com<InterruptSync> {
        CALLS.set(0);
        Com::new(InterruptSync {
            mode,
            line: Line { vector: 0, irql: 5, affinity: 1, latched: false, shared: true, message: false },
            routines: UnsafeCell::new(Routines { count: 0, list: [None; ROUTINES_MAX] }),
            interrupt: AtomicPtr::new(core::ptr::null_mut()),
        })
    }

    /// Adds its context to the count, and claims as often as the context says.
    unsafe extern "win64" fn claims(_sync: PVOID, context: PVOID) -> NTSTATUS {
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() as usize <= context as usize { STATUS_SUCCESS } else { STATUS_UNSUCCESSFUL }
    }

    fn register(sync: &Com<InterruptSync>, claimed: usize) {
        // SAFETY: a live object; the context is a number.
        unsafe {
            register_service_routine(sync.as_raw().cast(), Some(claims), core::ptr::without_provenance_mut(claimed), 0)
        };
    }

    #[test]
    fn normal_mode_stops_at_the_first_that_claims() {
        let sync = sync(Mode::Normal);
        [0, 2, 9].into_iter().for_each(|claimed| register(&sync, claimed));
        assert!(sync.serve(sync.as_raw()));
        assert_eq!(CALLS.get(), 2);
    }

    #[test]
    fn all_mode_calls_each_once() {
        let sync = sync(Mode::All);
        [0, 2, 9].into_iter().for_each(|claimed| register(&sync, claimed));
        assert!(sync.serve(sync.as_raw()));
        assert_eq!(CALLS.get(), 3);
    }

    #[test]
    fn repeat_mode_walks_until_no_routine_claims() {
        let sync = sync(Mode::Repeat);
        [5, 5].into_iter().for_each(|claimed| register(&sync, claimed));
        assert!(sync.serve(sync.as_raw()));
        assert_eq!(CALLS.get(), 8);
    }

    #[test]
    fn does_not_claim_an_interrupt_that_no_routine_claims() {
        for mode in [Mode::Normal, Mode::All, Mode::Repeat] {
            let sync = sync(mode);
            register(&sync, 0);
            assert!(!sync.serve(sync.as_raw()));
        }
    }
}
