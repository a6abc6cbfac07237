//! The imports from the kernel (`wdm.h`). Its structures are in [`portcls::wdm`].
//!
//! On x86 a few functions are `__fastcall`, and those that set the interrupt request level are the hardware abstraction
//! layer's.
#![allow(unsafe_code, reason = "the kernel is behind a foreign interface")]

use core::ffi::{c_char, c_void};

use portcls::wdm::{DeviceDescription, DeviceObject, DmaAdapter, IoStatusBlock, Irp, KEvent, UnicodeString};
use portcls::{Guid, NtStatus, Opaque};

/// `PASSIVE_LEVEL`.
pub(crate) const PASSIVE_LEVEL: u8 = 0;

/// `NonPagedPool`: executable.
pub(crate) const NON_PAGED_POOL: u32 = 0;

/// `NonPagedPoolNx`, which Windows has since version 6.2 (Windows 8).
pub(crate) const NON_PAGED_POOL_NX: u32 = 512;

/// The first version that has [`NON_PAGED_POOL_NX`]: major and minor.
pub(crate) const NX_POOL_SINCE: (u32, u32) = (6, 2);

/// `RTL_OSVERSIONINFOW`.
#[repr(C)]
pub(crate) struct OsVersionInfo {
    size: u32,
    major: u32,
    minor: u32,
    build: u32,
    platform: u32,
    service_pack: [u16; 128],
}

/// `MmNonCached`.
pub(crate) const MM_NON_CACHED: u32 = 0;

/// `SynchronizationEvent`: a wait that succeeds resets it.
pub(crate) const SYNCHRONIZATION_EVENT: u32 = 1;

/// `NotificationEvent`.
pub(crate) const NOTIFICATION_EVENT: u32 = 0;

/// `DRIVER_CANCEL`. Called at `DISPATCH_LEVEL` with the cancel lock held.
pub(crate) type CancelRoutine = unsafe extern "system" fn(device: *mut DeviceObject, irp: *mut Irp);

/// `IO_WORKITEM`, an opaque structure.
#[repr(C)]
pub(crate) struct IoWorkItem([u8; 0]);

/// `IO_WORKITEM_ROUTINE`. Called at `PASSIVE_LEVEL`.
pub(crate) type WorkItemRoutine = unsafe extern "system" fn(device: *mut Opaque, context: *mut c_void);

/// `DelayedWorkQueue`.
pub(crate) const DELAYED_WORK_QUEUE: u32 = 1;

/// `IRP_MJ_PNP`.
pub(crate) const IRP_MJ_PNP: u32 = 0x1b;

/// `IRP_MN_QUERY_INTERFACE`.
pub(crate) const IRP_MN_QUERY_INTERFACE: u8 = 0x08;

/// `PCI_WHICHSPACE_CONFIG`.
pub(crate) const PCI_WHICHSPACE_CONFIG: u32 = 0;

/// `GUID_BUS_INTERFACE_STANDARD`.
pub(crate) static GUID_BUS_INTERFACE_STANDARD: Guid = Guid::parse("496b8280-6f25-11d0-beaf-08002be2092f");

/// `DEVICE_DESCRIPTION_VERSION2`.
pub(crate) const DEVICE_DESCRIPTION_VERSION2: u32 = 2;

/// `PCIBus`.
pub(crate) const PCI_BUS: u32 = 5;

