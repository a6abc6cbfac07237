//! Access to memory that the device reads and writes at the same time.
//!
//! Such memory is never borrowed as a slice: bytes are copied in and out, so that what has been checked cannot change.
//! Offsets are the driver's own. One outside the window is a bug of the driver's: a test stops at it, and a driver that
//! runs touches nothing and reads zeros.

#[cfg(not(loom))]
mod memory;
#[cfg(loom)]
#[path = "dma/model.rs"]
mod memory;

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[cfg(loom)]
pub use memory::Memory;
pub use memory::Window;

impl Window {
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

    /// A range of bytes lies in the window.
    fn holds(&self, offset: usize, len: usize) -> bool {
        let inside = offset <= self.len && len <= self.len - offset;
        debug_assert!(inside, "{len} bytes at {offset} of a window of {}", self.len);
        inside
    }
}
