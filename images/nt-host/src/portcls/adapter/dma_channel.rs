//! `IDmaChannel`: the common buffer of a bus master.

#![allow(unsafe_code, reason = "DMA adapters are tables of functions, buffers addresses")]

use alloc::format;

use crate::alloc_faults;
use crate::contract::services;
use crate::contract::violation::{Violation, violation};
use crate::io::dma::IoGetDmaAdapter;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};
use crate::nt::{DEVICE_DESCRIPTION, DEVICE_OBJECT, DMA_ADAPTER, NTSTATUS, PVOID};
use crate::portcls::adapter;
use crate::portcls::com::guids::{GUID, IID_IDMACHANNEL};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::irql;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::call_faults;

/// The buffer, if there is one.
#[derive(Clone, Copy, Default)]
struct Buffer {
    address: usize,
    physical: u64,
    allocated: u32,
    /// How much of it is used.
    size: u32,
}

/// `IDmaChannel`.
pub(crate) struct DmaChannel {
    adapter: usize,
    longest: u32,
    buffer: Lock<Buffer>,
}

impl DmaChannel {
    fn adapter(&self) -> *mut DMA_ADAPTER {
        self.adapter as *mut DMA_ADAPTER
    }

    fn free(&self) {
        let Buffer { address, physical, allocated, .. } = self.buffer.with(core::mem::take);
        if address != 0 {
            // SAFETY: the adapter lives as long as the channel; the buffer is its own, and is given back once.
            unsafe {
                let operations = &*(*self.adapter()).DmaOperations;
                (operations.FreeCommonBuffer)(self.adapter(), allocated, physical as i64, address as PVOID, 0);
            }
        }
    }
}

impl Drop for DmaChannel {
    fn drop(&mut self) {
        self.free();
        // SAFETY: the channel's own adapter, given back once.
        unsafe { ((*(*self.adapter()).DmaOperations).PutDmaAdapter)(self.adapter()) };
    }
}

impl Class for DmaChannel {
    const NAME: &'static str = "IDmaChannel";
    const INTERFACES: &'static [GUID] = &[IID_IDMACHANNEL];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<DmaChannel>();
        static VTABLE: [Slot; 15] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(allocate_buffer as *const ()),
            Slot(free_buffer as *const ()),
            Slot(transfer_count as *const ()),
            Slot(maximum_buffer_size as *const ()),
            Slot(allocated_buffer_size as *const ()),
            Slot(buffer_size as *const ()),
            Slot(set_buffer_size as *const ()),
            Slot(system_address as *const ()),
            Slot(physical_address as *const ()),
            Slot(get_adapter_object as *const ()),
            Slot(copy as *const ()),
            Slot(copy as *const ()),
        ];
        &VTABLE
    }

    fn released(_object: &Object<Self>) {
        irql::passive("IDmaChannel", "the last Release");
    }
}

type This = *mut Object<DmaChannel>;

