//! The figures that mingw-w64's `ddk/wdm.h` gives for x64, against our definitions.

use core::mem::{offset_of, size_of};

use super::*;

macro_rules! sizes { ($($t:ty = $n:expr),+ $(,)?) => { $(assert_eq!(size_of::<$t>(), $n, stringify!($t));)+ } }
macro_rules! offsets { ($($t:ty, $($f:ident).+ = $n:expr);+ $(;)?) => { $(assert_eq!(offset_of!($t, $($f).+), $n, stringify!($t));)+ } }

#[test]
fn structures_have_the_sizes_of_the_headers() {
    sizes! {
        DRIVER_OBJECT = 336, IRP = 208, IO_STACK_LOCATION = 72, KDPC = 64, KTIMER = 64, KEVENT = 24, KSEMAPHORE = 32,
        KMUTANT = 56, MDL = 48, FILE_OBJECT = 216, FAST_MUTEX = 56, CM_PARTIAL_RESOURCE_DESCRIPTOR = 20,
        CM_RESOURCE_LIST = 40, DEVICE_CAPABILITIES = 64, BUS_INTERFACE_STANDARD = 64, DEVICE_DESCRIPTION = 40,
        DMA_ADAPTER = 16, SCATTER_GATHER_ELEMENT = 24, IO_REMOVE_LOCK_COMMON_BLOCK = 32, KWAIT_BLOCK = 48,
        DISPATCHER_HEADER = 24, OBJECT_ATTRIBUTES = 48, PNP_BUS_INFORMATION = 24, KDEVICE_QUEUE = 40,
        WORK_QUEUE_ITEM = 32,
        // wdm.h of the WDK aligns it to 16 bytes; mingw-w64 does not (328).
        DEVICE_OBJECT = 336,
    }
}

#[test]
fn fields_have_the_offsets_of_the_headers() {
    offsets! {
        DRIVER_OBJECT, DriverExtension = 48;
        DRIVER_OBJECT, DriverUnload = 104;
        DRIVER_OBJECT, MajorFunction = 112;
        DEVICE_OBJECT, Flags = 48;
        DEVICE_OBJECT, DeviceExtension = 64;
        DEVICE_OBJECT, StackSize = 76;
        DEVICE_OBJECT, AlignmentRequirement = 152;
        DEVICE_OBJECT, Dpc = 200;
        DEVICE_OBJECT, DeviceObjectExtension = 312;
        IRP, SystemBuffer = 24;
        IRP, IoStatus = 48;
        IRP, RequestorMode = 64;
        IRP, UserEvent = 80;
        IRP, CancelRoutine = 104;
        IRP, Tail = 120;
        IRP, Tail.ListEntry = 168;
        IRP, Tail.CurrentStackLocation = 184;
        IO_STACK_LOCATION, Parameters = 8;
        IO_STACK_LOCATION, DeviceObject = 40;
        IO_STACK_LOCATION, CompletionRoutine = 56;
        IO_DEVICE_CONTROL, IoControlCode = 16;
        IO_DEVICE_CONTROL, Type3InputBuffer = 24;
        IO_READ_WRITE, ByteOffset = 16;
        IO_POWER, Type = 8;
        IO_POWER, State = 16;
        IO_QUERY_INTERFACE, Interface = 16;
        IO_READ_WRITE_CONFIG, Offset = 16;
        IO_READ_WRITE_CONFIG, Length = 24;
        IO_CREATE, EaLength = 24;
        KDPC, DeferredRoutine = 24;
        KDPC, DpcData = 56;
        KTIMER, DueTime = 24;
        KTIMER, Dpc = 48;
        KTIMER, Period = 60;
        FILE_OBJECT, FsContext = 24;
        FILE_OBJECT, FileName = 88;
        FILE_OBJECT, Event = 152;
        FILE_OBJECT, IrpList = 192;
        DEVICE_CAPABILITIES, DeviceState = 16;
        BUS_INTERFACE_STANDARD, GetBusData = 56;
        DMA_OPERATIONS, GetScatterGatherList = 88;
        FAST_MUTEX, Event = 24;
        DEVOBJ_EXTENSION, DeviceObject = 8;
    }
    assert_eq!(
        offset_of!(CM_RESOURCE_LIST, List)
            + offset_of!(CM_FULL_RESOURCE_DESCRIPTOR, PartialResourceList)
            + offset_of!(CM_PARTIAL_RESOURCE_LIST, PartialDescriptors),
        20
    );
}
