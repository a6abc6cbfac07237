//! The NT kernel's public data structures and numbers, x64 layouts, with the names of the WDK headers.
//!
//! Own definitions and not `windows-sys`: that crate (0.61) drops the WDK's `POINTER_ALIGNMENT`, so that the parameters
//! of `IO_STACK_LOCATION` are at wrong offsets on x64, and types callbacks `extern "system"`, which is not the Windows
//! convention on this target. Every layout here was compared with mingw-w64's `wdm.h`; `layout` keeps the figures.
#![allow(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "types and fields carry the WDK's names; the WDK documents them"
)]

mod dispatcher;
mod dma;
mod exception;
mod io;
mod irp;
#[cfg(test)]
mod layout;
mod pnp;
pub mod status;

pub use dispatcher::*;
pub use dma::*;
pub use exception::*;
pub use io::*;
pub use irp::*;
pub use pnp::*;
pub use status::NTSTATUS;

use core::ffi::c_void;

/// An address.
pub type PVOID = *mut c_void;
/// A handle.
pub type HANDLE = *mut c_void;
/// Interrupt request level, 0 to 15 on x64.
pub type KIRQL = u8;
/// Pool types are open: only the low bits are looked at.
pub type POOL_TYPE = i32;
/// A spin lock.
pub type KSPIN_LOCK = usize;
/// A physical address.
pub type PHYSICAL_ADDRESS = i64;
/// A type of device, `FILE_DEVICE_*`.
pub type DEVICE_TYPE = u32;

/// Processor mode: a request of the kernel.
pub const KERNEL_MODE: i8 = 0;
/// Processor mode: a request of a process.
pub const USER_MODE: i8 = 1;

/// IRQLs of x64.
pub mod irql {
    use super::KIRQL;
    /// Threads.
    pub const PASSIVE_LEVEL: KIRQL = 0;
    /// Asynchronous procedure calls are held off.
    pub const APC_LEVEL: KIRQL = 1;
    /// Deferred procedure calls and spin locks; no thread switch, no page fault.
    pub const DISPATCH_LEVEL: KIRQL = 2;
    /// Lowest and highest level that devices interrupt at.
    pub const DEVICE_LEVEL_MIN: KIRQL = 3;
    /// Highest level that devices interrupt at.
    pub const DEVICE_LEVEL_MAX: KIRQL = 11;
    /// The clock.
    pub const CLOCK_LEVEL: KIRQL = 13;
    /// Interrupts between processors.
    pub const IPI_LEVEL: KIRQL = 14;
    /// Nothing interrupts.
    pub const HIGH_LEVEL: KIRQL = 15;
}

/// A globally unique identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
#[repr(C)]
pub struct GUID {
    pub Data1: u32,
    pub Data2: u16,
    pub Data3: u16,
    pub Data4: [u8; 8],
}

impl GUID {
    /// Makes a GUID of its canonical text form read as one number, as in `0x22C6AC60_851B_11D0_9A7F_00AA0038ACFE`.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self {
            Data1: (value >> 96) as u32,
            Data2: (value >> 80) as u16,
            Data3: (value >> 64) as u16,
            Data4: (value as u64).to_be_bytes(),
        }
    }

    /// Makes a GUID of its bytes in memory order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, data4 @ ..] = bytes;
        Self {
            Data1: u32::from_le_bytes([a, b, c, d]),
            Data2: u16::from_le_bytes([e, f]),
            Data3: u16::from_le_bytes([g, h]),
            Data4: data4,
        }
    }
}

/// A link of a doubly linked list.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LIST_ENTRY {
    pub Flink: *mut LIST_ENTRY,
    pub Blink: *mut LIST_ENTRY,
}

/// A link of a singly linked list.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SINGLE_LIST_ENTRY {
    pub Next: *mut SINGLE_LIST_ENTRY,
}

/// A counted string of UTF-16 units.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct UNICODE_STRING {
    /// In bytes, without a terminator.
    pub Length: u16,
    /// In bytes.
    pub MaximumLength: u16,
    pub Buffer: *mut u16,
}

/// A counted string of bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ANSI_STRING {
    pub Length: u16,
    pub MaximumLength: u16,
    pub Buffer: *mut u8,
}

/// The name and attributes of an object that is opened.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct OBJECT_ATTRIBUTES {
    pub Length: u32,
    pub RootDirectory: HANDLE,
    pub ObjectName: *mut UNICODE_STRING,
    pub Attributes: u32,
    pub SecurityDescriptor: PVOID,
    pub SecurityQualityOfService: PVOID,
}

/// A memory descriptor list; the numbers of its page frames follow it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MDL {
    pub Next: *mut MDL,
    pub Size: i16,
    pub MdlFlags: i16,
    pub Process: PVOID,
    pub MappedSystemVa: PVOID,
    pub StartVa: PVOID,
    pub ByteCount: u32,
    pub ByteOffset: u32,
}

/// Flag of a memory descriptor list: mapped to system va.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 0x0001;
/// Flag of a memory descriptor list: pages locked.
pub const MDL_PAGES_LOCKED: i16 = 0x0002;
/// Flag of a memory descriptor list: source is nonpaged pool.
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 0x0004;
/// Flag of a memory descriptor list: allocated fixed size.
pub const MDL_ALLOCATED_FIXED_SIZE: i16 = 0x0008;
/// Flag of a memory descriptor list: partial.
pub const MDL_PARTIAL: i16 = 0x0010;

/// Where every kernel and process sees the shared data page (`ntddk.h`, `KI_USER_SHARED_DATA`).
pub const KI_USER_SHARED_DATA: u64 = 0xFFFF_F780_0000_0000;
