//! DMA adapters of bus masters. Bus addresses are physical addresses here, so that a mapping copies nothing; what is
//! checked is that buffers are given back as they were taken.
#![allow(unsafe_code, reason = "tables of functions of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::dma_later::{OF_VERSION_2, OF_VERSION_3, Operation, VERSION_2, VERSION_3};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, paging};
use crate::contract::export::IrqlRule;
use crate::contract::verifier;
use crate::mm::{contiguous, exposed};
use crate::nt::status::*;
use crate::nt::*;
use crate::{alloc_faults, export_functions};

const DRIVER_VERIFIER_DMA_VIOLATION: u32 = 0xe6;
/// Map registers of an adapter: pages of one transfer.
const MAP_REGISTERS: u32 = 256;

#[repr(C)]
struct Adapter {
    public: DMA_ADAPTER,
    wide: bool,
}

#[derive(Clone, Copy)]
struct CommonBuffer {
    adapter: u64,
    bytes: u32,
    logical: u64,
}

struct Live {
    adapters: Vec<u64>,
    buffers: BTreeMap<u64, CommonBuffer>,
    /// Lists by address, with their words; none of one that is in memory of the driver's.
    lists: Vec<(u64, usize)>,
}

/// Notes a list in memory of the driver's, which the driver puts back like any other.
pub(super) fn lend(list: *mut SCATTER_GATHER_LIST) {
    LIVE.with(|live| live.lists.push((list as u64, 0)));
}

static LIVE: Uninterrupted<Live> =
    Uninterrupted::new(Live { adapters: Vec::new(), buffers: BTreeMap::new(), lists: Vec::new() });

/// The operations of an adapter: how far they go is said by `Size`.
#[repr(C)]
struct Operations {
    first: DMA_OPERATIONS,
    version_2: [Operation; OF_VERSION_2],
    version_3: [Operation; OF_VERSION_3],
}

/// Returns the operations of a version.
const fn operations(bytes: usize) -> Operations {
    let first = DMA_OPERATIONS { Size: bytes as u32, ..FIRST };
    Operations { first, version_2: VERSION_2, version_3: VERSION_3 }
}

/// By version, 1 to 3.
static OPERATIONS: [Operations; 3] = [
    operations(core::mem::offset_of!(Operations, version_2)),
    operations(core::mem::offset_of!(Operations, version_3)),
    operations(size_of::<Operations>()),
];

const FIRST: DMA_OPERATIONS = DMA_OPERATIONS {
    Size: 0,
    PutDmaAdapter: put_adapter,
    AllocateCommonBuffer: allocate_common_buffer,
    FreeCommonBuffer: free_common_buffer,
    AllocateAdapterChannel: allocate_adapter_channel,
    FlushAdapterBuffers: flush_adapter_buffers,
    FreeAdapterChannel: free_adapter_channel,
    FreeMapRegisters: free_map_registers,
    MapTransfer: map_transfer,
    GetDmaAlignment: get_alignment,
    ReadDmaCounter: read_counter,
    GetScatterGatherList: get_scatter_gather_list,
    PutScatterGatherList: put_scatter_gather_list,
};

/// Returns what was taken and not given back, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    LIVE.with(|live| {
        let adapters = live.adapters.iter().map(|at| format!("the DMA adapter {at:#x}"));
        let buffers = live.buffers.iter().map(|(at, b)| format!("the common buffer {at:#x} of {:#x} bytes", b.bytes));
        let lists = live.lists.iter().map(|(at, _)| format!("the scatter-gather list {at:#x}"));
        adapters.chain(buffers).chain(lists).collect()
    })
}

