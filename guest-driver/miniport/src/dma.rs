//! Access to memory that the device reads and writes at the same time.
//!
//! Such memory is never borrowed as a slice: bytes are copied in and out, so that a value cannot change after its
//! check. Offsets are the driver's own. One outside the window is a driver bug: it fails a debug assertion in tests,
//! and in a release build nothing is written and zeros are read.

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
    /// Returns its address on the device's bus.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Returns its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes a value.
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.write_bytes(offset, value.as_bytes());
    }

    /// Reads a value.
    #[must_use]
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.read_bytes(offset, value.as_mut_bytes());
        value
    }

    /// Returns whether a range of bytes is inside the window.
    fn holds(&self, offset: usize, len: usize) -> bool {
        let inside = offset <= self.len && len <= self.len - offset;
        debug_assert!(inside, "{len} bytes at {offset} of a window of {}", self.len);
        inside
    }
}
