//! What the driver needs of a kernel.
#![allow(unsafe_code, reason = "memory that a device writes, and locks, are promises between kernel and driver")]

use core::ptr::NonNull;

use portcls::NtStatus;
use portcls::event::DmusKernelEvent;

use crate::irql::{AtMostDispatch, Passive};
use crate::log::Part;

/// A mapped range of device registers. Any IRQL.
///
/// Offsets are the driver's own and lie inside the range; an implementation may panic on others.
pub trait Registers {
    /// Bytes mapped.
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

    /// Nothing is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory that the device reads and writes too, freed when it is dropped (at `PASSIVE_LEVEL`).
///
/// # Safety
/// `pointer` is valid for reads and writes of `len` bytes as long as the value lives, page-aligned, resident, and
/// nobody but the owner of the value and the device uses it.
pub unsafe trait DmaBuffer {
    /// Its first byte.
    fn pointer(&self) -> NonNull<u8>;
    /// Its first byte's address as the device sees it.
    fn address(&self) -> u64;
    /// Its length in bytes.
    fn len(&self) -> usize;

    /// It has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A spin lock; holding it is `DISPATCH_LEVEL`.
///
/// # Safety
/// Between `acquire` and `release` nobody else returns from `acquire`.
pub unsafe trait RawSpinLock {
    /// What `release` needs to know.
    type Saved;
    /// Takes the lock.
    fn acquire(&self, level: AtMostDispatch) -> Self::Saved;
    /// Gives it back.
    ///
    /// # Safety
    /// The caller holds it, and `saved` is what `acquire` gave.
    unsafe fn release(&self, saved: Self::Saved);
}

/// A lock that is waited for at `PASSIVE_LEVEL`.
///
/// # Safety
/// Between `acquire` and `release` nobody else returns from `acquire`.
pub unsafe trait RawMutex {
    /// Takes the lock.
    fn acquire(&self, level: Passive);
    /// Gives it back.
    ///
    /// # Safety
    /// The caller holds it.
    unsafe fn release(&self, level: Passive);
}

/// An event that is set by one side and waited for by the other; waiting consumes it.
pub trait Signal {
    /// Sets it.
    fn set(&self, level: AtMostDispatch);
    /// Takes back a setting that nobody has waited for.
    fn clear(&self, level: AtMostDispatch);
    /// Waits until it is set, at most `milliseconds`. False: it was not set.
    fn wait(&self, level: Passive, milliseconds: u32) -> bool;
}

/// Where a stream's events go when they are done: its allocator.
pub trait EventHome {
    /// Gives a chain of events back, each exactly once. Not to be called with a lock held.
    ///
    /// # Safety
    /// `events` is null or a chain that this home gave out and that nobody uses any more.
    unsafe fn give_back(&self, events: *mut DmusKernelEvent, level: AtMostDispatch);
}

/// A client's request that waits. Its canceller, a routine of the system's, may come for it at any moment.
pub trait Waiting {
    /// Lets the canceller come from now on. False: the request was cancelled before, and its canceller does not come.
    fn arm(&self) -> bool;
    /// Takes the request from its canceller. False: that is on its way already, and ends the request.
    fn claim(&self) -> bool;
    /// Ends the request. Not to be called with a lock held.
    fn complete(self, level: AtMostDispatch, status: NtStatus);
}

/// The kernel.
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
    type Home: EventHome + Copy;
    /// Clients' requests.
    type Waiting: Waiting;

    /// Allocates zeroed memory for the device, or `None` when there is none.
    fn allocate_dma(&self, level: Passive, bytes: usize) -> Option<Self::Dma>;
    /// Makes a spin lock.
    fn spin_lock(&self) -> Self::SpinLock;
    /// Makes a mutex, or `None` when there is no memory.
    fn mutex(&self, level: Passive) -> Option<Self::Mutex>;
    /// Makes an event, not set, or `None` when there is no memory.
    fn signal(&self, level: Passive) -> Option<Self::Signal>;
    /// Lets time pass.
    fn pause(&self, level: Passive, milliseconds: u32);
    /// Time in 100 ns units from any origin.
    fn time(&self) -> u64;
    /// Says something to the person at the debugger.
    fn log(&self, line: &[Part]);
}
