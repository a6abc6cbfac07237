//! Entries of the system's error log, which the harness' log shows.
#![allow(unsafe_code, reason = "packets of the Windows ABI")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bugcheck::modules;
use crate::export_functions;
use crate::harness::link;
use crate::mm::pool::{self, Owner};
use crate::nt::{NTSTATUS, PVOID};

const TAG: u32 = u32::from_le_bytes(*b"ErrL");
/// `ERROR_LOG_MAXIMUM_SIZE` on x64.
const BYTES_MAX: u8 = 240;

/// `IO_ERROR_LOG_PACKET`, without its dump data.
#[repr(C)]
pub struct Packet {
    major_function: u8,
    retries: u8,
    dump_bytes: u16,
    strings: u16,
    string_offset: u16,
    event_category: u16,
    error: NTSTATUS,
    unique_value: u32,
    final_status: NTSTATUS,
    sequence: u32,
    control_code: u32,
    device_offset: i64,
}

const _: () = assert!(core::mem::offset_of!(Packet, error) == 12 && size_of::<Packet>() == 40);

/// Returns the packet's strings: terminated, one behind the other, inside the allocation.
unsafe fn strings(packet: *const Packet, bytes: u64) -> Vec<String> {
    // SAFETY: the caller's packet of so many bytes.
    unsafe {
        let units = (bytes as usize).saturating_sub(usize::from((*packet).string_offset)) / 2;
        let first = packet.cast::<u8>().add(usize::from((*packet).string_offset)).cast::<u16>();
        let units: Vec<u16> = (0..units).map(|at| first.add(at).read_unaligned()).collect();
        units.split(|&unit| unit == 0).take((*packet).strings.into()).map(String::from_utf16_lossy).collect()
    }
}

export_functions! {
    /// The error log.
    pub static EXPORTS;

    /// Allocates an entry of so many bytes, zeroed.
    [DISPATCH] fn IoAllocateErrorLogEntry(_object: PVOID, bytes: u8) -> *mut Packet {
        if bytes > BYTES_MAX || usize::from(bytes) < size_of::<Packet>() {
            return core::ptr::null_mut();
        }
        let memory = pool::allocate(bytes.into(), TAG, false, Owner::Driver).unwrap_or(0) as *mut Packet;
        if !memory.is_null() { memory.cast::<u8>().write_bytes(0, bytes.into()) }
        memory
    }

    /// Writes an entry, which goes with it.
    [DISPATCH] fn IoWriteErrorLogEntry(packet: *mut Packet) {
        let bytes = pool::size_of(packet as u64).unwrap_or(0);
        let found = &*packet;
        let dump: Vec<u8> = (0..usize::from(found.dump_bytes).min((bytes as usize).saturating_sub(size_of::<Packet>())))
            .map(|at| packet.add(1).cast::<u8>().add(at).read())
            .collect();
        let text = format!("error log: code {:#010x}, value {}, status {:#010x}, major function {}, dump {dump:02x?}, strings {:?}",
            found.error, found.unique_value, found.final_status, found.major_function, strings(packet, bytes));
        link::log(guest_protocol::Level::Warn, modules::module().map_or("driver", |module| module.name), format_args!("{text}"));
        pool::free("IoWriteErrorLogEntry", packet as u64, Some(TAG));
    }

    /// Frees an entry that is not written.
    [DISPATCH] fn IoFreeErrorLogEntry(packet: *mut Packet) { pool::free("IoFreeErrorLogEntry", packet as u64, Some(TAG)) }
}
