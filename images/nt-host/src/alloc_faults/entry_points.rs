//! Entry points of the exports that can fail for want of resources: each consults [`alloc_faults`](crate::alloc_faults)
//! before the function itself runs.
//!
//! Drivers are bound to them by name, so that the functions of every module, PortCls' included, are covered without
//! knowing of it. What raises instead of failing, or is no export, asks by itself.
#![allow(unsafe_code, reason = "entry points that pass every argument on")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::alloc_faults;
use crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;

/// What a function returns that is made to fail.
#[derive(Clone, Copy)]
enum Failure {
    Null,
    Status,
}
use Failure::{Null, Status};

/// The exports that can fail for want of resources.
static CAN_FAIL: &[(&str, Failure)] = &[
    ("IoAllocateMdl", Null),
    ("IoAllocateWorkItem", Null),
    ("IoAllocateIrp", Null),
    ("IoBuildSynchronousFsdRequest", Null),
    ("IoBuildDeviceIoControlRequest", Null),
    ("IoGetDmaAdapter", Null),
    ("MmMapIoSpace", Null),
    ("MmMapIoSpaceEx", Null),
    ("MmAllocateContiguousMemory", Null),
    ("MmAllocateContiguousMemorySpecifyCache", Null),
    ("MmMapLockedPagesSpecifyCache", Null),
    ("PoRegisterDeviceForIdleDetection", Null),
    ("IoConnectInterrupt", Status),
    ("IoConnectInterruptEx", Status),
    ("IoCreateDevice", Status),
    ("IoAllocateDriverObjectExtension", Status),
    ("IoCreateSymbolicLink", Status),
    ("IoRegisterDeviceInterface", Status),
    ("IoRegisterPlugPlayNotification", Status),
    ("IoOpenDeviceRegistryKey", Status),
    ("IoOpenDeviceInterfaceRegistryKey", Status),
    ("IoInitializeTimer", Status),
    ("IoAcquireRemoveLockEx", Status),
    ("PsCreateSystemThread", Status),
    ("PoRequestPowerIrp", Status),
    ("ZwCreateKey", Status),
    ("ZwOpenKey", Status),
    ("ZwSetValueKey", Status),
    ("RtlAnsiStringToUnicodeString", Status),
    ("RtlUnicodeStringToAnsiString", Status),
    ("RtlStringFromGUID", Status),
    ("RtlUpcaseUnicodeString", Status),
    ("RtlDowncaseUnicodeString", Status),
    ("RtlQueryRegistryValues", Status),
    ("RtlWriteRegistryValue", Status),
    ("RtlCreateRegistryKey", Status),
    ("IoOpenDriverRegistryKey", Status),
    ("IoGetDeviceInterfaces", Status),
    ("IoSetDevicePropertyData", Status),
    ("IoAllocateErrorLogEntry", Null),
    ("ExAllocateTimer", Null),
    ("ExAllocateCacheAwareRundownProtection", Null),
    ("ExInitializeLookasideListEx", Status),
    ("MmCreateMdl", Null),
    ("MmAllocatePagesForMdl", Null),
    ("MmAllocatePagesForMdlEx", Null),
    ("PcInitializeAdapterDriver", Status),
    ("PcAddAdapterDevice", Status),
    ("PcNewPort", Status),
    ("PcNewMiniport", Status),
    ("PcNewInterruptSync", Status),
    ("PcNewServiceGroup", Status),
    ("PcNewDmaChannel", Status),
    ("PcNewResourceList", Status),
    ("PcNewResourceSublist", Status),
    ("PcNewRegistryKey", Status),
    ("PcRegisterSubdevice", Status),
    ("PcRegisterPhysicalConnection", Status),
    ("PcRegisterPhysicalConnectionToExternal", Status),
    ("PcRegisterPhysicalConnectionFromExternal", Status),
    ("PcRegisterAdapterPowerManagement", Status),
    ("PcRegisterIoTimeout", Status),
    ("PcRequestNewPowerState", Status),
    ("PcGetDeviceProperty", Status),
    ("PcCreateContentMixed", Status),
];

/// Entry points there are.
const STUBS: usize = 96;
const _: () = assert!(CAN_FAIL.len() <= STUBS);

static TARGETS: [AtomicU64; STUBS] = [const { AtomicU64::new(0) }; STUBS];

global_asm!(
    r#"
    .section .text.alloc_faults, "ax", @progbits
    .global alloc_fault_stubs
    .balign 16
alloc_fault_stubs:
    .set index, 0
    .rept {stubs}
    .balign 16
    mov eax, index
    jmp 1f
    .set index, index + 1
    .endr
    /* All that may hold an argument, or that the caller expects back and this host's convention does not keep. */
1:  push rbp
    mov rbp, rsp
    push rcx
    push rdx
    push r8
    push r9
    push rdi
    push rsi
    push rax
    sub rsp, 8
    mov edi, eax
    call {must_fail}
    mov r10, rax
    add rsp, 8
    pop rax
    pop rsi
    pop rdi
    pop r9
    pop r8
    pop rdx
    pop rcx
    pop rbp
    test r10b, r10b
    jz 2f
    lea r10, [rip + {values}]
    mov rax, [r10 + 8 * rax]
    ret
2:  lea r10, [rip + {targets}]
    jmp qword ptr [r10 + 8 * rax]
    "#,
    stubs = const STUBS,
    must_fail = sym must_fail,
    values = sym VALUES,
    targets = sym TARGETS,
);

unsafe extern "C" {
    static alloc_fault_stubs: u8;
}

static VALUES: [u64; STUBS] = {
    let mut values = [0; STUBS];
    let mut index = 0;
    while index < CAN_FAIL.len() {
        values[index] = match CAN_FAIL[index].1 {
            Null => 0,
            Status => STATUS_INSUFFICIENT_RESOURCES.cast_unsigned() as u64,
        };
        index += 1;
    }
    values
};

extern "C" fn must_fail(index: u32) -> bool {
    alloc_faults::fails(CAN_FAIL[index as usize].0)
}

/// Returns the entry point to bind a driver to instead of the function at `address`, if it can fail.
#[must_use]
pub(crate) fn entry_of(name: &str, address: u64) -> u64 {
    let Some(index) = CAN_FAIL.iter().position(|(other, _)| *other == name) else { return address };
    TARGETS[index].store(address, Ordering::Relaxed);
    (&raw const alloc_fault_stubs) as u64 + 16 * index as u64
}
