//! Operations of DMA adapters of versions 2 and 3 (`DEVICE_DESCRIPTION.Version`): scatter-gather lists in memory of the
//! driver's, and what Windows 8 and 10 have added. Order and names are those of the page of `DMA_OPERATIONS`.
#![allow(unsafe_code, reason = "tables of functions of the Windows ABI")]

use super::dma::{check, elements, level};
use crate::arch::PAGE_SIZE;
use crate::contract::export::IrqlRule;
use crate::nt::status::*;
use crate::nt::*;

/// An operation, by its address.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Operation(*const ());

// SAFETY: the address of code; it is not written through.
unsafe impl Sync for Operation {}

/// How many operations version 2 adds.
pub(super) const OF_VERSION_2: usize = 3;
/// How many operations version 3 adds, up to Windows 10, version 1803.
pub(super) const OF_VERSION_3: usize = 19;

/// The operations that version 2 adds.
pub(super) const VERSION_2: [Operation; OF_VERSION_2] =
    [Operation(calculate_list as *const ()), Operation(build_list as *const ()), Operation(build_mdl as *const ())];

/// The operations that version 3 adds. Those of which there is nothing to do here answer so with the status that their
/// pages have for it.
pub(super) const VERSION_3: [Operation; OF_VERSION_3] = [
    // GetDmaAdapterInfo, GetDmaTransferInfo.
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(initialize_context as *const ()),
    Operation(allocate_common_buffer_ex as *const ()),
    // AllocateAdapterChannelEx, ConfigureAdapterChannel.
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(cancel_channel as *const ()),
    // MapTransferEx, GetScatterGatherListEx, BuildScatterGatherListEx, FlushAdapterBuffersEx.
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(free_object as *const ()),
    // CancelMappedTransfer, AllocateDomainCommonBuffer, FlushDmaBuffer, JoinDmaDomain, LeaveDmaDomain.
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    Operation(not_supported as *const ()),
    // GetDmaDomain, AllocateCommonBufferWithBounds: none.
    Operation(nothing as *const ()),
    Operation(nothing as *const ()),
];

/// `DMA_TRANSFER_CONTEXT_SIZE_V1` (wdm.h).
const CONTEXT_BYTES: usize = 128;

/// Refuses what there is no system DMA controller for, or no map register.
unsafe extern "win64" fn not_supported(adapter: *mut DMA_ADAPTER) -> NTSTATUS {
    check("an operation of DMA_OPERATIONS version 3", adapter);
    crate::warn!("an operation of DMA_OPERATIONS version 3 that this host does not have: STATUS_NOT_SUPPORTED");
    STATUS_NOT_SUPPORTED
}

/// Gives nothing.
unsafe extern "win64" fn nothing(adapter: *mut DMA_ADAPTER) -> PVOID {
    check("an operation of DMA_OPERATIONS version 3", adapter);
    core::ptr::null_mut()
}

/// Returns the bytes of a list of so many elements.
fn list_bytes(elements: usize) -> u32 {
    (size_of::<SCATTER_GATHER_LIST>() + elements * size_of::<SCATTER_GATHER_ELEMENT>()) as u32
}

/// Says how many bytes a list for a part of a buffer needs at most: an element for each page.
unsafe extern "win64" fn calculate_list(
    adapter: *mut DMA_ADAPTER,
    _mdl: *mut MDL,
    va: PVOID,
    length: u32,
    bytes: *mut u32,
    registers: *mut u32,
) -> NTSTATUS {
    level("CalculateScatterGatherList", IrqlRule::DISPATCH);
    check("CalculateScatterGatherList", adapter);
    let pages = (va as u64 % PAGE_SIZE + u64::from(length)).div_ceil(PAGE_SIZE) as usize;
    // SAFETY: an operation's arguments.
    unsafe {
        bytes.write(list_bytes(pages));
        if !registers.is_null() {
            registers.write(pages as u32);
        }
    }
    STATUS_SUCCESS
}

/// Makes a list in memory of the driver's, and hands it to a routine of the driver's.
unsafe extern "win64" fn build_list(
    adapter: *mut DMA_ADAPTER,
    device: *mut DEVICE_OBJECT,
    mdl: *mut MDL,
    va: PVOID,
    length: u32,
    routine: Option<DRIVER_LIST_CONTROL>,
    context: PVOID,
    _write: u8,
    room: PVOID,
    room_bytes: u32,
) -> NTSTATUS {
    level("BuildScatterGatherList", IrqlRule::AT_DISPATCH);
    check("BuildScatterGatherList", adapter);
    let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
    // SAFETY: an operation's arguments.
    unsafe {
        let pieces = elements(mdl, va as u64, length);
        if room_bytes < list_bytes(pieces.len()) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let list = room.cast::<SCATTER_GATHER_LIST>();
        (*list).NumberOfElements = pieces.len() as u32;
        (*list).Reserved = 0;
        core::ptr::copy_nonoverlapping(pieces.as_ptr(), (&raw mut (*list).Elements).cast(), pieces.len());
        super::dma::lend(list);
        routine(device, (*device).CurrentIrp.cast(), list, context);
    }
    STATUS_SUCCESS
}

/// Returns the MDL of a list: bus addresses are physical ones here, so that it is the one that the list was made of.
unsafe extern "win64" fn build_mdl(
    adapter: *mut DMA_ADAPTER,
    _list: *mut SCATTER_GATHER_LIST,
    original: *mut MDL,
    target: *mut *mut MDL,
) -> NTSTATUS {
    level("BuildMdlFromScatterGatherList", IrqlRule::DISPATCH);
    check("BuildMdlFromScatterGatherList", adapter);
    // SAFETY: an operation's arguments.
    unsafe { target.write(original) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn initialize_context(adapter: *mut DMA_ADAPTER, context: PVOID) -> NTSTATUS {
    level("InitializeDmaTransferContext", IrqlRule::DISPATCH);
    check("InitializeDmaTransferContext", adapter);
    // SAFETY: an operation's argument, of DMA_TRANSFER_CONTEXT_SIZE_V1 bytes.
    unsafe { context.cast::<u8>().write_bytes(0, CONTEXT_BYTES) };
    STATUS_SUCCESS
}

/// Allocates a common buffer below an address, if one is given.
unsafe extern "win64" fn allocate_common_buffer_ex(
    adapter: *mut DMA_ADAPTER,
    highest: *const PHYSICAL_ADDRESS,
    bytes: u32,
    logical: *mut PHYSICAL_ADDRESS,
    _cached: u8,
    _node: u32,
) -> PVOID {
    // SAFETY: an operation's arguments.
    let highest = unsafe { highest.as_ref() }.map(|highest| *highest as u64);
    super::dma::common_buffer("AllocateCommonBufferEx", adapter, bytes, logical, highest)
}

/// Cancels no request: none waits for a channel.
unsafe extern "win64" fn cancel_channel(adapter: *mut DMA_ADAPTER, _device: *mut DEVICE_OBJECT, _context: PVOID) -> u8 {
    check("CancelAdapterChannel", adapter);
    0
}

/// Ends the use of an adapter for a transfer; the adapter itself goes with `PutDmaAdapter`.
unsafe extern "win64" fn free_object(adapter: *mut DMA_ADAPTER, _action: i32) {
    level("FreeAdapterObject", IrqlRule::AT_DISPATCH);
    check("FreeAdapterObject", adapter);
}
