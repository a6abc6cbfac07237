//! The kernel services that `dmus-miniport` needs, from Windows' functions.
#![allow(unsafe_code, reason = "this is where the driver meets the kernel")]

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::NonNull;

use dmus_miniport::irql::{AtMostDispatch, Passive};
use dmus_miniport::kernel::{DmaBuffer, EventAllocator, Kernel, RawMutex, RawSpinLock, Registers, Signal};
use dmus_miniport::log::{Line, Part};
use portcls::NtStatus;
use portcls::Opaque;
use portcls::dmus::IAllocatorMXF;
use portcls::event::DmusKernelEvent;
use portcls::wdm::{DeviceDescription, DmaAdapter, KEvent};

use crate::com::call;
use crate::nt;
use crate::pc;
use crate::pending_request::PendingPropertyRequest;
use crate::pool::try_box;

/// A mapped range of device registers.
pub(crate) struct MappedRegisters {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: device registers may be accessed from any processor; their user orders the accesses.
unsafe impl Send for MappedRegisters {}
// SAFETY: as above; every access is a single volatile one.
unsafe impl Sync for MappedRegisters {}

impl MappedRegisters {
    /// Maps `len` bytes of physical address space, uncached. `None`: they cannot be mapped.
    pub(crate) fn map(_: Passive, address: i64, len: usize) -> Option<Self> {
        // SAFETY: the address is that of a resource that the system has given the device.
        let base = unsafe { nt::MmMapIoSpace(address, len, nt::MM_NON_CACHED) };
        Some(Self { base: NonNull::new(base.cast())?, len })
    }

    /// Returns the address of a register. `None`: it is outside the mapping, which is a driver bug.
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let inside = offset.is_multiple_of(size_of::<T>()) && offset < self.len && size_of::<T>() <= self.len - offset;
        debug_assert!(inside, "a register inside");
        // SAFETY: inside the mapping.
        inside.then(|| unsafe { self.base.as_ptr().add(offset) }.cast())
    }

    /// Reads a register. One outside the mapping reads as `nothing`.
    fn read<T: Copy>(&self, offset: usize, nothing: T) -> T {
        // SAFETY: a register inside the mapping.
        self.at::<T>(offset).map_or(nothing, |register| unsafe { register.read_volatile() })
    }

    fn write<T>(&self, offset: usize, value: T) {
        if let Some(register) = self.at::<T>(offset) {
            // SAFETY: a register inside the mapping.
            unsafe { register.write_volatile(value) };
        }
    }
}

impl Registers for MappedRegisters {
    fn len(&self) -> usize {
        self.len
    }

    fn read8(&self, offset: usize) -> u8 {
        self.read(offset, u8::MAX)
    }

    fn read16(&self, offset: usize) -> u16 {
        self.read(offset, u16::MAX)
    }

    fn read32(&self, offset: usize) -> u32 {
        self.read(offset, u32::MAX)
    }

    fn write8(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    fn write16(&self, offset: usize, value: u16) {
        self.write(offset, value);
    }

    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }
}

impl Drop for MappedRegisters {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length.
        unsafe { nt::MmUnmapIoSpace(self.base.as_ptr().cast(), self.len) };
    }
}

/// A common buffer.
pub(crate) struct CommonBuffer {
    adapter: *mut DmaAdapter,
    pointer: NonNull<u8>,
    address: i64,
    len: u32,
}

// SAFETY: the buffer belongs to the value's owner; the adapter may be used from any processor.
unsafe impl Send for CommonBuffer {}
// SAFETY: sharing the value shares addresses only.
unsafe impl Sync for CommonBuffer {}

// SAFETY: common buffers are page-aligned, resident, and allocated until the value is dropped.
unsafe impl DmaBuffer for CommonBuffer {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    fn address(&self) -> u64 {
        self.address.cast_unsigned()
    }

    fn len(&self) -> usize {
        self.len as usize
    }
}

impl Drop for CommonBuffer {
    fn drop(&mut self) {
        // SAFETY: the adapter outlives its buffers: the kernel is dropped last.
        let free = unsafe { (*(*self.adapter).operations).free_common_buffer };
        // SAFETY: allocated from this adapter with these numbers.
        unsafe { free(self.adapter, self.len, self.address, self.pointer.as_ptr().cast(), CACHED) };
    }
}

