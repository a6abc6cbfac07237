//! Windows of kernel virtual addresses: where pool, device registers, driver images and stacks are mapped.
//!
//! Addresses are given out going round a window, each range followed by a page that is never mapped: running past the
//! end of a buffer faults, and so does using one that was freed, for as long as the window has not been gone round.

use core::ops::Range;

use super::uninterrupted::Uninterrupted;
use super::{PAGE_SIZE, pages_spanning};
use crate::base::ranges::Ranges;

/// A window.
#[derive(Debug)]
pub struct Window {
    range: Range<u64>,
    free: Uninterrupted<Option<Ranges>>,
}

/// Pool and contiguous memory. Its size bounds the page tables that it leaves behind (8 MiB).
pub static POOL: Window = Window::new(0xffff_a000_0000_0000..0xffff_a001_0000_0000);
/// Device registers.
pub static DEVICE: Window = Window::new(0xffff_c000_0000_0000..0xffff_c000_8000_0000);
/// Driver images, where Windows has them.
pub static IMAGE: Window = Window::new(0xffff_f800_1000_0000..0xffff_f800_5000_0000);
/// Stacks of system threads.
pub static STACK: Window = Window::new(0xffff_e000_0000_0000..0xffff_e000_4000_0000);

/// Memory of a simulated 64-bit process, where Windows has its heaps.
pub static USER_WIDE: Window = Window::new(0x0000_01d0_0000_0000..0x0000_01d0_4000_0000);
/// Memory of a simulated 32-bit process: partly above 2 GiB, as processes that are large-address aware have it.
pub static USER_NARROW: Window = Window::new(0x7ff0_0000..0xc000_0000);

/// The windows of the upper half.
pub(super) static KERNEL: [&Window; 4] = [&POOL, &DEVICE, &IMAGE, &STACK];

impl Window {
    const fn new(range: Range<u64>) -> Self {
        Self { range, free: Uninterrupted::new(None) }
    }

    /// Returns the first address.
    pub(super) fn start(&self) -> u64 {
        self.range.start
    }

    /// Returns whether an address is in the window.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        self.range.contains(&address)
    }

    /// Reserves addresses for `bytes`, between unmapped pages.
    #[must_use]
    pub fn reserve(&self, bytes: u64) -> Option<u64> {
        let length = pages_spanning(bytes) + PAGE_SIZE;
        self.free.with(|free| {
            let range = self.range.start + PAGE_SIZE..self.range.end;
            free.get_or_insert_with(|| {
                let mut ranges = Ranges::new();
                ranges.insert(range);
                ranges
            })
            .allocate_next(length, PAGE_SIZE)
        })
    }

    /// Gives addresses back.
    pub fn release(&self, address: u64, bytes: u64) {
        let length = pages_spanning(bytes) + PAGE_SIZE;
        self.free.with(|free| {
            if let Some(free) = free {
                free.insert(address..address + length);
            }
        });
    }
}
