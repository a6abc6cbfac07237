//! The work item that recovers a card, on a system thread: the deferred procedure call that requests it cannot wait.
#![allow(unsafe_code, reason = "a work item is the system's, and calls back")]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use dmus_miniport::irql::{AtMostDispatch, Passive};
use dmus_miniport::kernel::Kernel;
use portcls::Opaque;

use crate::nt::{self, IoWorkItem};
use crate::running::Running;

/// A work item that recovers a card.
pub(crate) struct RecoveryWorkItem {
    item: NonNull<IoWorkItem>,
    /// It is queued or running.
    is_queued: AtomicBool,
}

// SAFETY: a work item may be queued from any processor.
unsafe impl Send for RecoveryWorkItem {}
// SAFETY: as above; by the flag it is queued once at a time.
unsafe impl Sync for RecoveryWorkItem {}

impl RecoveryWorkItem {
    /// Allocates the item for a device. `None`: no memory.
    ///
    /// # Safety
    /// `device` is a device object of the driver's, which is alive.
    pub(crate) unsafe fn new(_: Passive, device: *mut Opaque) -> Option<Self> {
        // SAFETY: the caller's promise.
        let item = NonNull::new(unsafe { nt::IoAllocateWorkItem(device) })?;
        Some(Self { item, is_queued: AtomicBool::new(false) })
    }

    /// Queues the item, unless it is queued or running.
    ///
    /// # Safety
    /// This is a part of `running`, and [`wait`](Self::wait) is called before it is dropped.
    pub(crate) unsafe fn request(&self, _: AtMostDispatch, running: &Running) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let context = ptr::from_ref(running).cast_mut().cast();
            // SAFETY: the item is free; the context lives until the item is done, as the caller promises.
            unsafe { nt::IoQueueWorkItem(self.item.as_ptr(), recover, nt::DELAYED_WORK_QUEUE, context) };
        }
    }

    /// Waits until the item is neither queued nor running.
    pub(crate) fn wait(&self, level: Passive, kernel: &impl Kernel) {
        while self.is_queued.load(Ordering::Acquire) {
            kernel.pause(level, 1);
        }
    }
}

impl Drop for RecoveryWorkItem {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, and not queued.
        unsafe { nt::IoFreeWorkItem(self.item.as_ptr()) };
    }
}

/// Recovers the card: the work item's routine. The system keeps the device object, and with it this code, until it has
/// returned.
unsafe extern "system" fn recover(_: *mut Opaque, context: *mut c_void) {
    // SAFETY: the context given with the item.
    let running = unsafe { &*context.cast::<Running>() };
    // SAFETY: documented for PASSIVE_LEVEL.
    running.card.recover_or_log(unsafe { Passive::assume() });
    // The card may be dropped from here on.
    running.recovery.is_queued.store(false, Ordering::Release);
}
