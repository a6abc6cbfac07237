//! Interrupt objects: a driver's service routine on a line that others may share, or on a message of its own.
#![allow(unsafe_code, reason = "interrupt objects of the Windows ABI")]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use guest_protocol::MarkKind;

use super::{message_connection, spin_lock, stack};
use crate::arch::cpu::{self, PROCESSORS_MAX};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{apic, clock, marks, smp, stop, trap};
use crate::contract::{checks, delay, rules, verifier, watch};
use crate::devnode;
use crate::harness::stopwatch::{self, Mark};
use crate::nt::status::*;
use crate::nt::{
    DEVICE_OBJECT, KINTERRUPT, KIRQL, KMESSAGE_SERVICE_ROUTINE, KSERVICE_ROUTINE, KSPIN_LOCK, KSYNCHRONIZE_ROUTINE,
    LIST_ENTRY, NTSTATUS, PVOID,
};
use crate::pci::interrupts::{self, Assigned};
use crate::pci::reach;
use crate::pci::registers::{self, Registers};
use crate::{export_functions, warn};

/// A level-triggered line that no driver claims this often in a row is masked: it would hold the processor for ever.
const UNCLAIMED_MAX: u32 = 100_000;

/// A connected interrupt.
#[derive(Clone, Copy)]
struct Connected {
    vector: u8,
    interrupt: *mut KINTERRUPT,
    version: u32,
}

struct Lines {
    /// Connected interrupts, in order of connection.
    connected: Vec<Connected>,
    unclaimed_in_a_row: u32,
}
// SAFETY: the pointers are to interrupt objects, reached with interrupts disabled.
unsafe impl Send for Lines {}

static LINES: Uninterrupted<Lines> = Uninterrupted::new(Lines { connected: Vec::new(), unclaimed_in_a_row: 0 });
/// The interrupt object whose routine a processor runs. One device, one level: they do not nest.
static IN_SERVICE: [AtomicPtr<KINTERRUPT>; PROCESSORS_MAX] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PROCESSORS_MAX];
static RAISED: AtomicU64 = AtomicU64::new(0);
static UNCLAIMED: AtomicU64 = AtomicU64::new(0);

/// Returns the interrupts that came for drivers since boot, and how many of them no driver claimed.
#[must_use]
pub fn counts() -> (u64, u64) {
    (RAISED.load(Ordering::Relaxed), UNCLAIMED.load(Ordering::Relaxed))
}

/// Returns how many interrupt objects are connected.
#[must_use]
pub fn connected() -> usize {
    LINES.with(|lines| lines.connected.len())
}

/// Returns the interrupt objects that are connected.
pub(super) fn objects() -> Vec<*mut KINTERRUPT> {
    LINES.with(|lines| lines.connected.iter().map(|connected| connected.interrupt).collect())
}

/// After every so many interrupts of the device, another device on its line interrupts at once.
const SHARER_EVERY: u64 = 8;
/// In a row, so many claims of what the device did not raise: a device cannot do as much while its driver does nothing.
const CLAIMS_MAX: usize = 10_000;
/// Another device on the line has raised it, and has not been served yet.
static SHARER: AtomicBool = AtomicBool::new(false);
/// It was the device's own interrupt too, which is still to come and then has nothing left to say.
static TAKEN_EARLY: AtomicBool = AtomicBool::new(false);
/// In its level's sixteen vectors, the one at which the other device interrupts: what runs at one vector of a level is
/// not interrupted by another.
const SHARER_IN_LEVEL: u8 = 0xf;

fn service(vector: u8) {
    let raised = RAISED.fetch_add(1, Ordering::Relaxed) + 1;
    stopwatch::mark(Mark::Raised, clock::nanoseconds);
    let claimed = call_routines(vector) || TAKEN_EARLY.swap(false, Ordering::Relaxed);
    delay::point();
    if claimed {
        stopwatch::mark(Mark::Claimed, clock::nanoseconds);
        if raised.is_multiple_of(SHARER_EVERY)
            && watch::is_on()
            && matches!(interrupts::assigned(), Some(Assigned::Line { .. }))
        {
            not_the_device(vector);
        }
        LINES.with(|lines| lines.unclaimed_in_a_row = 0);
        return;
    }
    UNCLAIMED.fetch_add(1, Ordering::Relaxed);
    let storm = LINES.with(|lines| {
        lines.unclaimed_in_a_row += 1;
        lines.unclaimed_in_a_row == UNCLAIMED_MAX
    });
    if storm {
        if let Some(given) = interrupts::assigned() {
            given.silence(vector);
        }
        warn!("the interrupt of vector {vector:#x} is raised and no service routine claims it: it is masked now");
    }
}

