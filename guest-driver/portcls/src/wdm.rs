//! The kernel's structures that a driver of PortCls' looks into (`wdm.h`), as far as it does: what it does not name is
//! room, and behind the last field that it names a structure may go on.

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, AtomicU8};

use crate::guid::Guid;
use crate::status::NtStatus;

/// Whether addresses have 64 bits.
const WIDE: bool = cfg!(target_pointer_width = "64");

/// `KEVENT`: opaque, made in place by `KeInitializeEvent` and never moved.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct KEvent([u64; KEVENT_WORDS]);

/// Words of 64 bits in a `KEVENT`: three pointers and twice 32 bits.
const KEVENT_WORDS: usize = if WIDE { 3 } else { 2 };

impl KEvent {
    /// Makes room for an event.
    #[must_use]
    pub const fn uninitialized() -> Self {
        Self([0; KEVENT_WORDS])
    }
}

layout! { KEvent = "KEVENT", 24 / 16 {} }

/// `IO_STATUS_BLOCK`.
#[repr(C)]
#[derive(Debug)]
pub struct IoStatusBlock {
    /// The final status.
    pub status: NtStatus,
    /// The request's result: for most requests, bytes transferred.
    pub information: usize,
}

layout! { IoStatusBlock = "IO_STATUS_BLOCK", 16 / 8 {
    status = "Status", 0 / 0;
    information = "Information", 8 / 4;
} }

/// Bytes of an `IRP` before each of its fields, and between them.
const IRP: [usize; 4] = if WIDE { [0x30, 3, 0x22, 0x48] } else { [0x18, 3, 0x12, 0x24] };

/// `IRP`.
#[repr(C)]
#[derive(Debug)]
pub struct Irp {
    _before_status: [u8; IRP[0]],
    /// The final status.
    pub io_status: IoStatusBlock,
    /// `KernelMode` 0, `UserMode` 1.
    pub requestor_mode: i8,
    _before_cancel: [u8; IRP[1]],
    /// It has been cancelled. Others set it at any time.
    pub cancel: AtomicU8,
    /// The level to which a cancel routine gives the cancel lock back.
    pub cancel_irql: u8,
    _before_cancel_routine: [u8; IRP[2]],
    /// Its cancel routine, or null. The code that takes it out, with one exchange, calls it or completes the IRP.
    pub cancel_routine: AtomicPtr<c_void>,
    _before_location: [u8; IRP[3]],
    /// The parameters for the driver that holds the request.
    pub current_stack_location: *mut IoStackLocation,
}

beginning! { Irp = "IRP" {
    io_status = "IoStatus", 0x30 / 0x18;
    requestor_mode = "RequestorMode", 0x40 / 0x20;
    cancel = "Cancel", 0x44 / 0x24;
    cancel_irql = "CancelIrql", 0x45 / 0x25;
    cancel_routine = "CancelRoutine", 0x68 / 0x38;
    current_stack_location = "Tail.Overlay.CurrentStackLocation", 0xb8 / 0x60;
} }

/// `IO_STACK_LOCATION`, with the parameters of `IRP_MN_QUERY_INTERFACE`.
#[repr(C)]
#[derive(Debug)]
pub struct IoStackLocation {
    /// `IRP_MJ_*`.
    pub major_function: u8,
    /// `IRP_MN_*`.
    pub minor_function: u8,
    _flags: [u8; 2],
    /// The GUID of the requested interface.
    pub interface_type: *const Guid,
    /// Its size.
    pub size: u16,
    /// Its version.
    pub version: u16,
    /// The place that the interface is written to.
    pub interface: *mut c_void,
    /// The interface's own data.
    pub interface_specific_data: *mut c_void,
    _rest: [*mut c_void; 4],
}

layout! { IoStackLocation = "IO_STACK_LOCATION", 72 / 36 {
    major_function = "MajorFunction", 0 / 0;
    minor_function = "MinorFunction", 1 / 1;
    interface_type = "Parameters.QueryInterface.InterfaceType", 8 / 4;
    size = "Parameters.QueryInterface.Size", 16 / 8;
    version = "Parameters.QueryInterface.Version", 18 / 10;
    interface = "Parameters.QueryInterface.Interface", 24 / 12;
    interface_specific_data = "Parameters.QueryInterface.InterfaceSpecificData", 32 / 16;
} }

/// `DEVICE_OBJECT`.
#[repr(C)]
#[derive(Debug)]
pub struct DeviceObject {
    _before_extension: [u8; if WIDE { 0x40 } else { 0x28 }],
    /// Pointers, of which PortCls leaves the adapter driver some.
    pub device_extension: *const AtomicPtr<c_void>,
}

beginning! { DeviceObject = "DEVICE_OBJECT" {
    device_extension = "DeviceExtension", 0x40 / 0x28;
} }

/// A function of `BUS_INTERFACE_STANDARD` that counts references.
pub type InterfaceReference = unsafe extern "system" fn(context: *mut c_void);

/// `GET_SET_DEVICE_DATA`: bytes read.
pub type GetBusData = unsafe extern "system" fn(
    context: *mut c_void,
    data_type: u32,
    buffer: *mut c_void,
    offset: u32,
    length: u32,
) -> u32;

