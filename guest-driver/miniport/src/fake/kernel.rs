//! The fake kernel: memory that the fake card can access, locks that detect misuse, waits that return at once.
#![allow(unsafe_code, reason = "memory shared with a device, here the fake card")]

use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::string::String;

use super::allocator::FakeAllocator;
use super::card::FakeCard;
use super::pending_request::FakePendingRequest;
use super::registers::FakeRegisters;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel, RawMutex, RawSpinLock, Signal};
use crate::log::{Line, Part};

const PAGE: usize = 4096;

/// The difference between bus addresses and the driver's, so that a test finds them mixed up.
const BUS_OFFSET: u64 = 1 << 52;

/// The kernel of a machine with one fake card.
#[derive(Clone, Debug)]
pub struct FakeKernel {
    card: FakeCard,
}

impl FakeKernel {
    /// Makes a kernel for a card.
    #[must_use]
    pub fn new(card: &FakeCard) -> Self {
        Self { card: card.clone() }
    }

    /// Counts an allocation. `None`: it fails.
    fn may_allocate(&self) -> Option<()> {
        self.card.with(|card| {
            if let Some(left) = &mut card.behaviour.allocations_left {
                *left = left.checked_sub(1)?;
            }
            (!card.behaviour.no_memory).then_some(())
        })
    }
}

/// A common buffer.
#[derive(Debug)]
pub struct FakeDma {
    card: FakeCard,
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is the value's.
unsafe impl Send for FakeDma {}
// SAFETY: sharing the value shares addresses only.
unsafe impl Sync for FakeDma {}

impl FakeDma {
    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, PAGE).unwrap()
    }
}

// SAFETY: allocated in pages, and freed when dropped.
unsafe impl DmaBuffer for FakeDma {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    fn address(&self) -> u64 {
        self.pointer.as_ptr() as u64 + BUS_OFFSET
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for FakeDma {
    fn drop(&mut self) {
        self.card.remove_memory(self.address());
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.len)) };
    }
}

std::thread_local! {
    /// Its address identifies the thread.
    static THREAD: u8 = const { 0 };
    /// Spin locks that the thread has taken.
    static SPIN_LOCKS_TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Returns how many times the calling thread has taken a spin lock of any kernel.
#[must_use]
pub fn spin_locks_taken() -> u64 {
    SPIN_LOCKS_TAKEN.get()
}

/// A lock that waits for other threads, and panics where a kernel's lock would hang.
#[derive(Debug, Default)]
pub struct FakeLock(AtomicUsize);

impl FakeLock {
    fn take(&self) {
        let this = THREAD.with(|thread| core::ptr::from_ref(thread) as usize);
        while let Err(owner) = self.0.compare_exchange_weak(0, this, Ordering::Acquire, Ordering::Relaxed) {
            assert!(owner != this, "the lock is held already by this thread: a kernel's lock would hang");
            std::thread::yield_now();
        }
    }

    fn give(&self) {
        self.0.store(0, Ordering::Release);
    }
}

// SAFETY: taken by one at a time.
unsafe impl RawSpinLock for FakeLock {
    type Saved = ();
    fn acquire(&self, _: AtMostDispatch) {
        SPIN_LOCKS_TAKEN.set(SPIN_LOCKS_TAKEN.get() + 1);
        self.take();
    }
    unsafe fn release(&self, (): ()) {
        self.give();
    }
}

// SAFETY: taken by one at a time.
unsafe impl RawMutex for FakeLock {
    fn acquire(&self, _: Passive) {
        self.take();
    }
    unsafe fn release(&self, _: Passive) {
        self.give();
    }
}

/// A synchronization event. Waiting for it lets time pass on the card.
#[derive(Debug)]
pub struct FakeSignal {
    set: AtomicBool,
    card: FakeCard,
}

impl Signal for FakeSignal {
    fn set(&self, _: AtMostDispatch) {
        self.set.store(true, Ordering::Release);
    }
    fn clear(&self, _: AtMostDispatch) {
        self.set.store(false, Ordering::Release);
    }
    fn wait(&self, _: Passive, milliseconds: u32) -> bool {
        if self.set.swap(false, Ordering::AcqRel) {
            return true;
        }
        self.card.pass_time(milliseconds);
        self.set.swap(false, Ordering::AcqRel)
    }
}

impl Kernel for FakeKernel {
    type Registers = FakeRegisters;
    type Dma = FakeDma;
    type SpinLock = FakeLock;
    type Mutex = FakeLock;
    type Signal = FakeSignal;
    type Allocator = FakeAllocator;
    type PendingRequest = FakePendingRequest;

    fn allocate_dma(&self, _: Passive, bytes: usize) -> Option<FakeDma> {
        let len = bytes.next_multiple_of(PAGE);
        self.may_allocate()?;
        // SAFETY: the size is not 0.
        let pointer = NonNull::new(unsafe { alloc_zeroed(FakeDma::layout(len)) })?;
        let memory = FakeDma { card: self.card.clone(), pointer, len };
        self.card.add_memory(memory.address(), pointer.as_ptr(), len);
        Some(memory)
    }

    fn spin_lock(&self) -> FakeLock {
        FakeLock::default()
    }

    fn mutex(&self, _: Passive) -> Option<FakeLock> {
        self.may_allocate()?;
        Some(FakeLock::default())
    }

    fn signal(&self, _: Passive) -> Option<FakeSignal> {
        self.may_allocate()?;
        Some(FakeSignal { set: AtomicBool::new(false), card: self.card.clone() })
    }

    fn pause(&self, _: Passive, milliseconds: u32) {
        self.card.pass_time(milliseconds);
    }

    fn time(&self) -> u64 {
        self.card.with(|card| card.milliseconds * 10_000)
    }

    fn log(&self, line: &[Part]) {
        let line = Line::<200>::of(line);
        self.card.with(|card| card.log.push(String::from_utf8_lossy(line.as_bytes()).into_owned()));
    }
}
