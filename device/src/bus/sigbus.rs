#![allow(unsafe_code, reason = "a signal handler, and the mapping that it replaces")]
//! Guest memory whose file becomes shorter: what would be the end of the process becomes zeroed memory and a diagnosis.
//!
//! A front-end shares guest memory as files. A process that has such a file can cut it short at any time unless it is
//! sealed (`F_SEAL_SHRINK`), and the next access beyond its end raises `SIGBUS` (mmap(2)). The handler maps zeroed memory
//! over the region in which the access was, so that the access succeeds, and marks the region as lost; the bus takes it
//! out of use as soon as it looks. A `SIGBUS` anywhere else ends the process as it would have without the handler.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use vmm_sys_util::signal::register_signal_handler;

/// Most regions of one bus: what vhost in the Linux kernel takes, so that no machine QEMU can build is refused.
pub const REGIONS_MAX: usize = 509;

/// Regions that can be watched at a time, over all buses of the process: eight times what one bus takes.
const SLOTS: usize = 8 * REGIONS_MAX;

/// A region, as the handler sees it.
struct Slot {
    taken: AtomicBool,
    /// Address of its first byte in this process; 0 while the slot is not in use.
    start: AtomicUsize,
    length: AtomicUsize,
    lost: AtomicBool,
}

static REGIONS: [Slot; SLOTS] = [const {
    Slot {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        lost: AtomicBool::new(false),
    }
}; SLOTS];

/// Regions lost since the process started.
static LOSSES: AtomicUsize = AtomicUsize::new(0);

/// A region that is watched until this is dropped. Drop it before the region is unmapped.
#[derive(Debug)]
pub(super) struct Watch(usize);

impl Watch {
    /// Watches `length` bytes at `start`, which are a mapping of their own. `None` when all slots are taken.
    pub(super) fn new(start: *const u8, length: usize) -> Option<Self> {
        install();
        let free = |slot: &Slot| slot.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let index = REGIONS.iter().position(free)?;
        let slot = &REGIONS[index];
        slot.lost.store(false, Ordering::Relaxed);
        slot.length.store(length, Ordering::Relaxed);
        slot.start.store(start.addr(), Ordering::Release);
        Some(Self(index))
    }

    /// Returns whether the region has been replaced by zeroed memory.
    pub(super) fn is_lost(&self) -> bool {
        REGIONS[self.0].lost.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let slot = &REGIONS[self.0];
        slot.start.store(0, Ordering::Release);
        slot.taken.store(false, Ordering::Release);
    }
}

/// Returns how many regions have been lost since the process started: when it changes, it is time to look.
pub(super) fn losses() -> usize {
    LOSSES.load(Ordering::Acquire)
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = register_signal_handler(libc::SIGBUS, on_bus_error) {
            log::warn!("SIGBUS cannot be caught: {error}; guest memory that is cut short will end the card");
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
        // SAFETY: the range is a mapping of guest memory that is in use while its slot is, and is only ever accessed as
        // volatile memory that others change; fresh pages in its place are one more such change.
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
