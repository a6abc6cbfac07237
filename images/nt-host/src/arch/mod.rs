//! The machine: entry, processor state, traps, interrupt controllers, clocks, serial line, firmware configuration,
//! physical memory and page tables.

pub mod apic;
pub mod boot;
pub mod boot_files;
pub mod clock;
pub mod context;
pub mod cpu;
pub mod frames;
pub mod fw_cfg;
pub mod heap;
pub mod hpet;
pub mod marks;
pub mod pageable;
pub mod paging;
mod reliable;
mod rings;
pub mod serial;
pub mod smp;
pub mod stop;
pub mod trap;
pub mod uninterrupted;
pub mod user_half;
pub mod window;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// Returns the bytes of as many whole pages as hold `bytes`.
#[must_use]
pub const fn pages_spanning(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_SIZE) * PAGE_SIZE
}