#[cfg_attr(
    target_arch = "x86",
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")
)]
#[cfg_attr(not(target_arch = "x86"), link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "system" {
    pub(crate) fn ExAllocatePoolWithTag(pool_type: u32, bytes: usize, tag: u32) -> *mut c_void;
    pub(crate) fn ExFreePoolWithTag(pool: *mut c_void, tag: u32);
    pub(crate) fn IoAllocateWorkItem(device: *mut Opaque) -> *mut IoWorkItem;
    pub(crate) fn IoBuildSynchronousFsdRequest(
        major_function: u32,
        device: *mut Opaque,
        buffer: *mut c_void,
        length: u32,
        offset: *mut i64,
        event: *mut KEvent,
        io_status: *mut IoStatusBlock,
    ) -> *mut Irp;
    pub(crate) fn IoFreeWorkItem(item: *mut IoWorkItem);
    pub(crate) fn IoGetAttachedDeviceReference(device: *mut Opaque) -> *mut Opaque;
    pub(crate) fn IoGetDmaAdapter(
        physical_device: *mut Opaque,
        description: *mut DeviceDescription,
        map_registers: *mut u32,
    ) -> *mut DmaAdapter;
    pub(crate) fn IoQueueWorkItem(item: *mut IoWorkItem, routine: WorkItemRoutine, queue: u32, context: *mut c_void);
    pub(crate) fn IoReleaseCancelSpinLock(irql: u8);
    pub(crate) fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> !;
    pub(crate) fn KeClearEvent(event: *mut KEvent);
    pub(crate) fn KeDelayExecutionThread(wait_mode: i8, alertable: u8, interval: *const i64) -> NtStatus;
    pub(crate) fn KeEnterCriticalRegion();
    pub(crate) fn KeFlushQueuedDpcs();
    pub(crate) fn KeInitializeEvent(event: *mut KEvent, kind: u32, state: u8);
    pub(crate) fn KeLeaveCriticalRegion();
    pub(crate) fn KeSetEvent(event: *mut KEvent, increment: i32, wait: u8) -> i32;
    pub(crate) fn KeWaitForSingleObject(
        object: *mut c_void,
        wait_reason: u32,
        wait_mode: i8,
        alertable: u8,
        timeout: *const i64,
    ) -> NtStatus;
    fn MmGetSystemRoutineAddress(name: *const UnicodeString) -> *mut c_void;
    pub(crate) fn MmMapIoSpace(address: i64, bytes: usize, cache_type: u32) -> *mut c_void;
    pub(crate) fn MmUnmapIoSpace(address: *mut c_void, bytes: usize);
    fn RtlGetVersion(info: *mut OsVersionInfo) -> NtStatus;
}

#[cfg(not(target_arch = "x86"))]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn IofCallDriver(device: *mut Opaque, irp: *mut Irp) -> NtStatus;
    fn KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> u8;
    fn KeLowerIrql(irql: u8);
    fn KeRaiseIrqlToDpcLevel() -> u8;
    fn KeReleaseSpinLock(lock: *mut usize, irql: u8);
    pub(crate) fn ObfDereferenceObject(object: *mut Opaque) -> isize;
}

#[cfg(target_arch = "x86")]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")]
unsafe extern "fastcall" {
    pub(crate) fn IofCallDriver(device: *mut Opaque, irp: *mut Irp) -> NtStatus;
    pub(crate) fn ObfDereferenceObject(object: *mut Opaque) -> isize;
}

#[cfg(target_arch = "x86")]
#[link(name = "hal.dll", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")]
unsafe extern "fastcall" {
    fn KfAcquireSpinLock(lock: *mut usize) -> u8;
    fn KfLowerIrql(irql: u8);
    fn KfReleaseSpinLock(lock: *mut usize, irql: u8);
}

#[cfg(target_arch = "x86")]
#[link(name = "hal.dll", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")]
unsafe extern "system" {
    fn KeGetCurrentIrql() -> u8;
    fn KeRaiseIrqlToDpcLevel() -> u8;
}

// 64-bit arithmetic. The compiler calls these functions with a convention of their own; no other code may. The exports'
// names have one underscore less.
#[cfg(target_arch = "x86")]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")]
unsafe extern "C" {
    fn __alldiv();
    fn __allmul();
    fn __allrem();
    fn __aulldiv();
    fn __aullrem();
}

/// Calls `body` at `DISPATCH_LEVEL` (`KeRaiseIrqlToDpcLevel`, `KeLowerIrql`).
///
/// # Safety
/// The level is at most `DISPATCH_LEVEL`, and `body` may be called there.
pub(crate) unsafe fn at_dispatch_level<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the caller's promise.
    let before = unsafe { KeRaiseIrqlToDpcLevel() };
    let result = body();
    #[cfg(not(target_arch = "x86"))]
    // SAFETY: the level that was raised.
    unsafe {
        KeLowerIrql(before);
    }
    #[cfg(target_arch = "x86")]
    // SAFETY: the level that was raised.
    unsafe {
        KfLowerIrql(before);
    }
    result
}

