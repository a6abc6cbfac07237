//! The system's allocator, with a count of one thread's allocations.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts, and passes everything on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocations of a thread since [`reset`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Bytes that are held now; less than zero when more was given back than taken.
    pub(crate) held: isize,
    /// The most bytes that were held at once.
    pub(crate) peak: isize,
    /// The number of allocations: a measure of work that no clock disturbs.
    pub(crate) calls: usize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { held: 0, peak: 0, calls: 0 }) };
}

/// Begins anew for this thread.
pub(crate) fn reset() {
    COUNT.with(|count| count.set(Count::default()));
}

/// Returns what this thread has allocated since then.
pub(crate) fn count() -> Count {
    COUNT.with(Cell::get)
}

fn note(change: isize, calls: usize) {
    // While a thread ends, its count is gone.
    _ = COUNT.try_with(|cell| {
        let Count { held, peak, calls: before } = cell.get();
        let held = held + change;
        cell.set(Count { held, peak: peak.max(held), calls: before + calls });
    });
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator with the caller's own arguments; counting touches no memory
// but a cell of this thread, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize, 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize, 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize), 0);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize, 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
