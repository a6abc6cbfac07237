//! Resources, capabilities and bus interfaces (`wdm.h`).

use super::{GUID, PVOID};

/// Type of resource: port.
pub const CM_RESOURCE_TYPE_PORT: u8 = 1;
/// Type of resource: interrupt.
pub const CM_RESOURCE_TYPE_INTERRUPT: u8 = 2;
/// Type of resource: memory.
pub const CM_RESOURCE_TYPE_MEMORY: u8 = 3;
/// Type of resource: dma.
pub const CM_RESOURCE_TYPE_DMA: u8 = 4;
/// Type of resource: device private.
pub const CM_RESOURCE_TYPE_DEVICE_PRIVATE: u8 = 0x81;

/// Share disposition: device exclusive.
pub const CM_SHARE_DEVICE_EXCLUSIVE: u8 = 1;
/// Share disposition: shared.
pub const CM_SHARE_SHARED: u8 = 3;

/// Flag of an interrupt resource: level sensitive.
pub const CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE: u16 = 0;
/// Flag of an interrupt resource: latched.
pub const CM_RESOURCE_INTERRUPT_LATCHED: u16 = 1;
/// Flag of an interrupt resource: message.
pub const CM_RESOURCE_INTERRUPT_MESSAGE: u16 = 2;
/// Flag of a memory resource: read write.
pub const CM_RESOURCE_MEMORY_READ_WRITE: u16 = 0;
/// Flag of a memory resource: prefetchable.
pub const CM_RESOURCE_MEMORY_PREFETCHABLE: u16 = 4;
/// Flag of a memory resource: bar.
pub const CM_RESOURCE_MEMORY_BAR: u16 = 0x80;
/// Flag of a port resource: io.
pub const CM_RESOURCE_PORT_IO: u16 = 1;
/// Flag of a port resource: 16 bit decode.
pub const CM_RESOURCE_PORT_16_BIT_DECODE: u16 = 0x10;
/// Flag of a port resource: bar.
pub const CM_RESOURCE_PORT_BAR: u16 = 0x100;

/// Flag of a DMA resource: 8-bit transfers.
pub const CM_RESOURCE_DMA_8: u16 = 0;
/// Flag of a DMA resource: 16-bit transfers.
pub const CM_RESOURCE_DMA_16: u16 = 1;

/// `INTERFACE_TYPE`: ISA.
pub const INTERFACE_TYPE_ISA: i32 = 1;
/// `INTERFACE_TYPE`: the bus of devices that no bus enumerates.
pub const INTERFACE_TYPE_PNP_BUS: i32 = 15;
/// `INTERFACE_TYPE`: PCI.
pub const INTERFACE_TYPE_PCI_BUS: i32 = 5;

/// 20 bytes, packed to 4.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR {
    pub Type: u8,
    pub ShareDisposition: u8,
    pub Flags: u16,
    pub u: CM_RESOURCE,
}

/// The part of a resource descriptor that depends on its type.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub union CM_RESOURCE {
    /// Also `Port`.
    pub Memory: CM_RANGE,
    pub Interrupt: CM_INTERRUPT,
    pub Dma: CM_DMA,
    pub DevicePrivate: [u32; 3],
    pub Bytes: [u8; 16],
}

/// A range of ports or memory.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_RANGE {
    pub Start: i64,
    pub Length: u32,
}

/// A channel of a DMA controller.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_DMA {
    pub Channel: u32,
    pub Port: u32,
    pub Reserved1: u32,
}

/// An interrupt: level, vector, affinity.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_INTERRUPT {
    pub Level: u32,
    pub Vector: u32,
    pub Affinity: u64,
}

/// Followed by as many descriptors as it counts.
#[repr(C, packed(4))]
pub struct CM_PARTIAL_RESOURCE_LIST {
    pub Version: u16,
    pub Revision: u16,
    pub Count: u32,
    pub PartialDescriptors: [CM_PARTIAL_RESOURCE_DESCRIPTOR; 1],
}