/// Acquires a spin lock (`KeAcquireSpinLock`). Returns the IRQL to restore.
///
/// # Safety
/// `lock` is a `KSPIN_LOCK`, and the level at most `DISPATCH_LEVEL`.
pub(crate) unsafe fn acquire_spin_lock(lock: *mut usize) -> u8 {
    #[cfg(not(target_arch = "x86"))]
    // SAFETY: the caller's promise.
    unsafe {
        KeAcquireSpinLockRaiseToDpc(lock)
    }
    #[cfg(target_arch = "x86")]
    // SAFETY: the caller's promise.
    unsafe {
        KfAcquireSpinLock(lock)
    }
}

/// Releases a spin lock (`KeReleaseSpinLock`).
///
/// # Safety
/// The caller holds the lock, and `irql` is what [`acquire_spin_lock`] returned.
pub(crate) unsafe fn release_spin_lock(lock: *mut usize, irql: u8) {
    #[cfg(not(target_arch = "x86"))]
    // SAFETY: the caller's promise.
    unsafe {
        KeReleaseSpinLock(lock, irql);
    }
    #[cfg(target_arch = "x86")]
    // SAFETY: the caller's promise.
    unsafe {
        KfReleaseSpinLock(lock, irql);
    }
}

#[cfg_attr(
    target_arch = "x86",
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")
)]
#[cfg_attr(not(target_arch = "x86"), link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "C" {
    pub(crate) fn DbgPrint(format: *const c_char, ...) -> u32;
}

/// `MmCopyMemory`: copies from any address of the caller's process and raises nothing. Its source is a structure of one
/// address, passed by value.
pub(crate) type MmCopyMemory = unsafe extern "system" fn(
    target: *mut c_void,
    source: u64,
    bytes: usize,
    flags: u32,
    transferred: *mut usize,
) -> NtStatus;

/// `MM_COPY_MEMORY_VIRTUAL`.
pub(crate) const MM_COPY_MEMORY_VIRTUAL: u32 = 2;

/// Looks `MmCopyMemory` up, which Windows has since 8.1. An older system loads the driver too, without downloads. At
/// `PASSIVE_LEVEL`.
pub(crate) fn mm_copy_memory() -> Option<MmCopyMemory> {
    const NAME: [u16; 12] = {
        let mut name = [0; 12];
        let mut i = 0;
        while i < 12 {
            name[i] = b"MmCopyMemory"[i] as u16;
            i += 1;
        }
        name
    };
    let name = UnicodeString { length: 24, maximum_length: 24, buffer: NAME.as_ptr() };
    // SAFETY: a name that is good for the call.
    let address = unsafe { MmGetSystemRoutineAddress(&raw const name) };
    if address.is_null() {
        return None;
    }
    // SAFETY: the function of that name has that type.
    Some(unsafe { core::mem::transmute::<*mut c_void, MmCopyMemory>(address) })
}

/// Returns the system's version: major and minor. At `PASSIVE_LEVEL`.
pub(crate) fn version() -> (u32, u32) {
    let size = size_of::<OsVersionInfo>() as u32;
    let mut info = OsVersionInfo { size, major: 0, minor: 0, build: 0, platform: 0, service_pack: [0; 128] };
    // SAFETY: a structure of the size that it says. It returns success always.
    unsafe { RtlGetVersion(&raw mut info) };
    (info.major, info.minor)
}

/// Returns the current IRQL. On x86-64 it is the task-priority register, which `KeGetCurrentIrql` reads too.
#[cfg(not(target_arch = "x86"))]
pub(crate) fn current_irql() -> u8 {
    let level: u64;
    // SAFETY: reads a register that kernel code may read.
    unsafe { core::arch::asm!("mov {}, cr8", out(reg) level, options(nomem, nostack, preserves_flags)) };
    level as u8
}

/// Returns the current IRQL.
#[cfg(target_arch = "x86")]
pub(crate) fn current_irql() -> u8 {
    // SAFETY: may be called at any level.
    unsafe { KeGetCurrentIrql() }
}

/// Returns the first address above user space (`MmUserProbeAddress`).
#[cfg(not(target_arch = "x86"))]
pub(crate) const fn user_end() -> u64 {
    // With any number of paging levels: the addresses between the halves are not canonical.
    1 << 63
}

/// Returns the first address above user space, which depends on the system's boot options.
#[cfg(target_arch = "x86")]
pub(crate) fn user_end() -> u64 {
    #[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")]
    unsafe extern "C" {
        static MmUserProbeAddress: usize;
    }
    // SAFETY: a constant of the system's.
    unsafe { MmUserProbeAddress as u64 }
}
