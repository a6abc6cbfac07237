//! The kernel services that the driver needs, as traits.
#![allow(unsafe_code, reason = "memory that a device writes, and locks, are promises between kernel and driver")]

use core::ptr::NonNull;

use portcls::NtStatus;
use portcls::event::DmusKernelEvent;

use crate::irql::{AtMostDispatch, Passive};
use crate::log::Part;

/// A mapped range of device registers. Any IRQL.
///
/// Offsets are the driver's own and inside the range; an implementation may panic on others.
pub trait Registers {
    /// Returns how many bytes are mapped.
    fn len(&self) -> usize;
    /// Reads a byte.
    fn read8(&self, offset: usize) -> u8;
    /// Reads two bytes.
    fn read16(&self, offset: usize) -> u16;
    /// Reads four bytes.
    fn read32(&self, offset: usize) -> u32;
    /// Writes a byte.
    fn write8(&self, offset: usize, value: u8);
    /// Writes two bytes.
    fn write16(&self, offset: usize, value: u16);
    /// Writes four bytes.
    fn write32(&self, offset: usize, value: u32);

    /// Returns whether no byte is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory that the device reads and writes too, freed when it is dropped (at `PASSIVE_LEVEL`).
///
/// # Safety
/// `pointer` is valid for reads and writes of `len` bytes as long as the value lives, page-aligned, resident, and
/// only the owner of the value and the device use it.
pub unsafe trait DmaBuffer {
    /// Returns a pointer to its first byte.
    fn pointer(&self) -> NonNull<u8>;
    /// Returns its first byte's address on the device's bus.
    fn address(&self) -> u64;
    /// Returns its length in bytes.
    fn len(&self) -> usize;

    /// Returns whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A spin lock, held at `DISPATCH_LEVEL`.
///
/// # Safety
/// Between `acquire` and `release` no other call of `acquire` returns.
pub unsafe trait RawSpinLock {
    /// What `release` restores.
    type Saved;
    /// Acquires the lock.
    fn acquire(&self, level: AtMostDispatch) -> Self::Saved;
    /// Releases the lock.
    ///
    /// # Safety
    /// The caller holds it, and `saved` is what `acquire` returned.
    unsafe fn release(&self, saved: Self::Saved);
}

/// A mutex, acquired at `PASSIVE_LEVEL`.
///
/// # Safety
/// Between `acquire` and `release` no other call of `acquire` returns.
pub unsafe trait RawMutex {
    /// Acquires the lock.
    fn acquire(&self, level: Passive);
    /// Releases the mutex.
    ///
    /// # Safety
    /// The caller holds it.
    unsafe fn release(&self, level: Passive);
}

/// A synchronization event: a wait that succeeds resets it.
pub trait Signal {
    /// Sets it.
    fn set(&self, level: AtMostDispatch);
    /// Resets it.
    fn clear(&self, level: AtMostDispatch);
    /// Waits until it is set, for at most `milliseconds`. False: it was not set.
    fn wait(&self, level: Passive, milliseconds: u32) -> bool;
}

/// A stream's allocator, to which events go back when they are done. A copy holds no reference.
pub trait EventAllocator {
    /// Gives a chain of events back, each exactly once. Must not be called with a lock held.
    ///
    /// # Safety
    /// The allocator is alive; `events` is null or a chain of its events that no other code uses.
    unsafe fn give_back(&self, events: *mut DmusKernelEvent, level: AtMostDispatch);
}

/// A client's request that stays pending. The system may call its cancel routine at any moment.
pub trait PendingRequest {
    /// Sets the cancel routine. False: the request was cancelled before, and the routine is not called.
    fn arm(&self) -> bool;
    /// Clears the cancel routine. False: the system is calling it already, and the routine completes the request.
    fn claim(&self) -> bool;
    /// Completes the request. Must not be called with a lock held.
    fn complete(self, level: AtMostDispatch, status: NtStatus);
}

/// A kernel.
pub trait Kernel {
    /// Mapped registers.
    type Registers: Registers;
    /// Common buffers.
    type Dma: DmaBuffer;
    /// Spin locks.
    type SpinLock: RawSpinLock;
    /// Mutexes.
    type Mutex: RawMutex;
    /// Events.
    type Signal: Signal;
    /// Allocators.
    type Allocator: EventAllocator + Copy;
    /// Clients' requests.
    type PendingRequest: PendingRequest;

    /// Allocates a zeroed common buffer. `None`: no memory.
    fn allocate_dma(&self, level: Passive, bytes: usize) -> Option<Self::Dma>;
    /// Makes a spin lock.
    fn spin_lock(&self) -> Self::SpinLock;
    /// Makes a mutex. `None`: no memory.
    fn mutex(&self, level: Passive) -> Option<Self::Mutex>;
    /// Makes an event that is not set. `None`: no memory.
    fn signal(&self, level: Passive) -> Option<Self::Signal>;
    /// Waits for so many milliseconds.
    fn pause(&self, level: Passive, milliseconds: u32);
    /// Returns the time in 100 ns units since an origin of the kernel's.
    fn time(&self) -> u64;
    /// Prints a line in the kernel debugger.
    fn log(&self, line: &[Part]);
}
