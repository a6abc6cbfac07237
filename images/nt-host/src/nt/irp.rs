//! I/O request packets (`wdm.h`).

use super::{
    CM_RESOURCE_LIST, DEVICE_CAPABILITIES, DEVICE_OBJECT, DRIVER_CANCEL, FILE_OBJECT, GUID, INTERFACE, KEVENT, KIRQL,
    LIST_ENTRY, MDL, NTSTATUS, PVOID,
};

/// Major function: create.
pub const IRP_MJ_CREATE: u8 = 0x00;
/// Major function: close.
pub const IRP_MJ_CLOSE: u8 = 0x02;
/// Major function: read.
pub const IRP_MJ_READ: u8 = 0x03;
/// Major function: write.
pub const IRP_MJ_WRITE: u8 = 0x04;
/// Major function: flush buffers.
pub const IRP_MJ_FLUSH_BUFFERS: u8 = 0x09;
/// Major function: device control.
pub const IRP_MJ_DEVICE_CONTROL: u8 = 0x0e;
/// Major function: internal device control.
pub const IRP_MJ_INTERNAL_DEVICE_CONTROL: u8 = 0x0f;
/// Major function: shutdown.
pub const IRP_MJ_SHUTDOWN: u8 = 0x10;
/// Major function: cleanup.
pub const IRP_MJ_CLEANUP: u8 = 0x12;
/// Major function: query security.
pub const IRP_MJ_QUERY_SECURITY: u8 = 0x14;
/// Major function: set security.
pub const IRP_MJ_SET_SECURITY: u8 = 0x15;
/// Major function: power.
pub const IRP_MJ_POWER: u8 = 0x16;
/// Major function: system control.
pub const IRP_MJ_SYSTEM_CONTROL: u8 = 0x17;
/// Major function: pnp.
pub const IRP_MJ_PNP: u8 = 0x1b;

/// Minor function of `IRP_MJ_PNP`: start device.
pub const IRP_MN_START_DEVICE: u8 = 0x00;
/// Minor function of `IRP_MJ_PNP`: query remove device.
pub const IRP_MN_QUERY_REMOVE_DEVICE: u8 = 0x01;
/// Minor function of `IRP_MJ_PNP`: remove device.
pub const IRP_MN_REMOVE_DEVICE: u8 = 0x02;
/// Minor function of `IRP_MJ_PNP`: cancel remove device.
pub const IRP_MN_CANCEL_REMOVE_DEVICE: u8 = 0x03;
/// Minor function of `IRP_MJ_PNP`: stop device.
pub const IRP_MN_STOP_DEVICE: u8 = 0x04;
/// Minor function of `IRP_MJ_PNP`: query stop device.
pub const IRP_MN_QUERY_STOP_DEVICE: u8 = 0x05;
/// Minor function of `IRP_MJ_PNP`: cancel stop device.
pub const IRP_MN_CANCEL_STOP_DEVICE: u8 = 0x06;
/// Minor function of `IRP_MJ_PNP`: query device relations.
pub const IRP_MN_QUERY_DEVICE_RELATIONS: u8 = 0x07;
/// Minor function of `IRP_MJ_PNP`: query interface.
pub const IRP_MN_QUERY_INTERFACE: u8 = 0x08;
/// Minor function of `IRP_MJ_PNP`: query capabilities.
pub const IRP_MN_QUERY_CAPABILITIES: u8 = 0x09;
/// Minor function of `IRP_MJ_PNP`: query resources.
pub const IRP_MN_QUERY_RESOURCES: u8 = 0x0a;
/// Minor function of `IRP_MJ_PNP`: query resource requirements.
pub const IRP_MN_QUERY_RESOURCE_REQUIREMENTS: u8 = 0x0b;
/// Minor function of `IRP_MJ_PNP`: query device text.
pub const IRP_MN_QUERY_DEVICE_TEXT: u8 = 0x0c;
/// Minor function of `IRP_MJ_PNP`: filter resource requirements.
pub const IRP_MN_FILTER_RESOURCE_REQUIREMENTS: u8 = 0x0d;
/// Minor function of `IRP_MJ_PNP`: read config.
pub const IRP_MN_READ_CONFIG: u8 = 0x0f;
/// Minor function of `IRP_MJ_PNP`: write config.
pub const IRP_MN_WRITE_CONFIG: u8 = 0x10;
/// Minor function of `IRP_MJ_PNP`: query id.
pub const IRP_MN_QUERY_ID: u8 = 0x13;
/// Minor function of `IRP_MJ_PNP`: query pnp device state.
pub const IRP_MN_QUERY_PNP_DEVICE_STATE: u8 = 0x14;
/// Minor function of `IRP_MJ_PNP`: query bus information.
pub const IRP_MN_QUERY_BUS_INFORMATION: u8 = 0x15;
/// Minor function of `IRP_MJ_PNP`: surprise removal.
pub const IRP_MN_SURPRISE_REMOVAL: u8 = 0x17;

/// Minor function of power: wait for wake-up.
pub const IRP_MN_WAIT_WAKE: u8 = 0x00;
/// Minor function of power: set a state.
pub const IRP_MN_SET_POWER: u8 = 0x02;
/// Minor function of power: may the state be set.
pub const IRP_MN_QUERY_POWER: u8 = 0x03;

/// Control flag of a stack location: pending returned.
pub const SL_PENDING_RETURNED: u8 = 0x01;
/// Control flag of a stack location: invoke on cancel.
pub const SL_INVOKE_ON_CANCEL: u8 = 0x20;
/// Control flag of a stack location: invoke on success.
pub const SL_INVOKE_ON_SUCCESS: u8 = 0x40;
/// Control flag of a stack location: invoke on error.
pub const SL_INVOKE_ON_ERROR: u8 = 0x80;

