//! Exceptions (`winnt.h`).

use super::{NTSTATUS, PVOID};

/// `EXCEPTION_RECORD`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EXCEPTION_RECORD {
    pub ExceptionCode: NTSTATUS,
    pub ExceptionFlags: u32,
    pub ExceptionRecord: *mut EXCEPTION_RECORD,
    pub ExceptionAddress: PVOID,
    pub NumberParameters: u32,
    pub ExceptionInformation: [u64; 15],
}

/// Bits of [`EXCEPTION_RECORD::ExceptionFlags`].
pub mod exception_flag {
    /// `EXCEPTION_NONCONTINUABLE`.
    pub const NONCONTINUABLE: u32 = 1;
    /// `EXCEPTION_UNWINDING`.
    pub const UNWINDING: u32 = 2;
    /// `EXCEPTION_EXIT_UNWIND`.
    pub const EXIT_UNWIND: u32 = 4;
    /// `EXCEPTION_NESTED_CALL`.
    pub const NESTED_CALL: u32 = 0x10;
    /// `EXCEPTION_TARGET_UNWIND`.
    pub const TARGET_UNWIND: u32 = 0x20;
    /// `EXCEPTION_COLLIDED_UNWIND`.
    pub const COLLIDED_UNWIND: u32 = 0x40;
}
