//! `IDmaChannel`: the common buffer of a bus master. `IDmaChannelSlave`: that of the system's DMA controller, which this
//! host has not, so that its transfers never begin.

#![allow(unsafe_code, reason = "DMA adapters are tables of functions, buffers addresses")]

use alloc::format;

use crate::alloc_faults;
use crate::arch::PAGE_SIZE;
use crate::contract::services;
use crate::contract::violation::{Violation, violation};
use crate::io::dma::IoGetDmaAdapter;
use crate::mm::contiguous;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};
use crate::nt::{DEVICE_DESCRIPTION, DEVICE_OBJECT, DMA_ADAPTER, NTSTATUS, PVOID};
use crate::portcls::adapter;
use crate::portcls::com::guids::{GUID, IID_IDMACHANNEL, IID_IDMACHANNELSLAVE};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::irql;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::port::adapter::ObjectOut;
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

/// Memory that the system's DMA controller reaches: it has 24 address lines.
const SLAVE_MEMORY_END: u64 = 1 << 24;

/// Bytes whose borders a transfer of its 8-bit channels cannot cross, and so its longest.
const SLAVE_LONGEST: u32 = 1 << 16;

/// `IDmaChannel`, or `IDmaChannelSlave`.
pub(crate) struct DmaChannel {
    adapter: usize,
    slave: bool,
    longest: u32,
    buffer: Lock<Buffer>,
}

impl DmaChannel {
    fn adapter(&self) -> *mut DMA_ADAPTER {
        self.adapter as *mut DMA_ADAPTER
    }

    /// Allocates a buffer that the system's DMA controller reaches, and that lies between two borders of its transfers.
    fn allocate_for_slave(&self, bytes: u32) -> NTSTATUS {
        let align = u64::from(bytes).next_power_of_two().max(PAGE_SIZE);
        match contiguous::allocate_contiguous(bytes.into(), align, 0, SLAVE_MEMORY_END - 1) {
            Some((address, physical)) => {
                self.buffer.with(|buffer| {
                    *buffer = Buffer { address: address as usize, physical, allocated: bytes, size: bytes };
                });
                STATUS_SUCCESS
            }
            None => STATUS_INSUFFICIENT_RESOURCES,
        }
    }

    fn free(&self) {
        let Buffer { address, physical, allocated, .. } = self.buffer.with(core::mem::take);
        if address != 0 && self.slave {
            contiguous::free_contiguous("IDmaChannel::FreeBuffer", address as u64);
        } else if address != 0 {
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

/// The methods of `IDmaChannelSlave`, which begin with those of `IDmaChannel`.
static VTABLE: [Slot; 19] = {
    let unknown = unknown::<DmaChannel>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
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
        Slot(start as *const ()),
        Slot(stop as *const ()),
        Slot(read_counter as *const ()),
        Slot(wait_for_tc as *const ()),
    ]
};

/// Methods of `IDmaChannel`, `IUnknown`'s included (portcls.h).
const CHANNEL_METHODS: usize = 15;

impl Class for DmaChannel {
    const NAME: &'static str = "IDmaChannel";
    const INTERFACES: &'static [GUID] = &[IID_IDMACHANNEL];

    fn vtable() -> &'static [Slot] {
        &VTABLE[..CHANNEL_METHODS]
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        (object.slave && *interface == IID_IDMACHANNELSLAVE).then(|| object.address())
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
    if channel.slave {
        return channel.allocate_for_slave(bytes);
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

/// Begins transfers of the system's DMA controller: there is none in this machine, and no stream that would need it.
unsafe extern "win64" fn start(_this: This, map_size: u32, to_device: u8) -> NTSTATUS {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannelSlave", "Start");
    crate::warn!(
        "IDmaChannelSlave::Start of {map_size} bytes {} the device: this host has no system DMA controller",
        if to_device != 0 { "to" } else { "from" }
    );
    STATUS_NOT_SUPPORTED
}

unsafe extern "win64" fn stop(_this: This) -> NTSTATUS {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannelSlave", "Stop");
    STATUS_SUCCESS
}

/// Returns 0: nothing is being transferred.
unsafe extern "win64" fn read_counter(_this: This) -> u32 {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannelSlave", "ReadCounter");
    0
}

/// Returns at once: nothing is being transferred.
unsafe extern "win64" fn wait_for_tc(_this: This, _timeout: u32) -> NTSTATUS {
    irql::at_most(DISPATCH_LEVEL, "IDmaChannelSlave", "WaitForTC");
    STATUS_SUCCESS
}

/// Makes a channel as a description asks: `IDmaChannel` of a bus master, `IDmaChannelSlave` of a device that is none.
///
/// # Safety
/// The out parameter is null or can be written.
pub(super) unsafe fn create(
    fdo: *mut DEVICE_OBJECT,
    (out, outer): ObjectOut,
    description: &mut DEVICE_DESCRIPTION,
) -> NTSTATUS {
    if out.is_null() || !outer.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by the caller.
    unsafe { out.write(core::ptr::null_mut()) };
    let Some(pdo) = adapter::physical(fdo) else { return STATUS_INVALID_PARAMETER };
    if call_faults::must_fail("PcNewDmaChannel") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let slave = description.Master == 0;
    // A slave's adapter only stands for it: its buffer is allocated apart, and its transfers never begin.
    description.Master = 1;
    let mut registers = 0;
    // SAFETY: a live device and the caller's description.
    let adapter = unsafe { IoGetDmaAdapter(pdo, description, &raw mut registers) };
    if adapter.is_null() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let longest = if slave { description.MaximumLength.min(SLAVE_LONGEST) } else { description.MaximumLength };
    let channel = DmaChannel { adapter: adapter as usize, slave, longest, buffer: Lock::new(Buffer::default()) };
    let (name, vtable) =
        if slave { ("IDmaChannelSlave", &VTABLE[..]) } else { (DmaChannel::NAME, DmaChannel::vtable()) };
    // SAFETY: by the caller.
    unsafe { out.write(Com::with_vtable(channel, name, vtable).into_raw()) };
    STATUS_SUCCESS
}

crate::export_functions! {
    /// What makes DMA channels.
    pub(crate) static EXPORTS;

    /// Makes a channel for a bus master, or one of the system's DMA controller.
    [PASSIVE] fn PcNewDmaChannel(out: *mut PVOID, outer: PVOID, _pool: i32, description: *mut DEVICE_DESCRIPTION, fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        match description.as_mut() {
            Some(description) => create(fdo, (out, outer), description),
            None => STATUS_INVALID_PARAMETER,
        }
    }
}
