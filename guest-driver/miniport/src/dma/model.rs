//! A window of the model checker's atomics, two bytes each: the checker tries each order of accesses of driver and
//! device.
#![allow(unsafe_code, reason = "the model's memory is shared as the real one is")]

use std::boxed::Box;
use std::vec::Vec;

use loom::sync::atomic::{AtomicU16, Ordering};

use crate::kernel::DmaBuffer;

/// A model's memory, made for each execution and kept until its end.
pub struct Memory(Box<[AtomicU16]>);

impl Memory {
    /// Makes zeroed memory.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self((0..bytes / 2).map(|_| AtomicU16::new(0)).collect::<Vec<_>>().into())
    }

    /// Returns a window of the whole. The memory outlives the window and every copy of it.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { words: self.0.as_ptr(), address: 0, len: 2 * self.0.len() }
    }
}

/// A part of a [`Memory`]. Offsets and lengths are even.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    words: *const AtomicU16,
    pub(super) address: u64,
    pub(super) len: usize,
}

// SAFETY: the words are atomics.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Panics: models make their own memory ([`Memory`]), for a buffer holds no atomics of the checker.
    ///
    /// # Safety
    /// It is never unsafe to call, because it panics.
    pub unsafe fn new(_: &impl DmaBuffer) -> Self {
        unimplemented!("a model's memory is made by `Memory`")
    }

    /// Returns null: no model has a kernel that copies.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        core::ptr::null_mut()
    }

    /// Returns a part of this window.
    #[must_use]
    pub fn part(&self, offset: usize, len: usize) -> Self {
        assert!(self.holds(offset, len) && offset.is_multiple_of(2));
        // SAFETY: inside the memory.
        Self { words: unsafe { self.words.add(offset / 2) }, address: self.address + offset as u64, len }
    }

    /// Writes bytes.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        for (index, pair) in bytes.chunks(2).enumerate() {
            self.word(offset + 2 * index).store(u16::from_le_bytes([pair[0], pair[1]]), Ordering::Relaxed);
        }
    }

    /// Reads bytes.
    pub fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        for (index, pair) in bytes.chunks_mut(2).enumerate() {
            pair.copy_from_slice(&self.word(offset + 2 * index).load(Ordering::Relaxed).to_le_bytes());
        }
    }

    /// Writes an index with release ordering: the device that reads it also reads all that was written before.
    pub fn store_release(&self, offset: usize, value: u16) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Reads an index with acquire ordering: all that the device wrote before it can be read.
    #[must_use]
    pub fn load_acquire(&self, offset: usize) -> u16 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn word(&self, offset: usize) -> &AtomicU16 {
        assert!(self.holds(offset, 2) && offset.is_multiple_of(2));
        // SAFETY: inside the memory, which outlives the window.
        unsafe { &*self.words.add(offset / 2) }
    }
}