/// Allocates the buffer, below the constraint if one is given.
unsafe extern "win64" fn allocate_buffer(this: This, bytes: u32, constraint: *const i64) -> NTSTATUS {
    irql::passive("IDmaChannel", "AllocateBuffer");
    // SAFETY: the caller holds a reference.
    let channel = unsafe { object(this) };
    if bytes == 0 || bytes > channel.longest {
        return STATUS_INVALID_PARAMETER;
    }
    if channel.buffer.with(|buffer| buffer.address) != 0 {
        return STATUS_UNSUCCESSFUL;
    }
    if alloc_faults::fails("IDmaChannel::AllocateBuffer") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let mut physical = 0;
    // SAFETY: the adapter lives as long as the channel; the constraint is null or an address.
    unsafe {
        let operations = &*(*channel.adapter()).DmaOperations;
        let address = (operations.AllocateCommonBuffer)(channel.adapter(), bytes, &raw mut physical, 0);
        if address.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        if !constraint.is_null() && (physical + i64::from(bytes) - 1) & !constraint.read_unaligned() != 0 {
            (operations.FreeCommonBuffer)(channel.adapter(), bytes, physical, address, 0);
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        channel.buffer.with(|buffer| {
            *buffer =
                Buffer { address: address as usize, physical: physical.cast_unsigned(), allocated: bytes, size: bytes };
        });
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn free_buffer(this: This) {
    irql::passive("IDmaChannel", "FreeBuffer");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.free();
}

fn figure(this: This, method: &'static str, of: impl FnOnce(&Buffer) -> u32) -> u32 {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannel", method);
    // SAFETY: the caller of the method holds a reference.
    unsafe { object(this) }.buffer.with(|buffer| of(buffer))
}

/// Returns 0: a bus master counts its transfers itself.
unsafe extern "win64" fn transfer_count(this: This) -> u32 {
    figure(this, "TransferCount", |_| 0)
}

unsafe extern "win64" fn maximum_buffer_size(this: This) -> u32 {
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.longest
}

unsafe extern "win64" fn allocated_buffer_size(this: This) -> u32 {
    figure(this, "AllocatedBufferSize", |buffer| buffer.allocated)
}

unsafe extern "win64" fn buffer_size(this: This) -> u32 {
    figure(this, "BufferSize", |buffer| buffer.size)
}

unsafe extern "win64" fn set_buffer_size(this: This, bytes: u32) {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannel", "SetBufferSize");
    // SAFETY: the caller holds a reference.
    let allocated = unsafe { object(this) }.buffer.with(|buffer| {
        buffer.size = bytes.min(buffer.allocated);
        buffer.allocated
    });
    if bytes > allocated {
        violation(
            "IDmaChannel::SetBufferSize",
            Violation::new(
                services::DMA_CHANNEL,
                format!("the size is set to {bytes} bytes, and {allocated} are allocated"),
                "set a size of at most AllocatedBufferSize, after AllocateBuffer",
            ),
        )
    }
}

unsafe extern "win64" fn system_address(this: This) -> PVOID {
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.buffer.with(|buffer| buffer.address) as PVOID
}

/// Returns a structure by value: as Windows' compiler has it, its place comes after `this` and is returned.
unsafe extern "win64" fn physical_address(this: This, out: *mut i64) -> *mut i64 {
    // SAFETY: the caller holds a reference, and has made room for the result.
    unsafe {
        out.write(object(this).buffer.with(|buffer| buffer.physical).cast_signed());
    }
    out
}

unsafe extern "win64" fn get_adapter_object(this: This) -> *mut DMA_ADAPTER {
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.adapter()
}

/// Copies nothing (`CopyTo`, `CopyFrom`): the device reads and writes the same memory.
unsafe extern "win64" fn copy(_this: This, destination: *mut u8, source: *const u8, bytes: u32) {
    // SAFETY: the caller's memory.
    unsafe { core::ptr::copy(source, destination, bytes as usize) };
}

crate::export_functions! {
    /// What makes DMA channels.
    pub(crate) static EXPORTS;

    /// Makes a channel for a bus master. The system's own DMA controller is not here.
    [PASSIVE] fn PcNewDmaChannel(out: *mut PVOID, outer: PVOID, _pool: i32, description: *mut DEVICE_DESCRIPTION, fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        if out.is_null() || !outer.is_null() || description.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        out.write(core::ptr::null_mut());
        let Some(pdo) = adapter::physical(fdo) else { return STATUS_INVALID_PARAMETER };
        if (*description).Master == 0 {
            return STATUS_NOT_SUPPORTED;
        }
        if call_faults::must_fail("PcNewDmaChannel") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let mut registers = 0;
        let adapter = IoGetDmaAdapter(pdo, description, &raw mut registers);
        if adapter.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let longest = (*description).MaximumLength;
        let channel = DmaChannel { adapter: adapter as usize, longest, buffer: Lock::new(Buffer::default()) };
        out.write(Com::new(channel).into_raw());
        STATUS_SUCCESS
    }
}
