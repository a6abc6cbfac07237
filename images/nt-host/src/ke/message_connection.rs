//! `IoConnectInterruptEx` for messages: a service routine on all messages of a device, or, where it has none, on its
//! line.
//!
//! Source: Microsoft, "Using the CONNECT_MESSAGE_BASED Version of IoConnectInterruptEx"; the layouts are wdm.h's.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::interrupt::{self, CONNECT_LINE_BASED, CONNECT_MESSAGE_BASED, ConnectParameters, Connection};
use crate::arch::apic;
use crate::arch::uninterrupted::Uninterrupted;
use crate::devnode;
use crate::nt::status::*;
use crate::nt::{KINTERRUPT, KIRQL, KMESSAGE_SERVICE_ROUTINE, KSERVICE_ROUTINE, NTSTATUS, PVOID};
use crate::pci::interrupts::{self, Assigned};
use crate::pci::message;

const FUNCTION: &str = "IoConnectInterruptEx";
/// Where the message version of the parameters has its `FallBackServiceRoutine`.
const FALL_BACK_OFFSET: usize = 56;

/// `IO_INTERRUPT_MESSAGE_INFO_ENTRY`.
#[repr(C)]
struct Entry {
    address: u64,
    processors: u64,
    object: *mut KINTERRUPT,
    data: u32,
    vector: u32,
    irql: KIRQL,
    mode: i32,
    polarity: i32,
}

/// `IO_INTERRUPT_MESSAGE_INFO` before its entries.
#[repr(C)]
struct Header {
    irql: KIRQL,
    count: u32,
}

const LATCHED: i32 = 1;
const ACTIVE_HIGH: i32 = 1;
const WORDS_OF_HEADER: usize = size_of::<Header>() / 8;
const WORDS_OF_ENTRY: usize = size_of::<Entry>() / 8;

/// The tables that drivers have.
static TABLES: Uninterrupted<Vec<Box<[u64]>>> = Uninterrupted::new(Vec::new());

/// Connects service routines to the messages of a device.
///
/// # Safety
/// The parameters are a driver's, of the message version.
pub(super) unsafe fn connect(p: &mut ConnectParameters) -> NTSTATUS {
    if devnode::of(p.pdo).is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller's promise.
    let fall_back = unsafe { (&raw const *p).cast::<u8>().add(FALL_BACK_OFFSET).cast::<PVOID>().read() };
    match interrupts::assigned() {
        Some(Assigned::Messages { first, count, .. }) => {
            if p.routine.is_null() {
                return STATUS_INVALID_PARAMETER;
            }
            // SAFETY: the caller's promise.
            unsafe { connect_messages(p, first, count) }
        }
        Some(given @ (Assigned::Line { vector, .. } | Assigned::IsaLine { vector, .. })) if !fall_back.is_null() => {
            p.version = CONNECT_LINE_BASED;
            let connection = Connection {
                // SAFETY: the driver's routine for its line.
                routine: Some(unsafe { core::mem::transmute::<PVOID, KSERVICE_ROUTINE>(fall_back) }),
                message_routine: None,
                context: p.context,
                lock: p.lock,
                vector: vector.into(),
                irql: vector >> 4,
                synchronize: p.synchronize.max(vector >> 4),
                latched: given.is_latched(),
                version: CONNECT_LINE_BASED,
            };
            match interrupt::connect(FUNCTION, &connection) {
                Ok(object) => {
                    // SAFETY: the caller's promise.
                    unsafe { p.object.write(object) };
                    STATUS_SUCCESS
                }
                Err(status) => status,
            }
        }
        _ => STATUS_NOT_FOUND,
    }
}

unsafe fn connect_messages(p: &ConnectParameters, first: u8, count: u16) -> NTSTATUS {
    let mut table = vec![0; WORDS_OF_HEADER + usize::from(count) * WORDS_OF_ENTRY].into_boxed_slice();
    let place = table.as_mut_ptr();
    let synchronize = p.synchronize.max(message::LEVEL);
    for index in 0..count {
        let vector = first + index as u8;
        let connection = Connection {
            routine: None,
            // SAFETY: the driver's routine for its messages, which the caller has found to be there.
            message_routine: Some(unsafe { core::mem::transmute::<PVOID, KMESSAGE_SERVICE_ROUTINE>(p.routine) }),
            context: p.context,
            lock: p.lock,
            vector: vector.into(),
            irql: message::LEVEL,
            synchronize,
            latched: true,
            version: CONNECT_MESSAGE_BASED,
        };
        let object = match interrupt::connect(FUNCTION, &connection) {
            Ok(object) => object,
            Err(status) => {
                // SAFETY: the entries before this one have been written.
                unsafe { entries(place, index) }.for_each(|object| {
                    interrupt::disconnect(FUNCTION, CONNECT_MESSAGE_BASED, object);
                });
                return status;
            }
        };
        let entry = Entry {
            address: apic::message_address(),
            processors: 1 << (crate::arch::smp::online() - 1),
            object,
            data: vector.into(),
            vector: vector.into(),
            irql: message::LEVEL,
            mode: LATCHED,
            polarity: ACTIVE_HIGH,
        };
        // SAFETY: the table was made for so many entries.
        unsafe { place.add(WORDS_OF_HEADER + usize::from(index) * WORDS_OF_ENTRY).cast::<Entry>().write(entry) };
    }
    // SAFETY: the table begins with its header; the driver gets its address, and the table lives until it is given
    // back.
    unsafe {
        place.cast::<Header>().write(Header { irql: synchronize, count: count.into() });
        p.object.cast::<PVOID>().write(place.cast());
    }
    TABLES.with(|tables| tables.push(table));
    STATUS_SUCCESS
}

/// Returns the interrupt objects of a table's first entries.
unsafe fn entries(table: *const u64, count: u16) -> impl Iterator<Item = *mut KINTERRUPT> {
    (0..usize::from(count)).map(move |index| {
        // SAFETY: the caller's promise.
        unsafe { (*table.add(WORDS_OF_HEADER + index * WORDS_OF_ENTRY).cast::<Entry>()).object }
    })
}

/// Returns whether an address is that of a table that a driver has.
pub(super) fn is_table(address: *const u64) -> bool {
    TABLES.with(|tables| tables.iter().any(|known| known.as_ptr() == address))
}

/// Takes the service routine off all messages of a table. Does nothing for what is none.
pub(super) fn disconnect(table: *const u64) {
    let found = TABLES.with(|tables| {
        let at = tables.iter().position(|known| known.as_ptr() == table)?;
        Some(tables.swap_remove(at))
    });
    let Some(found) = found else { return };
    // SAFETY: a table of ours, with as many entries as its size says.
    let count = ((found.len() - WORDS_OF_HEADER) / WORDS_OF_ENTRY) as u16;
    // SAFETY: as above.
    unsafe { entries(found.as_ptr(), count) }
        .for_each(|object| interrupt::disconnect("IoDisconnectInterruptEx", CONNECT_MESSAGE_BASED, object));
}