/// Makes an adapter as a description asks.
///
/// # Safety
/// `description` is valid; `registers` is valid for writing.
pub unsafe fn adapter(description: *const DEVICE_DESCRIPTION, registers: *mut u32) -> *mut DMA_ADAPTER {
    // SAFETY: the caller's promise.
    unsafe {
        if (*description).Master == 0 {
            crate::warn!("IoGetDmaAdapter for a device that is no bus master: slave DMA is not there");
            return core::ptr::null_mut();
        }
        registers.write(MAP_REGISTERS);
        // DEVICE_DESCRIPTION_VERSION (0) and _VERSION1 mean the operations of version 1.
        let version = (*description).Version.max(1);
        let Some(operations) = OPERATIONS.get(version as usize - 1) else {
            crate::warn!("IoGetDmaAdapter for DEVICE_DESCRIPTION.Version {version}: there are 0 to 3");
            return core::ptr::null_mut();
        };
        let adapter = Box::into_raw(Box::new(Adapter {
            public: DMA_ADAPTER {
                Version: version as u16,
                Size: size_of::<Adapter>() as u16,
                DmaOperations: &raw const operations.first,
            },
            wide: (*description).Dma64BitAddresses != 0,
        }));
        LIVE.with(|live| live.adapters.push(adapter as u64));
        adapter.cast()
    }
}

/// Stops if an address is no adapter's.
pub(super) fn check(function: &'static str, adapter: *mut DMA_ADAPTER) {
    if !LIVE.with(|live| live.adapters.contains(&(adapter as u64))) {
        verifier::stop(
            DRIVER_VERIFIER_DMA_VIOLATION,
            function,
            [0x0b, adapter as u64, 0, 0],
            format_args!("{adapter:p} is no DMA adapter, or was put back before"),
        );
    }
}

/// Checks the IRQL at which an operation is called.
pub(super) fn level(function: &'static str, rule: IrqlRule) {
    verifier::check_irql(function, rule);
}

unsafe extern "win64" fn put_adapter(adapter: *mut DMA_ADAPTER) {
    level("PutDmaAdapter", IrqlRule::PASSIVE);
    check("PutDmaAdapter", adapter);
    if let Some((at, _)) =
        LIVE.with(|live| live.buffers.iter().find(|(_, b)| b.adapter == adapter as u64).map(|(a, b)| (*a, *b)))
    {
        verifier::broken(
            verifier::RULE_NOTHING_LEFT,
            DRIVER_VERIFIER_DMA_VIOLATION,
            "PutDmaAdapter",
            [1, adapter as u64, at, 0],
            format_args!("the adapter is put back while its common buffer {at:#x} is allocated"),
        );
        // The buffer is freed by it.
        return;
    }
    LIVE.with(|live| live.adapters.retain(|&at| at != adapter as u64));
    // SAFETY: a live adapter of this module's.
    drop(unsafe { Box::from_raw(adapter.cast::<Adapter>()) });
}

unsafe extern "win64" fn allocate_common_buffer(
    adapter: *mut DMA_ADAPTER,
    bytes: u32,
    logical: *mut i64,
    _cached: u8,
) -> PVOID {
    common_buffer("AllocateCommonBuffer", adapter, bytes, logical, None)
}

/// Allocates a common buffer, below an address if one is given.
pub(super) fn common_buffer(
    function: &'static str,
    adapter: *mut DMA_ADAPTER,
    bytes: u32,
    logical: *mut i64,
    below: Option<u64>,
) -> PVOID {
    level(function, IrqlRule::PASSIVE);
    check(function, adapter);
    if bytes == 0 {
        verifier::stop(
            DRIVER_VERIFIER_DMA_VIOLATION,
            function,
            [2, adapter as u64, 0, 0],
            format_args!("a common buffer of no bytes"),
        );
    }
    if alloc_faults::fails(function) {
        return core::ptr::null_mut();
    }
    // SAFETY: checked.
    let highest = if unsafe { (*adapter.cast::<Adapter>()).wide } { u64::MAX } else { u64::from(u32::MAX) };
    let highest = below.map_or(highest, |below| below.min(highest));
    match contiguous::allocate_contiguous(bytes.into(), PAGE_SIZE, 0, highest) {
        Some((at, physical)) => {
            // SAFETY: an operation's argument.
            unsafe { logical.write(physical as i64) };
            LIVE.with(|live| {
                live.buffers.insert(at, CommonBuffer { adapter: adapter as u64, bytes, logical: physical })
            });
            at as PVOID
        }
        None => core::ptr::null_mut(),
    }
}

