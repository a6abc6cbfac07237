//! What is imported from the kernel: functions, and the few structures that the driver looks into (`wdm.h`).
//!
//! Offsets are those of x86-64, asserted; the driver is not built for anything else.
#![allow(unsafe_code, reason = "the kernel is behind a foreign interface")]

use core::ffi::{c_char, c_void};

use portcls::{Guid, NtStatus, Opaque};

/// `PASSIVE_LEVEL`.
pub(crate) const PASSIVE_LEVEL: u8 = 0;

/// `NonPagedPoolNx`.
pub(crate) const NON_PAGED_POOL_NX: u32 = 512;

/// `MmNonCached`.
pub(crate) const MM_NON_CACHED: u32 = 0;

/// `KEVENT`: opaque, made in place by `KeInitializeEvent` and never moved.
#[repr(C, align(8))]
pub(crate) struct KEvent([u64; 3]);

impl KEvent {
    /// Room for an event.
    pub(crate) const fn uninitialized() -> Self {
        Self([0; 3])
    }
}

/// `SynchronizationEvent`: waiting consumes it.
pub(crate) const SYNCHRONIZATION_EVENT: u32 = 1;

/// `NotificationEvent`.
pub(crate) const NOTIFICATION_EVENT: u32 = 0;

/// `IO_STATUS_BLOCK`.
#[repr(C)]
pub(crate) struct IoStatusBlock {
    pub(crate) status: NtStatus,
    pub(crate) information: usize,
}

/// `IRP`, as far as the driver looks into it.
#[repr(C)]
pub(crate) struct Irp {
    _before_status: [u8; 0x30],
    pub(crate) io_status: IoStatusBlock,
    /// `KernelMode` 0, `UserMode` 1.
    pub(crate) requestor_mode: i8,
    _before_location: [u8; 0xb8 - 0x41],
    /// `Tail.Overlay.CurrentStackLocation`.
    pub(crate) current_stack_location: *mut IoStackLocation,
}

const _: () = assert!(core::mem::offset_of!(Irp, io_status) == 0x30);
const _: () = assert!(core::mem::offset_of!(Irp, requestor_mode) == 0x40);
const _: () = assert!(core::mem::offset_of!(Irp, current_stack_location) == 0xb8);

/// `IO_STACK_LOCATION`, with the parameters of `IRP_MN_QUERY_INTERFACE`.
#[repr(C)]
pub(crate) struct IoStackLocation {
    pub(crate) major_function: u8,
    pub(crate) minor_function: u8,
    _flags: [u8; 6],
    pub(crate) interface_type: *const Guid,
    pub(crate) size: u16,
    pub(crate) version: u16,
    pub(crate) interface: *mut c_void,
    pub(crate) interface_specific_data: *mut c_void,
    _rest: [u8; 0x48 - 0x28],
}

const _: () = assert!(core::mem::offset_of!(IoStackLocation, interface) == 0x18);
const _: () = assert!(size_of::<IoStackLocation>() == 0x48);

/// `IRP_MJ_PNP`.
pub(crate) const IRP_MJ_PNP: u32 = 0x1b;

/// `IRP_MN_QUERY_INTERFACE`.
pub(crate) const IRP_MN_QUERY_INTERFACE: u8 = 0x08;

/// `BUS_INTERFACE_STANDARD`.
#[repr(C)]
pub(crate) struct BusInterfaceStandard {
    pub(crate) size: u16,
    pub(crate) version: u16,
    pub(crate) context: *mut c_void,
    pub(crate) interface_reference: Option<unsafe extern "system" fn(context: *mut c_void)>,
    pub(crate) interface_dereference: Option<unsafe extern "system" fn(context: *mut c_void)>,
    _translate_bus_address: *mut c_void,
    _get_dma_adapter: *mut c_void,
    _set_bus_data: *mut c_void,
    pub(crate) get_bus_data: Option<
        unsafe extern "system" fn(
            context: *mut c_void,
            data_type: u32,
            buffer: *mut c_void,
            offset: u32,
            length: u32,
        ) -> u32,
    >,
}

const _: () = assert!(size_of::<BusInterfaceStandard>() == 64);

/// `PCI_WHICHSPACE_CONFIG`.
pub(crate) const PCI_WHICHSPACE_CONFIG: u32 = 0;

/// `GUID_BUS_INTERFACE_STANDARD`.
pub(crate) static GUID_BUS_INTERFACE_STANDARD: Guid = Guid::parse("496b8280-6f25-11d0-beaf-08002be2092f");

