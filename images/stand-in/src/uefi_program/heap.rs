//! The heap: memory of the image, because the firmware's allocator ends with boot services.
#![allow(unsafe_code, reason = "the global allocator and its lock")]

use core::sync::atomic::{AtomicBool, Ordering};

use talc::TalcLock;
use talc::source::Claim;

/// Bytes: the largest file that is read is the answer file or the script, and a frame of the protocol has at most 1 MiB.
const BYTES: usize = 8 << 20;

/// The exclusion of one processor without interrupts of its own.
struct OneProcessor(AtomicBool);

// SAFETY: only the boot processor runs this program, and its code runs in no interrupt and no callback of the firmware.
unsafe impl lock_api::RawMutex for OneProcessor {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait's way to initialise")]
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        while !self.try_lock() {
            core::hint::spin_loop();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

#[global_allocator]
// SAFETY: the memory belongs to the allocator alone.
static HEAP: TalcLock<OneProcessor, Claim> = TalcLock::new(unsafe {
    static mut MEMORY: [u8; BYTES] = [0; BYTES];
    Claim::array(&raw mut MEMORY)
});
