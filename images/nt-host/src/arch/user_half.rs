//! The lower half of the address space, which belongs to processes: its bounds, and whether the running code sees it.

use core::sync::atomic::{AtomicBool, Ordering};

use super::paging;

/// First address that is no user-mode address of a 64-bit process.
pub const USER_ADDRESS_END: u64 = 1 << 47;
/// `MmUserProbeAddress`: from here on nothing of a process is mapped.
pub const USER_PROBE_ADDRESS: u64 = 0x7fff_ffff_0000;

/// Whether the running code sees the user half.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows or hides the user half and returns whether it was shown. Interrupts are off, or none of the code that
/// interrupts depends on it.
pub(crate) fn show(shown: bool) -> bool {
    let was = SHOWN.swap(shown, Ordering::Relaxed);
    if was != shown {
        paging::show_user_half(shown);
    }
    was
}

/// Returns whether every byte of a range is in the user half and is mapped there, for writing if asked.
#[must_use]
pub fn accessible(address: u64, bytes: u64, write: bool) -> bool {
    SHOWN.load(Ordering::Relaxed) && in_user_half(address, bytes) && paging::accessible(address, bytes, write)
}

/// Returns whether a range ends below [`USER_PROBE_ADDRESS`].
#[must_use]
pub fn in_user_half(address: u64, bytes: u64) -> bool {
    address.checked_add(bytes).is_some_and(|end| end <= USER_PROBE_ADDRESS)
}