/// Serves the interrupt of the other device on the line.
fn serve_sharer(_: u8) {
    if let Some(Assigned::Line { vector, .. }) = interrupts::assigned()
        && not_the_device(vector) > 0
    {
        TAKEN_EARLY.store(true, Ordering::Relaxed);
    }
    SHARER.store(false, Ordering::Release);
}

/// Raises the line as another device does: the routines run until none claims the interrupt. Returns how often one
/// did, for the device may have interrupted as well.
fn not_the_device(vector: u8) -> usize {
    let claims = (0..CLAIMS_MAX).take_while(|_| call_routines(vector)).count();
    if claims == CLAIMS_MAX {
        verifier::violation(
            Some(rules::INTERRUPT_NOT_OURS.number),
            "an interrupt service routine",
            format_args!(
                "another device on the line has raised it, and a service routine claimed the interrupt {CLAIMS_MAX} times: that \
                 device is never served. Read your device's own status, and return FALSE (STATUS_UNSUCCESSFUL under PortCls) when \
                 it shows nothing or all ones [{}]",
                rules::INTERRUPT_NOT_OURS.source
            ),
        );
    }
    rules::INTERRUPT_NOT_OURS.held();
    claims
}

/// Interrupts as another device on the line of the driver's device does, whatever that does: registers that cannot be
/// reached read all ones meanwhile, as from a device without power. Returns when the routines have run.
pub fn share_line() {
    if !watch::is_on() {
        return;
    }
    debug_assert_eq!(cpu::irql(), crate::nt::irql::PASSIVE_LEVEL);
    let Some(Assigned::Line { vector, .. }) = interrupts::assigned() else { return };
    if !LINES.with(|lines| lines.connected.iter().any(|at| at.vector == vector)) {
        return;
    }
    let forbidden = registers::state() == Registers::Forbidden;
    if forbidden {
        registers::set(Registers::AllOnes);
    }
    let sharer = vector & 0xf0 | SHARER_IN_LEVEL;
    trap::set_handler(sharer, serve_sharer);
    SHARER.store(true, Ordering::Release);
    apic::send(smp::interrupt_target(), sharer);
    while SHARER.load(Ordering::Acquire) && !stop::stopping() {
        smp::while_spinning();
    }
    if forbidden {
        registers::set(Registers::Forbidden);
    }
}

/// Asks the service routines of a vector until one claims the interrupt. Returns whether one did.
fn call_routines(vector: u8) -> bool {
    let mut index = 0;
    let mut claimed = false;
    let processor = cpu::number();
    while let Some(interrupt) = LINES.with(|lines| {
        let found = lines.connected.iter().filter(|at| at.vector == vector).map(|at| at.interrupt).nth(index);
        IN_SERVICE[processor].store(found.unwrap_or(core::ptr::null_mut()), Ordering::Relaxed);
        found
    }) {
        index += 1;
        delay::point();
        // SAFETY: a connected interrupt object: disconnecting it waits while it is in service.
        if unsafe { call(interrupt) } {
            claimed = true;
            break;
        }
    }
    IN_SERVICE[processor].store(core::ptr::null_mut(), Ordering::Release);
    claimed
}

/// Longest that a service routine may take. The WDK's guideline is 25 microseconds; this is so much longer because an
/// emulated processor is slow, and stands still whenever its host is busy.
const DURATION_MAX_NS: u64 = 10_000_000;
/// How many in a row must be longer: a busy host does not stop the same routine that often in a row.
const TOO_LONG_IN_A_ROW: u32 = 5;
/// Longest that a read of the device takes on a host that is not busy: a hundred times what one takes that another process answers.
/// A routine that is too long while reads take longer says nothing about the driver.
const READ_MAX_NS: u64 = 1_000_000;
static TOO_LONG: AtomicU32 = AtomicU32::new(0);