/// A completion routine.
pub type IO_COMPLETION_ROUTINE =
    unsafe extern "win64" fn(device: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID) -> NTSTATUS;

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IO_STATUS_BLOCK {
    /// A union with a pointer: the upper half is undefined.
    pub Status: NTSTATUS,
    pub StatusHigh: u32,
    pub Information: usize,
}

/// An I/O request packet.
#[repr(C, align(16))]
pub struct IRP {
    pub Type: i16,
    pub Size: u16,
    pub MdlAddress: *mut MDL,
    pub Flags: u32,
    /// `AssociatedIrp`: master IRP, count or system buffer.
    pub SystemBuffer: PVOID,
    pub ThreadListEntry: LIST_ENTRY,
    pub IoStatus: IO_STATUS_BLOCK,
    pub RequestorMode: i8,
    pub PendingReturned: u8,
    pub StackCount: i8,
    pub CurrentLocation: i8,
    pub Cancel: u8,
    pub CancelIrql: KIRQL,
    pub ApcEnvironment: i8,
    pub AllocationFlags: u8,
    pub UserIosb: *mut IO_STATUS_BLOCK,
    pub UserEvent: *mut KEVENT,
    pub Overlay: [PVOID; 2],
    pub CancelRoutine: Option<DRIVER_CANCEL>,
    pub UserBuffer: PVOID,
    pub Tail: IRP_TAIL,
}

/// `Tail.Overlay`.
#[repr(C)]
pub struct IRP_TAIL {
    pub DriverContext: [PVOID; 4],
    pub Thread: PVOID,
    pub AuxiliaryBuffer: PVOID,
    pub ListEntry: LIST_ENTRY,
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    pub OriginalFileObject: *mut FILE_OBJECT,
}

/// One driver's part of an I/O request packet.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_STACK_LOCATION {
    pub MajorFunction: u8,
    pub MinorFunction: u8,
    pub Flags: u8,
    pub Control: u8,
    pub Parameters: IO_PARAMETERS,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub FileObject: *mut FILE_OBJECT,
    pub CompletionRoutine: Option<IO_COMPLETION_ROUTINE>,
    pub Context: PVOID,
}

/// The parameters of a request, by its function.
#[derive(Clone, Copy)]
#[repr(C)]
pub union IO_PARAMETERS {
    pub Create: IO_CREATE,
    pub Read: IO_READ_WRITE,
    pub Write: IO_READ_WRITE,
    pub DeviceIoControl: IO_DEVICE_CONTROL,
    pub StartDevice: IO_START_DEVICE,
    pub QueryInterface: IO_QUERY_INTERFACE,
    pub DeviceCapabilities: IO_DEVICE_CAPABILITIES,
    pub QueryDeviceRelations: IO_QUERY_WORD,
    pub QueryId: IO_QUERY_WORD,
    pub QueryDeviceText: IO_QUERY_DEVICE_TEXT,
    pub ReadWriteConfig: IO_READ_WRITE_CONFIG,
    pub Power: IO_POWER,
    pub Others: [PVOID; 4],
}

/// A 32-bit field that the WDK aligns like a pointer.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct POINTER_ALIGNED(pub u32);

/// Parameters of `IRP_MJ_CREATE`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_CREATE {
    pub SecurityContext: PVOID,
    pub Options: u32,
    /// Low half: `FileAttributes`; next: `ShareAccess`.
    pub FileAttributesAndShareAccess: POINTER_ALIGNED,
    pub EaLength: POINTER_ALIGNED,
}

/// Parameters of `IRP_MJ_READ` and `IRP_MJ_WRITE`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_READ_WRITE {
    pub Length: POINTER_ALIGNED,
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: i64,
}

/// Parameters of `IRP_MJ_DEVICE_CONTROL`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_DEVICE_CONTROL {
    pub OutputBufferLength: POINTER_ALIGNED,
    pub InputBufferLength: POINTER_ALIGNED,
    pub IoControlCode: POINTER_ALIGNED,
    pub Type3InputBuffer: PVOID,
}

/// Parameters of `IRP_MN_START_DEVICE`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_START_DEVICE {
    pub AllocatedResources: *mut CM_RESOURCE_LIST,
    pub AllocatedResourcesTranslated: *mut CM_RESOURCE_LIST,
}

/// Parameters of `IRP_MN_QUERY_INTERFACE`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_QUERY_INTERFACE {
    pub InterfaceType: *const GUID,
    pub Size: u16,
    pub Version: u16,
    pub Interface: *mut INTERFACE,
    pub InterfaceSpecificData: PVOID,
}

/// Parameters of `IRP_MN_QUERY_CAPABILITIES`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_DEVICE_CAPABILITIES {
    pub Capabilities: *mut DEVICE_CAPABILITIES,
}

/// Parameters of queries that take one number.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_QUERY_WORD {
    pub Type: u32,
}

/// Parameters of `IRP_MN_QUERY_DEVICE_TEXT`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_QUERY_DEVICE_TEXT {
    pub DeviceTextType: POINTER_ALIGNED,
    pub LocaleId: POINTER_ALIGNED,
}

/// Parameters of `IRP_MN_READ_CONFIG` and `IRP_MN_WRITE_CONFIG`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_READ_WRITE_CONFIG {
    pub WhichSpace: u32,
    pub Buffer: PVOID,
    pub Offset: POINTER_ALIGNED,
    pub Length: POINTER_ALIGNED,
}

/// Parameters of power requests.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_POWER {
    pub SystemContext: POINTER_ALIGNED,
    /// `SystemPowerState` 0, `DevicePowerState` 1.
    pub Type: POINTER_ALIGNED,
    pub State: POINTER_ALIGNED,
    pub ShutdownType: POINTER_ALIGNED,
}