/// `DEVICE_DESCRIPTION`, version 2's part.
#[repr(C)]
#[derive(Default)]
pub(crate) struct DeviceDescription {
    pub(crate) version: u32,
    pub(crate) master: u8,
    pub(crate) scatter_gather: u8,
    pub(crate) demand_mode: u8,
    pub(crate) auto_initialize: u8,
    pub(crate) dma32_bit_addresses: u8,
    pub(crate) ignore_count: u8,
    pub(crate) reserved1: u8,
    pub(crate) dma64_bit_addresses: u8,
    pub(crate) bus_number: u32,
    pub(crate) dma_channel: u32,
    pub(crate) interface_type: u32,
    pub(crate) dma_width: u32,
    pub(crate) dma_speed: u32,
    pub(crate) maximum_length: u32,
    pub(crate) dma_port: u32,
    /// What version 3 adds; version 2 leaves it out, but headers since Windows 8 count it in.
    pub(crate) version_3: [u32; 6],
}

const _: () = assert!(core::mem::offset_of!(DeviceDescription, maximum_length) == 32);
const _: () = assert!(size_of::<DeviceDescription>() == 64);

/// `DEVICE_DESCRIPTION_VERSION2`.
pub(crate) const DEVICE_DESCRIPTION_VERSION2: u32 = 2;

/// `PCIBus`.
pub(crate) const PCI_BUS: u32 = 5;

/// `DMA_ADAPTER`.
#[repr(C)]
pub(crate) struct DmaAdapter {
    pub(crate) version: u16,
    pub(crate) size: u16,
    pub(crate) operations: *const DmaOperations,
}

/// `DMA_OPERATIONS`, its first entries.
#[repr(C)]
pub(crate) struct DmaOperations {
    pub(crate) size: u32,
    pub(crate) put_dma_adapter: unsafe extern "system" fn(adapter: *mut DmaAdapter),
    pub(crate) allocate_common_buffer: unsafe extern "system" fn(
        adapter: *mut DmaAdapter,
        length: u32,
        logical_address: *mut i64,
        cache_enabled: u8,
    ) -> *mut c_void,
    pub(crate) free_common_buffer: unsafe extern "system" fn(
        adapter: *mut DmaAdapter,
        length: u32,
        logical_address: i64,
        virtual_address: *mut c_void,
        cache_enabled: u8,
    ),
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn ExAllocatePoolWithTag(pool_type: u32, bytes: usize, tag: u32) -> *mut c_void;
    pub(crate) fn ExFreePoolWithTag(pool: *mut c_void, tag: u32);
    pub(crate) fn IoBuildSynchronousFsdRequest(
        major_function: u32,
        device: *mut Opaque,
        buffer: *mut c_void,
        length: u32,
        offset: *mut i64,
        event: *mut KEvent,
        io_status: *mut IoStatusBlock,
    ) -> *mut Irp;
    pub(crate) fn IoGetAttachedDeviceReference(device: *mut Opaque) -> *mut Opaque;
    pub(crate) fn IoGetDmaAdapter(
        physical_device: *mut Opaque,
        description: *mut DeviceDescription,
        map_registers: *mut u32,
    ) -> *mut DmaAdapter;
    pub(crate) fn IofCallDriver(device: *mut Opaque, irp: *mut Irp) -> NtStatus;
    pub(crate) fn KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> u8;
    pub(crate) fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> !;
    pub(crate) fn KeClearEvent(event: *mut KEvent);
    pub(crate) fn KeDelayExecutionThread(wait_mode: i8, alertable: u8, interval: *const i64) -> NtStatus;
    pub(crate) fn KeEnterCriticalRegion();
    pub(crate) fn KeFlushQueuedDpcs();
    pub(crate) fn KeInitializeEvent(event: *mut KEvent, kind: u32, state: u8);
    pub(crate) fn KeLeaveCriticalRegion();
    pub(crate) fn KeReleaseSpinLock(lock: *mut usize, irql: u8);
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
    pub(crate) fn ObfDereferenceObject(object: *mut Opaque) -> isize;
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub(crate) fn DbgPrint(format: *const c_char, ...) -> u32;
}

/// `UNICODE_STRING`.
#[repr(C)]
struct UnicodeString {
    length: u16,
    maximum_length: u16,
    buffer: *const u16,
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

/// `MmCopyMemory`, which came with Windows 8.1: a system without it loads the driver all the same, and has no downloads.
/// At `PASSIVE_LEVEL`.
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

/// The present IRQL: on x86-64 it is the task-priority register, as `KeGetCurrentIrql` reads it.
pub(crate) fn current_irql() -> u8 {
    let level: u64;
    // SAFETY: reads a register that kernel code may read.
    unsafe { core::arch::asm!("mov {}, cr8", out(reg) level, options(nomem, nostack, preserves_flags)) };
    level as u8
}