fn watch_duration(ns: u64) {
    if ns <= DURATION_MAX_NS || !watch::is_on() {
        TOO_LONG.store(0, Ordering::Relaxed);
        return;
    }
    if reach::slowest_read() > READ_MAX_NS {
        return;
    }
    if TOO_LONG.fetch_add(1, Ordering::Relaxed) + 1 == TOO_LONG_IN_A_ROW {
        const DPC_WATCHDOG_VIOLATION: u32 = 0x133;
        verifier::failed(
            crate::contract::checks::ISR_DURATION,
            DPC_WATCHDOG_VIOLATION,
            "an interrupt service routine",
            [0, ns / 1_000, DURATION_MAX_NS / 1_000, 0],
            format_args!(
                "an interrupt service routine took {} ms, and {TOO_LONG_IN_A_ROW} in a row took more than {} ms: silence the \
                 device, note what it wants, and leave the rest to a DPC; 25 microseconds are the guideline",
                ns / 1_000_000,
                DURATION_MAX_NS / 1_000_000
            ),
        );
    }
}

unsafe fn call(interrupt: *mut KINTERRUPT) -> bool {
    // SAFETY: a connected interrupt object of a driver.
    unsafe {
        let old = cpu::irql();
        super::level::set(old, (*interrupt).SynchronizeIrql.max(old));
        spin_lock::acquire("an interrupt service routine", (*interrupt).ActualLock);
        crate::arch::pageable::page_out();
        let place = match ((*interrupt).MessageServiceRoutine, (*interrupt).ServiceRoutine) {
            (Some(routine), _) => routine as usize as u64,
            (None, routine) => routine.map_or(0, |routine| routine as usize as u64),
        };
        let vector = (*interrupt).Vector as u8;
        marks::mark(MarkKind::IsrBegin, u16::from_le_bytes([vector, cpu::irql()]), place);
        let begun = clock::nanoseconds();
        let routine = || {
            if let Some(routine) = (*interrupt).MessageServiceRoutine {
                routine(interrupt, (*interrupt).ServiceContext, (*interrupt).MessageIndex)
            } else if let Some(routine) = (*interrupt).ServiceRoutine {
                routine(interrupt, (*interrupt).ServiceContext)
            } else {
                0
            }
        };
        let claimed =
            stack::on_processors_stack(|| crate::ke::driver_call::call("an interrupt service routine", routine));
        marks::mark(MarkKind::IsrEnd, u16::from_le_bytes([vector, u8::from(claimed != 0)]), place);
        watch_duration(clock::nanoseconds() - begun);
        spin_lock::release("an interrupt service routine", (*interrupt).ActualLock);
        super::level::set(cpu::irql(), old);
        claimed != 0
    }
}

/// What a driver connects.
pub struct Connection {
    /// Its routine.
    pub routine: Option<KSERVICE_ROUTINE>,
    /// Its routine for messages, in place of the other.
    pub message_routine: Option<KMESSAGE_SERVICE_ROUTINE>,
    /// The routine's second parameter.
    pub context: PVOID,
    /// Its own lock, or null.
    pub lock: *mut KSPIN_LOCK,
    /// The vector that the resource list gave.
    pub vector: u32,
    /// The level that the resource list gave.
    pub irql: KIRQL,
    /// The level at which the routine and what is synchronised with it run.
    pub synchronize: KIRQL,
    /// Edge (true) or level.
    pub latched: bool,
    /// The version of `IoConnectInterruptEx` that its routine is registered with; [`NO_VERSION`] by `IoConnectInterrupt`.
    pub version: u32,
}