/// `BUS_INTERFACE_STANDARD`.
#[repr(C)]
#[derive(Debug)]
pub struct BusInterfaceStandard {
    /// Its size.
    pub size: u16,
    /// 1.
    pub version: u16,
    /// The context for its functions.
    pub context: *mut c_void,
    /// Adds a reference.
    pub interface_reference: Option<InterfaceReference>,
    /// Takes one away.
    pub interface_dereference: Option<InterfaceReference>,
    _translate_bus_address: *mut c_void,
    _get_dma_adapter: *mut c_void,
    _set_bus_data: *mut c_void,
    /// Reads configuration space.
    pub get_bus_data: Option<GetBusData>,
}

layout! { BusInterfaceStandard = "BUS_INTERFACE_STANDARD", 64 / 32 {
    size = "Size", 0 / 0;
    version = "Version", 2 / 2;
    context = "Context", 8 / 4;
    interface_reference = "InterfaceReference", 16 / 8;
    interface_dereference = "InterfaceDereference", 24 / 12;
    get_bus_data = "GetBusData", 56 / 28;
} }

/// `DEVICE_DESCRIPTION`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct DeviceDescription {
    /// The version of the structure.
    pub version: u32,
    /// The device is a bus master.
    pub master: u8,
    /// It can scatter and gather.
    pub scatter_gather: u8,
    /// For slave devices.
    pub demand_mode: u8,
    /// For slave devices.
    pub auto_initialize: u8,
    /// It can address 32 bits.
    pub dma32_bit_addresses: u8,
    /// For slave devices.
    pub ignore_count: u8,
    /// Zero.
    pub reserved1: u8,
    /// It can address 64 bits.
    pub dma64_bit_addresses: u8,
    /// Number of its bus.
    pub bus_number: u32,
    /// For slave devices.
    pub dma_channel: u32,
    /// The kind of its bus.
    pub interface_type: u32,
    /// For slave devices.
    pub dma_width: u32,
    /// For slave devices.
    pub dma_speed: u32,
    /// The longest transfer, in bytes.
    pub maximum_length: u32,
    /// For slave devices.
    pub dma_port: u32,
    /// A field of version 3; version 2 leaves it out, but headers since Windows 8 count it in.
    pub version_3: [u32; 6],
}

beginning! { DeviceDescription = "DEVICE_DESCRIPTION" {
    version = "Version", 0 / 0;
    master = "Master", 4 / 4;
    scatter_gather = "ScatterGather", 5 / 5;
    dma32_bit_addresses = "Dma32BitAddresses", 8 / 8;
    dma64_bit_addresses = "Dma64BitAddresses", 11 / 11;
    bus_number = "BusNumber", 12 / 12;
    interface_type = "InterfaceType", 20 / 20;
    maximum_length = "MaximumLength", 32 / 32;
} }

const _: () = assert!(size_of::<DeviceDescription>() == 64);

/// `DMA_ADAPTER`.
#[repr(C)]
#[derive(Debug)]
pub struct DmaAdapter {
    /// Its version.
    pub version: u16,
    /// Its size.
    pub size: u16,
    /// Its functions.
    pub operations: *const DmaOperations,
}

layout! { DmaAdapter = "DMA_ADAPTER", 16 / 8 {
    version = "Version", 0 / 0;
    size = "Size", 2 / 2;
    operations = "DmaOperations", 8 / 4;
} }

/// `PALLOCATE_COMMON_BUFFER`.
pub type AllocateCommonBuffer = unsafe extern "system" fn(
    adapter: *mut DmaAdapter,
    length: u32,
    logical_address: *mut i64,
    cache_enabled: u8,
) -> *mut c_void;

/// `PFREE_COMMON_BUFFER`.
pub type FreeCommonBuffer = unsafe extern "system" fn(
    adapter: *mut DmaAdapter,
    length: u32,
    logical_address: i64,
    virtual_address: *mut c_void,
    cache_enabled: u8,
);

/// `DMA_OPERATIONS`, its first entries.
#[repr(C)]
#[derive(Debug)]
pub struct DmaOperations {
    /// Its size.
    pub size: u32,
    /// Gives the adapter back.
    pub put_dma_adapter: unsafe extern "system" fn(adapter: *mut DmaAdapter),
    /// Allocates memory that the device and the processor see alike.
    pub allocate_common_buffer: AllocateCommonBuffer,
    /// Frees it.
    pub free_common_buffer: FreeCommonBuffer,
}

beginning! { DmaOperations = "DMA_OPERATIONS" {
    size = "Size", 0 / 0;
    put_dma_adapter = "PutDmaAdapter", 8 / 4;
    allocate_common_buffer = "AllocateCommonBuffer", 16 / 8;
    free_common_buffer = "FreeCommonBuffer", 24 / 12;
} }

/// `UNICODE_STRING`.
#[repr(C)]
#[derive(Debug)]
pub struct UnicodeString {
    /// Bytes of it.
    pub length: u16,
    /// Bytes of room.
    pub maximum_length: u16,
    /// UTF-16, without an end.
    pub buffer: *const u16,
}

layout! { UnicodeString = "UNICODE_STRING", 16 / 8 {
    length = "Length", 0 / 0;
    maximum_length = "MaximumLength", 2 / 2;
    buffer = "Buffer", 8 / 4;
} }