/// Common buffers are cached: the bus is coherent on x86.
const CACHED: u8 = 1;

/// A `KSPIN_LOCK`.
pub(crate) struct SpinLock(UnsafeCell<usize>);

// SAFETY: a spin lock is made to be shared.
unsafe impl Sync for SpinLock {}

// SAFETY: the kernel's spin lock.
unsafe impl RawSpinLock for SpinLock {
    type Saved = u8;

    fn acquire(&self, _: AtMostDispatch) -> u8 {
        // SAFETY: at DISPATCH_LEVEL or below, as the token says.
        unsafe { nt::acquire_spin_lock(self.0.get()) }
    }

    unsafe fn release(&self, saved: u8) {
        // SAFETY: held, as the caller promises.
        unsafe { nt::release_spin_lock(self.0.get(), saved) };
    }
}

/// A synchronization event, in memory of its own, because it must not move.
pub(crate) struct Event(Box<UnsafeCell<KEvent>>);

// SAFETY: events are made to be shared.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    fn new(level: Passive, set: bool) -> Option<Self> {
        let event = try_box(level, UnsafeCell::new(KEvent::uninitialized()))?;
        // SAFETY: room for an event that will not move.
        unsafe { nt::KeInitializeEvent(event.get(), nt::SYNCHRONIZATION_EVENT, set.into()) };
        Some(Self(event))
    }

    fn wait_for(&self, timeout: *const i64) -> NtStatus {
        const EXECUTIVE: u32 = 0;
        const KERNEL_MODE: i8 = 0;
        // SAFETY: an initialised event; the callers hold a token for PASSIVE_LEVEL.
        unsafe { nt::KeWaitForSingleObject(self.0.get().cast::<c_void>(), EXECUTIVE, KERNEL_MODE, 0, timeout) }
    }
}

/// Returns a relative time-out in the kernel's units: negative, of 100 ns.
fn relative(milliseconds: u32) -> i64 {
    -10_000 * i64::from(milliseconds)
}

impl Signal for Event {
    fn set(&self, _: AtMostDispatch) {
        // SAFETY: an initialised event, at DISPATCH_LEVEL or below, and no wait follows at once.
        unsafe { nt::KeSetEvent(self.0.get(), 0, 0) };
    }

    fn clear(&self, _: AtMostDispatch) {
        // SAFETY: an initialised event.
        unsafe { nt::KeClearEvent(self.0.get()) };
    }

    fn wait(&self, _: Passive, milliseconds: u32) -> bool {
        let timeout = relative(milliseconds);
        self.wait_for(&raw const timeout) == NtStatus::SUCCESS
    }
}

/// A mutex: an event that is set while it is free. Its holder cannot be suspended.
pub(crate) struct Mutex(Event);

impl Mutex {
    /// Makes a free mutex. `None`: no memory.
    pub(crate) fn new(level: Passive) -> Option<Self> {
        Event::new(level, true).map(Self)
    }
}

// SAFETY: a synchronization event lets one waiter through for each time that it is set.
unsafe impl RawMutex for Mutex {
    fn acquire(&self, _: Passive) {
        // SAFETY: left in `release`.
        unsafe { nt::KeEnterCriticalRegion() };
        let status = self.0.wait_for(core::ptr::null());
        debug_assert!(status == NtStatus::SUCCESS, "an endless wait in kernel mode ends with the event");
    }

    unsafe fn release(&self, level: Passive) {
        self.0.set(level.into());
        // SAFETY: entered in `acquire`.
        unsafe { nt::KeLeaveCriticalRegion() };
    }
}

/// A stream's allocator. The stream holds the reference; a copy holds none.
#[derive(Clone, Copy)]
pub(crate) struct Allocator(pub(crate) *mut IAllocatorMXF);

// SAFETY: an allocator may be used from any processor.
unsafe impl Send for Allocator {}

impl EventAllocator for Allocator {
    unsafe fn give_back(&self, events: *mut DmusKernelEvent, _: AtMostDispatch) {
        let allocator = self.0;
        // `IMXF::PutMessage` of an allocator runs at DISPATCH_LEVEL (nf-dmusicks-imxf-putmessage).
        // SAFETY: the stream holds the allocator while events are given back; the events are the allocator's.
        _ = unsafe { nt::at_dispatch_level(|| call!(allocator, base.put_message, events)) };
    }
}

