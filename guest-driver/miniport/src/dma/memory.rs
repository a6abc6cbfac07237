//! A window into a common buffer.
#![allow(unsafe_code, reason = "raw access to memory that is shared with a device")]

use core::sync::atomic::{AtomicU16, Ordering};

use crate::kernel::DmaBuffer;

/// A part of a [`DmaBuffer`].
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pointer: *mut u8,
    pub(super) address: u64,
    pub(super) len: usize,
}

// SAFETY: a window is an address and a length; accesses go through raw or atomic operations, under the lock that the
// window is kept behind.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Makes a window of a whole buffer.
    ///
    /// # Safety
    /// The buffer outlives the window and every copy of it.
    pub unsafe fn new(buffer: &impl DmaBuffer) -> Self {
        Self { pointer: buffer.pointer().as_ptr(), address: buffer.address(), len: buffer.len() }
    }

    /// Returns a part of this window.
    #[must_use]
    pub fn part(&self, offset: usize, len: usize) -> Self {
        if self.holds(offset, len) {
            // SAFETY: inside the allocation, as just checked.
            Self { pointer: unsafe { self.pointer.add(offset) }, address: self.address + offset as u64, len }
        } else {
            Self { len: 0, ..*self }
        }
    }

    /// Writes bytes.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        if self.holds(offset, bytes.len()) {
            // SAFETY: inside the window, as just checked; the source is the driver's own memory, so they do not
            // overlap.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer.add(offset), bytes.len()) };
        }
    }

    /// Reads bytes.
    pub fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        if self.holds(offset, bytes.len()) {
            // SAFETY: inside the window, as just checked; the target is the driver's own memory, so they do not
            // overlap.
            unsafe { core::ptr::copy_nonoverlapping(self.pointer.add(offset), bytes.as_mut_ptr(), bytes.len()) };
        } else {
            bytes.fill(0);
        }
    }

    /// Returns a pointer to its first byte, valid for writes of its whole length: for the kernel's own copy functions.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.pointer
    }

    /// Writes an index with release ordering: the device that reads it also reads all that was written before.
    pub fn store_release(&self, offset: usize, value: u16) {
        if let Some(index) = self.index(offset) {
            index.store(value, Ordering::Release);
        }
    }

    /// Reads an index with acquire ordering: all that the device wrote before it can be read.
    #[must_use]
    pub fn load_acquire(&self, offset: usize) -> u16 {
        self.index(offset).map_or(0, |index| index.load(Ordering::Acquire))
    }

    #[allow(clippy::cast_ptr_alignment, reason = "the alignment is checked before use")]
    fn index(&self, offset: usize) -> Option<&AtomicU16> {
        if !self.holds(offset, size_of::<u16>()) {
            return None;
        }
        // SAFETY: inside the window, as just checked.
        let at = unsafe { self.pointer.add(offset) }.cast::<u16>();
        debug_assert!(at.is_aligned(), "an index is aligned");
        // SAFETY: in range; ring memory begins with a page and indices are at even offsets; every access is atomic.
        at.is_aligned().then(|| unsafe { AtomicU16::from_ptr(at) })
    }
}
