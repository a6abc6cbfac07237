//! Memory: physical frames, page tables, the host's own heap, windows of virtual addresses.

pub mod api;
pub mod exposed;
pub mod frames;
pub mod heap;
pub mod pageable;
pub mod paging;
pub mod quarantine;
pub mod registers;
pub mod user;
pub mod window;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// Bytes in as many whole pages as hold `bytes`.
#[must_use]
pub const fn pages_spanning(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_SIZE) * PAGE_SIZE
}
