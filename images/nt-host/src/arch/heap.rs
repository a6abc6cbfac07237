//! The host's own heap: what the host allocates never counts as the driver's pool.
#![allow(unsafe_code, reason = "the global allocator and its lock")]

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use talc::TalcLock;
use talc::source::Manual;

use super::boot::DIRECT_MAP;
use super::cpu;

/// Smallest and largest heap; it takes an eighth of the machine's memory. Requests, answers and events of the harness
/// protocol live here: a frame is at most 1 MiB, a driver file at most tens of MiB.
const HEAP_BYTES: Range<u64> = 8 << 20..64 << 20;

/// The host's exclusion. Usable at any IRQL.
struct InterruptLock {
    were_enabled: AtomicBool,
}

// SAFETY: the exclusion is one processor's at a time, and nothing interrupts it.
unsafe impl lock_api::RawMutex for InterruptLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait's way to initialise")]
    const INIT: Self = Self { were_enabled: AtomicBool::new(false) };
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        let enabled = cpu::enter_exclusive();
        self.were_enabled.store(enabled, Ordering::Relaxed);
    }

    fn try_lock(&self) -> bool {
        self.lock();
        true
    }

    unsafe fn unlock(&self) {
        cpu::leave_exclusive(self.were_enabled.load(Ordering::Relaxed));
    }
}

#[global_allocator]
static HEAP: TalcLock<InterruptLock, Manual> = TalcLock::new(Manual);

/// Returns how large a heap fits a machine.
#[must_use]
pub fn size(memory: u64) -> u64 {
    (memory / 8).clamp(HEAP_BYTES.start, HEAP_BYTES.end)
}

/// Returns the heap its memory.
pub fn init(physical: Range<u64>) {
    let base = (DIRECT_MAP + physical.start) as *mut u8;
    // SAFETY: memory that nothing else uses, mapped for good.
    let claimed = unsafe { HEAP.lock().claim(base, (physical.end - physical.start) as usize) };
    assert!(claimed.is_some(), "the heap's memory is too small");
}