/// Connects a service routine.
pub(super) fn connect(function: &'static str, connection: &Connection) -> Result<*mut KINTERRUPT, NTSTATUS> {
    let vector = u8::try_from(connection.vector).map_err(|_| STATUS_INVALID_PARAMETER)?;
    let Some(given) = interrupts::assigned().filter(|given| given.has(vector)) else {
        verifier::stop(
            0xc4,
            function,
            [u64::from(connection.vector), 0, 0, 0],
            format_args!(
                "{function}: no device was given vector {:#x}: use Vector and Level of the translated interrupt resource",
                connection.vector
            ),
        );
    };
    if connection.irql != vector >> 4 || connection.synchronize < connection.irql {
        verifier::stop(
            0xc4,
            function,
            [u64::from(connection.vector), u64::from(connection.irql), u64::from(connection.synchronize), 0],
            format_args!(
                "{function}: vector {:#x} has level {}; given were Irql {} and SynchronizeIrql {}",
                connection.vector,
                vector >> 4,
                connection.irql,
                connection.synchronize
            ),
        );
    }
    if connection.latched != given.is_latched() {
        let (is, says) =
            if connection.latched { ("level-sensitive", "Latched") } else { ("latched", "LevelSensitive") };
        verifier::failed(
            checks::INTERRUPT_MODE,
            0xc4,
            function,
            [u64::from(connection.vector), u64::from(connection.latched), 0, 0],
            format_args!(
                "{function}: the interrupt of vector {:#x} is {is}, and InterruptMode says {says}: take it from Flags of the \
                 translated interrupt resource",
                connection.vector
            ),
        );
    }
    let interrupt = Box::into_raw(Box::new(KINTERRUPT {
        Type: 22,
        Size: size_of::<KINTERRUPT>() as i16,
        ListEntry: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
        ServiceRoutine: connection.routine,
        ServiceContext: connection.context,
        SpinLock: 0,
        ActualLock: connection.lock,
        Vector: connection.vector,
        Irql: connection.irql,
        SynchronizeIrql: connection.synchronize,
        Connected: true,
        Latched: connection.latched,
        MessageServiceRoutine: connection.message_routine,
        MessageIndex: given.entry(vector).unwrap_or(0).into(),
    }));
    // SAFETY: fresh.
    unsafe {
        if (*interrupt).ActualLock.is_null() {
            (*interrupt).ActualLock = &raw mut (*interrupt).SpinLock;
        }
    }
    let first = LINES.with(|lines| {
        let first = !lines.connected.iter().any(|at| at.vector == vector);
        lines.connected.push(Connected { vector, interrupt, version: connection.version });
        lines.unclaimed_in_a_row = 0;
        first
    });
    if first {
        trap::set_handler(vector, service);
        given.route(vector);
    }
    Ok(interrupt)
}

/// Disconnects a service routine. `version` is what the driver says that it is registered with.
pub(super) fn disconnect(function: &'static str, version: u32, interrupt: *mut KINTERRUPT) {
    let found = LINES.with(|lines| {
        let at = lines.connected.iter().position(|connected| connected.interrupt == interrupt)?;
        let Connected { vector, version, .. } = lines.connected.remove(at);
        Some((vector, version, !lines.connected.iter().any(|other| other.vector == vector)))
    });
    let Some((vector, registered, last)) = found else {
        verifier::stop_by_check(
            checks::INTERRUPT_CONNECTION,
            0xc4,
            function,
            [interrupt as u64, u64::from(version), 0, 0],
            None,
            format_args!(
                "{function}: {interrupt:p} is no interrupt object that is connected: give the pointer that was put out when it \
                 was connected, once"
            ),
        );
    };
    if version != NO_VERSION && registered != NO_VERSION && kind_of(version) != kind_of(registered) {
        wrong_version(interrupt.cast(), version, registered);
    }
    if last && let Some(given) = interrupts::assigned() {
        given.silence(vector);
    }
    while IN_SERVICE.iter().any(|running| running.load(Ordering::Acquire) == interrupt) {
        smp::while_spinning();
    }
    // SAFETY: its routine does not run, and the object is in no list any more.
    drop(unsafe { Box::from_raw(interrupt) });
}

/// Returns the version of the same parameters without a processor group.
const fn kind_of(version: u32) -> u32 {
    if version == CONNECT_FULLY_SPECIFIED_GROUP { CONNECT_FULLY_SPECIFIED } else { version }
}

/// Returns the name of a version in wdm.h.
const fn version_name(version: u32) -> &'static str {
    match version {
        CONNECT_FULLY_SPECIFIED => "CONNECT_FULLY_SPECIFIED",
        CONNECT_LINE_BASED => "CONNECT_LINE_BASED",
        CONNECT_MESSAGE_BASED => "CONNECT_MESSAGE_BASED",
        CONNECT_FULLY_SPECIFIED_GROUP => "CONNECT_FULLY_SPECIFIED_GROUP",
        _ => "no version that there is",
    }
}

/// Reports a Version of `IoDisconnectInterruptEx` that is not the one of the connection.
fn wrong_version(context: PVOID, version: u32, registered: u32) {
    verifier::failed(
        checks::INTERRUPT_CONNECTION,
        0xc4,
        DISCONNECT,
        [context as u64, version.into(), registered.into(), 0],
        format_args!(
            "{DISCONNECT} with Version {version} ({}) for the connection at {context:p}, which IoConnectInterruptEx made with \
             Version {registered} ({}) on return: keep the Version that it returns beside the connection's context",
            version_name(version),
            version_name(registered)
        ),
    );
}