unsafe extern "win64" fn free_common_buffer(
    adapter: *mut DMA_ADAPTER,
    bytes: u32,
    logical: i64,
    address: PVOID,
    _cached: u8,
) {
    level("FreeCommonBuffer", IrqlRule::PASSIVE);
    check("FreeCommonBuffer", adapter);
    match LIVE.with(|live| live.buffers.remove(&(address as u64))) {
        Some(b) if b.adapter == adapter as u64 && b.bytes == bytes && b.logical == logical as u64 => {
            contiguous::free_contiguous("FreeCommonBuffer", address as u64);
        }
        Some(b) => verifier::stop(
            DRIVER_VERIFIER_DMA_VIOLATION,
            "FreeCommonBuffer",
            [3, address as u64, u64::from(bytes), logical as u64],
            format_args!(
                "the common buffer {address:p} has {:#x} bytes at {:#x} and is freed with {bytes:#x} bytes at {logical:#x}, or by another adapter",
                b.bytes, b.logical
            ),
        ),
        None => verifier::stop(
            DRIVER_VERIFIER_DMA_VIOLATION,
            "FreeCommonBuffer",
            [4, address as u64, 0, 0],
            format_args!("{address:p} is no common buffer, or was freed before"),
        ),
    }
}

/// `IO_ALLOCATION_ACTION` of an adapter control routine; every action is fine where nothing is kept.
type DriverControl = unsafe extern "win64" fn(*mut DEVICE_OBJECT, PVOID, PVOID, PVOID) -> i32;

unsafe extern "win64" fn allocate_adapter_channel(
    adapter: *mut DMA_ADAPTER,
    device: *mut DEVICE_OBJECT,
    registers: u32,
    routine: PVOID,
    context: PVOID,
) -> NTSTATUS {
    level("AllocateAdapterChannel", IrqlRule::AT_DISPATCH);
    check("AllocateAdapterChannel", adapter);
    if registers > MAP_REGISTERS || routine.is_null() || alloc_faults::fails("AllocateAdapterChannel") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: an operation's arguments.
    unsafe {
        core::mem::transmute::<PVOID, DriverControl>(routine)(
            device,
            (*device).CurrentIrp.cast(),
            adapter.cast(),
            context,
        )
    };
    STATUS_SUCCESS
}

unsafe extern "win64" fn flush_adapter_buffers(
    adapter: *mut DMA_ADAPTER,
    _mdl: *mut MDL,
    _base: PVOID,
    _va: PVOID,
    _length: u32,
    _write: u8,
) -> u8 {
    check("FlushAdapterBuffers", adapter);
    1
}

unsafe extern "win64" fn free_adapter_channel(adapter: *mut DMA_ADAPTER) {
    check("FreeAdapterChannel", adapter);
}

unsafe extern "win64" fn free_map_registers(adapter: *mut DMA_ADAPTER, _base: PVOID, _count: u32) {
    check("FreeMapRegisters", adapter);
}

unsafe extern "win64" fn map_transfer(
    adapter: *mut DMA_ADAPTER,
    mdl: *mut MDL,
    _base: PVOID,
    va: PVOID,
    length: *mut u32,
    _write: u8,
) -> i64 {
    level("MapTransfer", IrqlRule::DISPATCH);
    check("MapTransfer", adapter);
    // SAFETY: an operation's arguments.
    unsafe {
        let elements = elements(mdl, va as u64, *length);
        let first = elements.first().copied().unwrap_or(SCATTER_GATHER_ELEMENT { Address: 0, Length: 0, Reserved: 0 });
        length.write(first.Length);
        first.Address
    }
}