/// The Windows kernel, with the DMA adapter of a device.
pub(crate) struct Windows {
    adapter: *mut DmaAdapter,
}

// SAFETY: a DMA adapter may be used from any processor.
unsafe impl Send for Windows {}
// SAFETY: as above.
unsafe impl Sync for Windows {}

impl Windows {
    /// Gets the DMA adapter of a device. `None`: the system has none for it.
    pub(crate) fn new(_: Passive, physical_device: *mut Opaque) -> Option<Self> {
        let mut description = DeviceDescription {
            version: nt::DEVICE_DESCRIPTION_VERSION2,
            master: 1,
            scatter_gather: 1,
            dma32_bit_addresses: 1,
            dma64_bit_addresses: 1,
            interface_type: nt::PCI_BUS,
            maximum_length: u32::MAX,
            ..DeviceDescription::default()
        };
        let mut map_registers = 0;
        // SAFETY: the device is started, at PASSIVE_LEVEL, and both places are good for the call.
        let adapter = unsafe { nt::IoGetDmaAdapter(physical_device, &raw mut description, &raw mut map_registers) };
        // Not `then_some`: it would make, and drop, a kernel without an adapter.
        (!adapter.is_null()).then(|| Self { adapter })
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        // SAFETY: the adapter is alive until here.
        let put = unsafe { (*(*self.adapter).operations).put_dma_adapter };
        // SAFETY: all buffers have been freed: the kernel is dropped last.
        unsafe { put(self.adapter) };
    }
}

impl Kernel for Windows {
    type Registers = MappedRegisters;
    type Dma = CommonBuffer;
    type SpinLock = SpinLock;
    type Mutex = Mutex;
    type Signal = Event;
    type Allocator = Allocator;
    type PendingRequest = PendingPropertyRequest;

    fn allocate_dma(&self, _: Passive, bytes: usize) -> Option<CommonBuffer> {
        const PAGE: usize = 4096;
        let len = u32::try_from(bytes.next_multiple_of(PAGE)).ok()?;
        let mut address = 0;
        // SAFETY: the adapter lives as long as the kernel.
        let allocate = unsafe { (*(*self.adapter).operations).allocate_common_buffer };
        // SAFETY: at PASSIVE_LEVEL, and the place for the address is good for the call.
        let pointer = unsafe { allocate(self.adapter, len, &raw mut address, CACHED) };
        let pointer = NonNull::new(pointer.cast::<u8>())?;
        // SAFETY: fresh memory of this length.
        unsafe { pointer.as_ptr().write_bytes(0, len as usize) };
        Some(CommonBuffer { adapter: self.adapter, pointer, address, len })
    }

    fn spin_lock(&self) -> SpinLock {
        SpinLock(UnsafeCell::new(0))
    }

    fn mutex(&self, level: Passive) -> Option<Mutex> {
        Mutex::new(level)
    }

    fn signal(&self, level: Passive) -> Option<Event> {
        Event::new(level, false)
    }

    fn pause(&self, _: Passive, milliseconds: u32) {
        const KERNEL_MODE: i8 = 0;
        let interval = relative(milliseconds);
        // SAFETY: at PASSIVE_LEVEL, and the interval is good for the call.
        _ = unsafe { nt::KeDelayExecutionThread(KERNEL_MODE, 0, &raw const interval) };
    }

    fn time(&self) -> u64 {
        // SAFETY: may be called at any level.
        unsafe { pc::PcGetTimeInterval(0) }
    }

    fn log(&self, line: &[Part]) {
        log(line);
    }
}

/// Bytes of a log line. `DbgPrint` cuts at 512 bytes, and a kernel stack is small.
const LINE_BYTES: usize = 200;

/// Prints a line in the kernel debugger. Text beyond [`LINE_BYTES`] is cut off.
#[inline(never)]
pub(crate) fn log(line: &[Part]) {
    let line = Line::<LINE_BYTES>::of(line);
    // SAFETY: both strings end with 0.
    unsafe { nt::DbgPrint(c"dmuscard: %s\n".as_ptr(), line.as_ptr()) };
}
