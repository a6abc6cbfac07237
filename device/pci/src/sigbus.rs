#![allow(unsafe_code, reason = "a signal handler, and the mapping that it replaces")]
//! Mapped guest memory whose file becomes shorter: what would be the end of the process becomes zeroed memory.
//!
//! A client shares guest memory as files. A process that has such a file can cut it short at any time unless it is sealed
//! (`F_SEAL_SHRINK`), and the next access of a mapping beyond its end raises `SIGBUS` (mmap(2)). The handler maps zeroed
//! memory over the region in which the access was, so that the access succeeds, and marks the region as lost; its owner
//! takes it out of use as soon as it looks. A `SIGBUS` anywhere else ends the process as it would have without the handler.
//!
//! [`Handle::read_memory`](crate::Handle::read_memory) and its like need none of this: they map nothing. It is for cards that
//! map memory themselves, over whichever transport.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use vm_memory::MmapRegion;
use vmm_sys_util::signal::register_signal_handler;

/// The most regions that can be watched at a time in a process: eight times what vhost in the Linux kernel takes for one
/// machine.
pub const WATCHES_MAX: usize = 8 * 509;

/// A region, as the handler sees it.
struct Slot {
    taken: AtomicBool,
    /// Address of its first byte in this process; 0 while the slot is not in use.
    start: AtomicUsize,
    length: AtomicUsize,
    lost: AtomicBool,
}

static REGIONS: [Slot; WATCHES_MAX] = [const {
    Slot {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        lost: AtomicBool::new(false),
    }
}; WATCHES_MAX];

/// Regions lost since the process started.
static LOSSES: AtomicUsize = AtomicUsize::new(0);

/// A mapped region that is watched, and stays mapped, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    slot: usize,
    region: Arc<MmapRegion>,
}

impl Watch {
    /// Watches a region. `None` when [`WATCHES_MAX`] are watched already.
    #[must_use]
    pub fn new(region: Arc<MmapRegion>) -> Option<Self> {
        install();
        let free = |slot: &Slot| slot.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let index = REGIONS.iter().position(free)?;
        let slot = &REGIONS[index];
        slot.lost.store(false, Ordering::Relaxed);
        slot.length.store(region.size(), Ordering::Relaxed);
        slot.start.store(region.as_ptr().addr(), Ordering::Release);
        Some(Self { slot: index, region })
    }

    /// Returns the region.
    #[must_use]
    pub const fn region(&self) -> &Arc<MmapRegion> {
        &self.region
    }

    /// Returns whether the region has been replaced by zeroed memory.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        REGIONS[self.slot].lost.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let slot = &REGIONS[self.slot];
        slot.start.store(0, Ordering::Release);
        slot.taken.store(false, Ordering::Release);
    }
}

/// Returns how many regions have been lost since the process started: when it changes, it is time to look.
#[must_use]
pub fn losses() -> usize {
    LOSSES.load(Ordering::Acquire)
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = register_signal_handler(libc::SIGBUS, on_bus_error) {
            log::warn!("SIGBUS cannot be caught: {error}; guest memory that is cut short will end the process");
        }
    });
}

/// Runs in signal context: it calls nothing but mmap and signal, and takes no lock.
extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler that was registered with SA_SIGINFO, and for SIGBUS its
    // address is set.
    let fault = unsafe { (*info).si_addr() }.addr();
    for slot in &REGIONS {
        let start = slot.start.load(Ordering::Acquire);
        let length = slot.length.load(Ordering::Relaxed);
        if start == 0 || fault.wrapping_sub(start) >= length {
            continue;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let at = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the range is a whole mapping, which the watch keeps while its slot is in use. `MmapRegion` gives safe code
        // no references into it, only accesses as volatile memory that others change; fresh pages in its place are
        // one more such change.
        let mapped = unsafe { libc::mmap(at, length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if mapped != libc::MAP_FAILED {
            slot.lost.store(true, Ordering::Release);
            LOSSES.fetch_add(1, Ordering::AcqRel);
            return;
        }
    }
    // Not guest memory, or no memory left for it: the access is repeated, and ends the process.
    // SAFETY: signal is async-signal-safe, and SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
