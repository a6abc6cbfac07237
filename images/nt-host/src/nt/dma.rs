//! DMA adapters and their table of operations (`wdm.h`).

use super::{DEVICE_OBJECT, MDL, NTSTATUS, PHYSICAL_ADDRESS, PVOID};

/// What a driver says about its device for DMA.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DEVICE_DESCRIPTION {
    pub Version: u32,
    pub Master: u8,
    pub ScatterGather: u8,
    pub DemandMode: u8,
    pub AutoInitialize: u8,
    pub Dma32BitAddresses: u8,
    pub IgnoreCount: u8,
    pub Reserved1: u8,
    pub Dma64BitAddresses: u8,
    pub BusNumber: u32,
    pub DmaChannel: u32,
    pub InterfaceType: i32,
    pub DmaWidth: i32,
    pub DmaSpeed: i32,
    pub MaximumLength: u32,
    pub DmaPort: u32,
}

/// A DMA adapter.
#[repr(C)]
pub struct DMA_ADAPTER {
    pub Version: u16,
    pub Size: u16,
    pub DmaOperations: *const DMA_OPERATIONS,
}

/// A run of bus addresses.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SCATTER_GATHER_ELEMENT {
    pub Address: PHYSICAL_ADDRESS,
    pub Length: u32,
    pub Reserved: usize,
}

/// Followed by its elements.
#[repr(C)]
pub struct SCATTER_GATHER_LIST {
    pub NumberOfElements: u32,
    pub Reserved: usize,
    pub Elements: [SCATTER_GATHER_ELEMENT; 0],
}

/// The routine that gets a scatter-gather list.
pub type DRIVER_LIST_CONTROL =
    unsafe extern "win64" fn(device: *mut DEVICE_OBJECT, irp: PVOID, list: *mut SCATTER_GATHER_LIST, context: PVOID);

/// The operations of version 1; `Size` says how far the table goes.
#[repr(C)]
pub struct DMA_OPERATIONS {
    pub Size: u32,
    pub PutDmaAdapter: unsafe extern "win64" fn(*mut DMA_ADAPTER),
    pub AllocateCommonBuffer: unsafe extern "win64" fn(*mut DMA_ADAPTER, u32, *mut PHYSICAL_ADDRESS, u8) -> PVOID,
    pub FreeCommonBuffer: unsafe extern "win64" fn(*mut DMA_ADAPTER, u32, PHYSICAL_ADDRESS, PVOID, u8),
    pub AllocateAdapterChannel:
        unsafe extern "win64" fn(*mut DMA_ADAPTER, *mut DEVICE_OBJECT, u32, PVOID, PVOID) -> NTSTATUS,
    pub FlushAdapterBuffers: unsafe extern "win64" fn(*mut DMA_ADAPTER, *mut MDL, PVOID, PVOID, u32, u8) -> u8,
    pub FreeAdapterChannel: unsafe extern "win64" fn(*mut DMA_ADAPTER),
    pub FreeMapRegisters: unsafe extern "win64" fn(*mut DMA_ADAPTER, PVOID, u32),
    pub MapTransfer:
        unsafe extern "win64" fn(*mut DMA_ADAPTER, *mut MDL, PVOID, PVOID, *mut u32, u8) -> PHYSICAL_ADDRESS,
    pub GetDmaAlignment: unsafe extern "win64" fn(*mut DMA_ADAPTER) -> u32,
    pub ReadDmaCounter: unsafe extern "win64" fn(*mut DMA_ADAPTER) -> u32,
    pub GetScatterGatherList: unsafe extern "win64" fn(
        *mut DMA_ADAPTER,
        *mut DEVICE_OBJECT,
        *mut MDL,
        PVOID,
        u32,
        Option<DRIVER_LIST_CONTROL>,
        PVOID,
        u8,
    ) -> NTSTATUS,
    pub PutScatterGatherList: unsafe extern "win64" fn(*mut DMA_ADAPTER, *mut SCATTER_GATHER_LIST, u8),
}
