//! The exports that raise exceptions, or that touch memory which may raise one: bound so that their callers' registers
//! can be found again.
#![allow(unsafe_code, reason = "entry points without a frame of their own")]

use core::arch::naked_asm;

use crate::arch::context::enter_guarded;
use crate::contract::export::Export;
use crate::ex::pool::{ExAllocatePool2, ExAllocatePoolWithQuotaTag};
use crate::ke::event::{KeReleaseMutex, KeReleaseSemaphore};
use crate::mm::mdl::{MmMapLockedPages, MmMapLockedPagesSpecifyCache, MmProbeAndLockPages};
use crate::rtl::exception::*;
use crate::rtl::memory::*;
use crate::rtl::string::*;

macro_rules! guarded {
    ($($name:ident)*) => {
        /// Looked up before the tables that the functions themselves are in.
        pub(super) static EXPORTS: &[Export] = &[$({
            #[unsafe(naked)]
            unsafe extern "C" fn entry() {
                naked_asm!("lea rax, [rip + {function}]", "jmp {enter}", function = sym $name, enter = sym enter_guarded)
            }
            Export::new(stringify!($name), entry as *const ())
        },)*];
    };
}

// Of six parameters at most.
guarded! {
    __C_specific_handler _local_unwind RtlUnwindEx RtlUnwind RtlCaptureContext RtlRaiseException
    ExRaiseStatus ExRaiseAccessViolation ExRaiseDatatypeMisalignment ProbeForRead ProbeForWrite
    memcpy memmove memset memcmp RtlMoveMemory RtlCopyMemory RtlCopyMemoryNonTemporal RtlZeroMemory RtlFillMemory
    RtlCompareMemory
    RtlInitUnicodeString RtlInitAnsiString RtlCopyUnicodeString RtlCompareUnicodeString RtlEqualUnicodeString
    wcslen strlen wcscmp strcmp wcsncmp strncmp wcscpy strcpy
    MmProbeAndLockPages MmMapLockedPages MmMapLockedPagesSpecifyCache
    ExAllocatePool2 ExAllocatePoolWithQuotaTag KeReleaseSemaphore KeReleaseMutex
}
