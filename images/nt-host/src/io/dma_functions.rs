//! Operations of DMA adapters that are exported by name too, for drivers of before adapters had a table of them.
#![allow(unsafe_code, reason = "functions of the Windows ABI")]

use crate::export_functions;
use crate::nt::{DMA_ADAPTER, MDL, PHYSICAL_ADDRESS, PVOID};

export_functions! {
    /// Operations of DMA adapters.
    pub static EXPORTS;

    /// Allocates memory that device and processor share.
    [PASSIVE] fn HalAllocateCommonBuffer(adapter: *mut DMA_ADAPTER, bytes: u32, logical: *mut PHYSICAL_ADDRESS, cached: u8) -> PVOID {
        ((*(*adapter).DmaOperations).AllocateCommonBuffer)(adapter, bytes, logical, cached)
    }

    /// Frees memory that device and processor share.
    [PASSIVE] fn HalFreeCommonBuffer(adapter: *mut DMA_ADAPTER, bytes: u32, logical: PHYSICAL_ADDRESS, address: PVOID, cached: u8) {
        ((*(*adapter).DmaOperations).FreeCommonBuffer)(adapter, bytes, logical, address, cached);
    }

    /// Returns how many bytes of a slave transfer are left.
    [DISPATCH] fn HalReadDmaCounter(adapter: *mut DMA_ADAPTER) -> u32 { ((*(*adapter).DmaOperations).ReadDmaCounter)(adapter) }

    /// Ends a transfer: what is in buffers of the adapter reaches its destination.
    [DISPATCH] fn IoFlushAdapterBuffers(adapter: *mut DMA_ADAPTER, mdl: *mut MDL, base: PVOID, address: PVOID, length: u32, write: u8) -> u8 {
        ((*(*adapter).DmaOperations).FlushAdapterBuffers)(adapter, mdl, base, address, length, write)
    }

    /// Frees an adapter's channel.
    [AT_DISPATCH] fn IoFreeAdapterChannel(adapter: *mut DMA_ADAPTER) { ((*(*adapter).DmaOperations).FreeAdapterChannel)(adapter) }

    /// Frees map registers.
    [AT_DISPATCH] fn IoFreeMapRegisters(adapter: *mut DMA_ADAPTER, base: PVOID, count: u32) {
        ((*(*adapter).DmaOperations).FreeMapRegisters)(adapter, base, count);
    }

    /// Maps a part of a buffer for a transfer and returns its bus address.
    [DISPATCH] fn IoMapTransfer(adapter: *mut DMA_ADAPTER, mdl: *mut MDL, base: PVOID, address: PVOID, length: *mut u32, write: u8) -> PHYSICAL_ADDRESS {
        ((*(*adapter).DmaOperations).MapTransfer)(adapter, mdl, base, address, length, write)
    }
}
