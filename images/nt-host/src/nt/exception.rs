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
    pub const NONCONTINUABLE: u32 = 1;
    pub const UNWINDING: u32 = 2;
    pub const EXIT_UNWIND: u32 = 4;
    pub const NESTED_CALL: u32 = 0x10;
    pub const TARGET_UNWIND: u32 = 0x20;
    pub const COLLIDED_UNWIND: u32 = 0x40;
}