/// Disconnects as the version in the parameters says. Where it is not that of the connection, which is reported, what the
/// pointer is decides.
fn disconnect_ex(p: &DisconnectParameters) {
    let table = p.object.cast::<u64>();
    if message_connection::is_table(table) {
        if p.version != CONNECT_MESSAGE_BASED {
            wrong_version(p.object.cast(), p.version, CONNECT_MESSAGE_BASED);
        }
        message_connection::disconnect(table);
    } else if version_of(p.object) == Some(CONNECT_MESSAGE_BASED) {
        verifier::failed(
            checks::INTERRUPT_CONNECTION,
            0xc4,
            DISCONNECT,
            [p.object as u64, p.version.into(), 0, 0],
            format_args!(
                "{DISCONNECT} for {:p}, the interrupt object of one message: give the IO_INTERRUPT_MESSAGE_INFO that \
                 IoConnectInterruptEx put out for all of them",
                p.object
            ),
        );
    } else {
        disconnect(DISCONNECT, p.version, p.object);
    }
}

/// Returns the version that a connected interrupt object's routine is registered with.
fn version_of(interrupt: *mut KINTERRUPT) -> Option<u32> {
    LINES.with(|lines| lines.connected.iter().find(|at| at.interrupt == interrupt).map(|at| at.version))
}