unsafe extern "win64" fn get_alignment(adapter: *mut DMA_ADAPTER) -> u32 {
    check("GetDmaAlignment", adapter);
    1
}

unsafe extern "win64" fn read_counter(adapter: *mut DMA_ADAPTER) -> u32 {
    check("ReadDmaCounter", adapter);
    0
}

/// Returns the physically contiguous pieces of a part of an MDL's buffer.
pub(super) unsafe fn elements(mdl: *mut MDL, va: u64, length: u32) -> Vec<SCATTER_GATHER_ELEMENT> {
    let mut pieces: Vec<SCATTER_GATHER_ELEMENT> = Vec::new();
    let end = va + u64::from(length);
    let mut at = va;
    while at < end {
        let bytes = (PAGE_SIZE - at % PAGE_SIZE).min(end - at);
        let Some(physical) = paging::physical(at) else {
            verifier::stop(
                DRIVER_VERIFIER_DMA_VIOLATION,
                "GetScatterGatherList",
                [5, mdl as u64, at, 0],
                format_args!("the buffer {at:#x} of the MDL at {mdl:p} is not mapped"),
            );
        };
        exposed::expose(physical);
        match pieces.last_mut() {
            Some(last) if last.Address as u64 + u64::from(last.Length) == physical => last.Length += bytes as u32,
            _ => pieces.push(SCATTER_GATHER_ELEMENT { Address: physical as i64, Length: bytes as u32, Reserved: 0 }),
        }
        at += bytes;
    }
    pieces
}

unsafe extern "win64" fn get_scatter_gather_list(
    adapter: *mut DMA_ADAPTER,
    device: *mut DEVICE_OBJECT,
    mdl: *mut MDL,
    va: PVOID,
    length: u32,
    routine: Option<DRIVER_LIST_CONTROL>,
    context: PVOID,
    _write: u8,
) -> NTSTATUS {
    level("GetScatterGatherList", IrqlRule::AT_DISPATCH);
    check("GetScatterGatherList", adapter);
    let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
    // SAFETY: an operation's arguments.
    unsafe {
        let pieces = elements(mdl, va as u64, length);
        let words = 2 + 3 * pieces.len();
        let list = Box::into_raw(alloc::vec![0u64; words].into_boxed_slice()).cast::<SCATTER_GATHER_LIST>();
        (*list).NumberOfElements = pieces.len() as u32;
        core::ptr::copy_nonoverlapping(pieces.as_ptr(), (&raw mut (*list).Elements).cast(), pieces.len());
        LIVE.with(|live| live.lists.push((list as u64, words)));
        routine(device, (*device).CurrentIrp.cast(), list, context);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn put_scatter_gather_list(
    adapter: *mut DMA_ADAPTER,
    list: *mut SCATTER_GATHER_LIST,
    _write: u8,
) {
    level("PutScatterGatherList", IrqlRule::DISPATCH);
    check("PutScatterGatherList", adapter);
    let Some((_, words)) = LIVE.with(|live| {
        let at = live.lists.iter().position(|(at, _)| *at == list as u64)?;
        Some(live.lists.swap_remove(at))
    }) else {
        verifier::stop(
            DRIVER_VERIFIER_DMA_VIOLATION,
            "PutScatterGatherList",
            [6, list as u64, 0, 0],
            format_args!("{list:p} is no scatter-gather list, or was put back before"),
        );
    };
    if words == 0 {
        return;
    }
    // SAFETY: a live list of this module's with this many words.
    drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(list.cast::<u64>(), words)) });
}

export_functions! {
    /// DMA.
    pub static EXPORTS;

    /// Returns an adapter for a device.
    [PASSIVE] fn IoGetDmaAdapter(_pdo: *mut DEVICE_OBJECT, description: *const DEVICE_DESCRIPTION, registers: *mut u32) -> *mut DMA_ADAPTER {
        adapter(description, registers)
    }
}
