//! Access to memory that the device reads and writes at the same time.
//!
//! Such memory is never borrowed as a slice: bytes are copied in and out, so that what has been checked cannot change.
#![allow(unsafe_code, reason = "raw access to memory that is shared with a device")]

use core::sync::atomic::{AtomicU16, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::kernel::DmaBuffer;

/// A part of a [`DmaBuffer`].
///
/// Offsets are the driver's own: one outside the window is a bug of the driver's and panics.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pointer: *mut u8,
    address: u64,
    len: usize,
}

// SAFETY: a window is only a place; accesses go through raw, volatile or atomic operations, and who may make them is
// decided by the lock that the window is kept behind.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// The whole of a buffer.
    ///
    /// # Safety
    /// The buffer outlives the window and every copy of it.
    pub unsafe fn new(buffer: &impl DmaBuffer) -> Self {
        Self { pointer: buffer.pointer().as_ptr(), address: buffer.address(), len: buffer.len() }
    }

    /// A part of this window.
    #[must_use]
    pub fn part(&self, offset: usize, len: usize) -> Self {
        Self { pointer: self.at(offset, len), address: self.address + offset as u64, len }
    }

    /// Its address as the device sees it.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// It has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies a value in.
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.write_bytes(offset, value.as_bytes());
    }

    /// Copies a value out.
    #[must_use]
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.read_bytes(offset, value.as_mut_bytes());
        value
    }

    /// Copies bytes in.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `at` has checked the range; the source is the driver's own memory, so they do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Copies bytes out.
    pub fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.at(offset, bytes.len());
        // SAFETY: `at` has checked the range; the target is the driver's own memory, so they do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Its first byte, for a copy that only the kernel can make. Valid for writes of its whole length.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.pointer
    }

    /// Makes everything written before visible to the device, then writes an index.
    pub fn store_release(&self, offset: usize, value: u16) {
        self.index(offset).store(value, Ordering::Release);
    }

    /// Reads an index, and everything that the device wrote before it.
    #[must_use]
    pub fn load_acquire(&self, offset: usize) -> u16 {
        self.index(offset).load(Ordering::Acquire)
    }

    fn index(&self, offset: usize) -> &AtomicU16 {
        let at = self.at(offset, 2).cast::<u16>();
        assert!(at.is_aligned(), "an index is aligned");
        // SAFETY: in range and aligned, and every access to an index is atomic.
        unsafe { AtomicU16::from_ptr(at) }
    }

    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= self.len && len <= self.len - offset, "inside the window");
        // SAFETY: inside the allocation, as just checked.
        unsafe { self.pointer.add(offset) }
    }
}
