//! Repair of a card in trouble, by a thread of the system's: the deferred procedure call that notices cannot wait.
#![allow(unsafe_code, reason = "a work item is the system's, and calls back")]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use dmus_miniport::irql::{AtMostDispatch, Passive};
use dmus_miniport::kernel::Kernel;
use portcls::Opaque;

use crate::miniport::Running;
use crate::nt::{self, IoWorkItem};

/// A work item that repairs a card.
pub(crate) struct Repair {
    item: NonNull<IoWorkItem>,
    /// It is queued, or at work.
    is_under_way: AtomicBool,
}

// SAFETY: a work item may be queued from any processor.
unsafe impl Send for Repair {}
// SAFETY: as above; the flag sees to it that it is queued once at a time.
unsafe impl Sync for Repair {}

impl Repair {
    /// An item for a device. `None`: no memory.
    ///
    /// # Safety
    /// `device` is a device object of the driver's, which is alive.
    pub(crate) unsafe fn new(_: Passive, device: *mut Opaque) -> Option<Self> {
        // SAFETY: the caller's promise.
        let item = NonNull::new(unsafe { nt::IoAllocateWorkItem(device) })?;
        Some(Self { item, is_under_way: AtomicBool::new(false) })
    }

    /// Has the card repaired, unless that is under way.
    ///
    /// # Safety
    /// `running` is what this is a part of, and [`wait`](Self::wait) is called before it goes.
    pub(crate) unsafe fn request(&self, _: AtMostDispatch, running: &Running) {
        if !self.is_under_way.swap(true, Ordering::AcqRel) {
            let context = ptr::from_ref(running).cast_mut().cast();
            // SAFETY: the item is free; the context lives until the item is done, as the caller promises.
            unsafe { nt::IoQueueWorkItem(self.item.as_ptr(), repair, nt::DELAYED_WORK_QUEUE, context) };
        }
    }

    /// Waits until no repair is under way.
    pub(crate) fn wait(&self, level: Passive, kernel: &impl Kernel) {
        while self.is_under_way.load(Ordering::Acquire) {
            kernel.pause(level, 1);
        }
    }
}

impl Drop for Repair {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, and not queued.
        unsafe { nt::IoFreeWorkItem(self.item.as_ptr()) };
    }
}

/// The work item's routine. The system keeps the device object, and with it this code, until it has returned.
unsafe extern "system" fn repair(_: *mut Opaque, context: *mut c_void) {
    // SAFETY: the context given with the item.
    let running = unsafe { &*context.cast::<Running>() };
    // SAFETY: documented for PASSIVE_LEVEL.
    running.card.repair(unsafe { Passive::assume() });
    // The last that is seen of it here.
    running.repair.is_under_way.store(false, Ordering::Release);
}