/// Connects as the version in the parameters says, and writes back what it came to.
///
/// # Safety
/// The parameters are a driver's, as the WDK's page on `IoConnectInterruptEx` says.
unsafe fn connect_ex(p: &mut ConnectParameters) -> NTSTATUS {
    const FUNCTION: &str = "IoConnectInterruptEx";
    let versions = CONNECT_FULLY_SPECIFIED..=CONNECT_FULLY_SPECIFIED_GROUP;
    if !versions.contains(&p.version) {
        return STATUS_INVALID_PARAMETER_1;
    }
    if p.pdo.is_null() || p.object.is_null() || p.routine.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller's promise; what is behind the version depends on it.
    unsafe {
        let (vector, irql, synchronize, latched) = match p.version {
            CONNECT_LINE_BASED => match line_of(p.pdo) {
                Ok(vector) => {
                    let latched = interrupts::assigned().is_some_and(|given| given.is_latched());
                    (u32::from(vector), vector >> 4, p.synchronize.max(vector >> 4), latched)
                }
                Err(status) => return status,
            },
            CONNECT_MESSAGE_BASED => return message_connection::connect(p),
            _ => {
                if p.affinity == 0 {
                    return STATUS_INVALID_PARAMETER_10;
                }
                if p.version == CONNECT_FULLY_SPECIFIED_GROUP && p.group != 0 {
                    return STATUS_INVALID_PARAMETER;
                }
                let vector = u8::try_from(p.vector).ok();
                if !vector.is_some_and(|vector| interrupts::assigned().is_some_and(|given| given.has(vector))) {
                    warn!(
                        "{FUNCTION}: no device was given vector {:#x}: use Vector of the translated interrupt resource",
                        p.vector
                    );
                    return STATUS_NOT_FOUND;
                }
                (p.vector, p.irql, p.synchronize, p.mode != 0)
            }
        };
        let connection = Connection {
            routine: Some(core::mem::transmute::<PVOID, KSERVICE_ROUTINE>(p.routine)),
            message_routine: None,
            context: p.context,
            lock: p.lock,
            vector,
            irql,
            synchronize,
            latched,
            version: p.version,
        };
        match connect(FUNCTION, &connection) {
            Ok(interrupt) => {
                p.object.write(interrupt);
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// Returns the vector of a device's line, or the status of a connection to a device that has none ("IoConnectInterruptEx").
fn line_of(pdo: *mut DEVICE_OBJECT) -> Result<u8, NTSTATUS> {
    devnode::of(pdo).ok_or(STATUS_INVALID_PARAMETER)?;
    match interrupts::assigned().ok_or(STATUS_NOT_FOUND)? {
        Assigned::Line { vector, .. } | Assigned::IsaLine { vector, .. } => Ok(vector),
        Assigned::Messages { .. } => Err(STATUS_INVALID_DEVICE_REQUEST),
    }
}

/// `IO_CONNECT_INTERRUPT_PARAMETERS`, version by version.
#[repr(C)]
pub struct ConnectParameters {
    pub(super) version: u32,
    pub(super) pdo: *mut DEVICE_OBJECT,
    pub(super) object: *mut *mut KINTERRUPT,
    pub(super) routine: PVOID,
    pub(super) context: PVOID,
    pub(super) lock: *mut KSPIN_LOCK,
    pub(super) synchronize: KIRQL,
    floating_save: u8,
    share: u8,
    /// Fully specified only, as is what follows.
    vector: u32,
    irql: KIRQL,
    mode: i32,
    affinity: u64,
    /// With `CONNECT_FULLY_SPECIFIED_GROUP`.
    group: u16,
}

/// `IO_DISCONNECT_INTERRUPT_PARAMETERS`.
#[repr(C)]
pub struct DisconnectParameters {
    version: u32,
    object: *mut KINTERRUPT,
}

const DISCONNECT: &str = "IoDisconnectInterruptEx";
/// In place of a version, of what `IoConnectInterrupt` connects and `IoDisconnectInterrupt` disconnects.
const NO_VERSION: u32 = 0;
const CONNECT_FULLY_SPECIFIED: u32 = 1;
/// `CONNECT_LINE_BASED` (wdm.h).
pub(super) const CONNECT_LINE_BASED: u32 = 2;
/// `CONNECT_MESSAGE_BASED` (wdm.h).
pub(super) const CONNECT_MESSAGE_BASED: u32 = 3;
const CONNECT_FULLY_SPECIFIED_GROUP: u32 = 4;

export_functions! {
    /// Interrupts.
    pub static EXPORTS;

    /// Connects a service routine to an interrupt of the driver's resources.
    [PASSIVE] fn IoConnectInterrupt(object: *mut *mut KINTERRUPT, routine: Option<KSERVICE_ROUTINE>, context: PVOID,
        lock: *mut KSPIN_LOCK, vector: u32, irql: KIRQL, synchronize: KIRQL, mode: i32, _share: u8, _affinity: u64,
        _floating_save: u8) -> NTSTATUS {
        let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
        let connection = Connection {
            routine: Some(routine),
            message_routine: None,
            context,
            lock,
            vector,
            irql,
            synchronize,
            latched: mode != 0,
            version: NO_VERSION,
        };
        match connect("IoConnectInterrupt", &connection) {
            Ok(interrupt) => { object.write(interrupt); STATUS_SUCCESS }
            Err(status) => status,
        }
    }

    /// Connects as the version in the parameters says.
    [PASSIVE] fn IoConnectInterruptEx(parameters: *mut ConnectParameters) -> NTSTATUS {
        connect_ex(&mut *parameters)
    }

    /// Takes a service routine off its interrupt.
    [PASSIVE] fn IoDisconnectInterrupt(interrupt: *mut KINTERRUPT) { disconnect("IoDisconnectInterrupt", NO_VERSION, interrupt) }

    /// Takes a service routine off its interrupt, or off all its messages.
    [PASSIVE] fn IoDisconnectInterruptEx(parameters: *mut DisconnectParameters) { disconnect_ex(&*parameters) }

    /// Runs a routine that the service routine cannot interrupt.
    [DEVICE] fn KeSynchronizeExecution(interrupt: *mut KINTERRUPT, routine: Option<KSYNCHRONIZE_ROUTINE>, context: PVOID) -> u8 {
        let Some(routine) = routine else { return 0 };
        {
            let old = KeAcquireInterruptSpinLock(interrupt);
            let result = crate::ke::driver_call::call("a routine given to KeSynchronizeExecution", || routine(context));
            KeReleaseInterruptSpinLock(interrupt, old);
            result
        }
    }

    /// Raises to the interrupt's level and takes its lock.
    [DEVICE] fn KeAcquireInterruptSpinLock(interrupt: *mut KINTERRUPT) -> KIRQL {
        let old = cpu::irql();
        {
            if (*interrupt).SynchronizeIrql < old {
                verifier::stop(0x0a, "KeAcquireInterruptSpinLock", [interrupt as u64, u64::from(old), 0, 0],
                    format_args!("called at IRQL {old}, above the interrupt's own level {}", (*interrupt).SynchronizeIrql));
            }
            super::level::raise((*interrupt).SynchronizeIrql);
            spin_lock::acquire("KeAcquireInterruptSpinLock", (*interrupt).ActualLock);
        }
        old
    }

    /// Gives the interrupt's lock back.
    [FROM_DISPATCH] fn KeReleaseInterruptSpinLock(interrupt: *mut KINTERRUPT, old: KIRQL) {
        spin_lock::release("KeReleaseInterruptSpinLock", (*interrupt).ActualLock);
        super::level::set(cpu::irql(), old);
    }
}
