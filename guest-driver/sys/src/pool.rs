//! Memory: non-paged, not executable where the system has such memory, and allocated at `PASSIVE_LEVEL` only, where a failure can be reported.
#![allow(unsafe_code, reason = "the global allocator is an unsafe interface")]

use alloc::boxed::Box;
use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

use dmus_miniport::irql::Passive;

use crate::nt;

/// The pool tag, `DMus` in a dump.
const TAG: u32 = u32::from_le_bytes(*b"DMus");

/// Alignment of pool memory: twice a pointer.
const POOL_ALIGNMENT: usize = 2 * size_of::<usize>();

/// The type of pool, which the system's version decides.
static TYPE: AtomicU32 = AtomicU32::new(nt::NON_PAGED_POOL);

/// Chooses the type of pool, before anything is allocated: asking an older system for memory that is not executable is undefined.
pub(crate) fn choose(_: Passive) {
    if nt::version() >= nt::NX_POOL_SINCE {
        TYPE.store(nt::NON_PAGED_POOL_NX, Ordering::Relaxed);
    }
}

struct Pool;

#[global_allocator]
static POOL: Pool = Pool;

// SAFETY: the pool gives distinct memory, aligned to two pointers; a layout that wants more gets none.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > POOL_ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: allowed at this level; the size is not 0, as the caller promises.
        unsafe { nt::ExAllocatePoolWithTag(TYPE.load(Ordering::Relaxed), layout.size(), TAG) }.cast()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: the caller gives back what `alloc` gave.
        unsafe { nt::ExFreePoolWithTag(pointer.cast(), TAG) };
    }
}

/// Allocates a value. `None`: no memory.
pub(crate) fn try_box<T>(level: Passive, value: T) -> Option<Box<T>> {
    Some(Box::write(try_place(level)?, value))
}

/// Allocates room for a value that is then made in place: a kernel stack has no room for copies of large values.
/// `None`: no memory.
pub(crate) fn try_place<T>(_: Passive) -> Option<Box<MaybeUninit<T>>> {
    const { assert!(size_of::<T>() != 0) };
    // SAFETY: the size is not 0.
    let pointer = unsafe { alloc::alloc::alloc(Layout::new::<T>()) }.cast::<MaybeUninit<T>>();
    // SAFETY: allocated with the global allocator and the type's layout.
    (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
}