/// The resources of a device on one bus.
#[repr(C, packed(4))]
pub struct CM_FULL_RESOURCE_DESCRIPTOR {
    pub InterfaceType: i32,
    pub BusNumber: u32,
    pub PartialResourceList: CM_PARTIAL_RESOURCE_LIST,
}

/// The resources of a device.
#[repr(C, packed(4))]
pub struct CM_RESOURCE_LIST {
    pub Count: u32,
    pub List: [CM_FULL_RESOURCE_DESCRIPTOR; 1],
}

/// Bits of [`DEVICE_CAPABILITIES::Bits`].
pub mod capability {
    /// Capability bit: the device has power state D1.
    pub const DEVICE_D1: u32 = 1 << 0;
    /// Capability bit: the device has power state D2.
    pub const DEVICE_D2: u32 = 1 << 1;
    /// Capability bit: the instance id is unique in the system.
    pub const UNIQUE_ID: u32 = 1 << 6;
    /// Capability bit: the device works without a function driver.
    pub const RAW_DEVICE_OK: u32 = 1 << 8;
}

/// What the bus says about a device.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DEVICE_CAPABILITIES {
    pub Size: u16,
    pub Version: u16,
    pub Bits: u32,
    pub Address: u32,
    pub UINumber: u32,
    pub DeviceState: [i32; 7],
    pub SystemWake: i32,
    pub DeviceWake: i32,
    pub D1Latency: u32,
    pub D2Latency: u32,
    pub D3Latency: u32,
}

/// Counts or releases a reference to an interface.
pub type INTERFACE_REFERENCE = unsafe extern "win64" fn(context: PVOID);

/// What every interface between drivers begins with.
#[repr(C)]
pub struct INTERFACE {
    pub Size: u16,
    pub Version: u16,
    pub Context: PVOID,
    pub InterfaceReference: Option<INTERFACE_REFERENCE>,
    pub InterfaceDereference: Option<INTERFACE_REFERENCE>,
}

/// Identifies [`BUS_INTERFACE_STANDARD`].
pub const GUID_BUS_INTERFACE_STANDARD: GUID = GUID::from_u128(0x496B_8280_6F25_11D0_BEAF_0800_2BE2_092F);
/// Identifies the bus of devices that no bus enumerates (wdmguid.h).
pub const GUID_BUS_TYPE_INTERNAL: GUID = GUID::from_u128(0x1530_EA73_086B_11D1_A09F_00C0_4FC3_40B1);
/// Identifies the PCI bus.
pub const GUID_BUS_TYPE_PCI: GUID = GUID::from_u128(0xC8EB_DFB0_B510_11D0_80E5_00A0_C925_42E3);

/// Reads or writes configuration space.
pub type GET_SET_DEVICE_DATA =
    unsafe extern "win64" fn(context: PVOID, data_type: u32, buffer: PVOID, offset: u32, length: u32) -> u32;
/// Translates an address of the bus.
pub type TRANSLATE_BUS_ADDRESS = unsafe extern "win64" fn(
    context: PVOID,
    bus_address: i64,
    length: u32,
    address_space: *mut u32,
    translated: *mut i64,
) -> u8;
/// Gives the DMA adapter of a device.
pub type GET_DMA_ADAPTER =
    unsafe extern "win64" fn(context: PVOID, description: *mut super::DEVICE_DESCRIPTION, registers: *mut u32) -> PVOID;

/// The interface of a bus driver to the drivers of its devices.
#[repr(C)]
pub struct BUS_INTERFACE_STANDARD {
    pub Interface: INTERFACE,
    pub TranslateBusAddress: Option<TRANSLATE_BUS_ADDRESS>,
    pub GetDmaAdapter: Option<GET_DMA_ADAPTER>,
    pub SetBusData: Option<GET_SET_DEVICE_DATA>,
    pub GetBusData: Option<GET_SET_DEVICE_DATA>,
}

/// What bus a device is on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PNP_BUS_INFORMATION {
    pub BusTypeGuid: GUID,
    pub LegacyBusType: i32,
    pub BusNumber: u32,
}
