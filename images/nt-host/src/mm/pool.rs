//! Pool: every allocation on pages of its own, its end at the end of a page and an unmapped page behind it, as Driver
//! Verifier's special pool does. Running past the end, or using what was freed, faults at the instruction that does it.
//!
//! Frames are taken one by one, so that an allocation of several pages is seldom contiguous: a driver that takes the
//! physical address of its pool's first byte for that of all is found out.
#![allow(unsafe_code, reason = "hands out raw memory")]

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::Layout;

use guest_protocol::MarkKind;

use super::{exposed, mdl};
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, cpu, frames, marks, pageable, pages_spanning, window};
use crate::contract::{verifier, watch};
use crate::ke::timer;
use crate::nt::irql::APC_LEVEL;

/// What fresh memory holds, so that a driver that forgets to initialise is found out.
const FRESH: u8 = 0xcd;
/// What surrounds an allocation in its pages.
const SLACK: u8 = 0xfb;
/// x64 aligns pool to 16 bytes.
const ALIGNMENT: u64 = 16;
/// Freed allocations remembered for messages.
const REMEMBERED: usize = 1024;

const BAD_POOL_CALLER: u32 = 0xc2;
const SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: u32 = 0xc1;

/// The owner of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The driver's: it must be freed before the driver is unloaded.
    Driver,
    /// The system's: objects that the system makes and that are seen by drivers.
    System,
}

#[derive(Clone, Copy, Debug)]
struct Allocation {
    size: u64,
    tag: u32,
    paged: bool,
    owner: Owner,
    pages: u64,
    page_bytes: u64,
}

#[derive(Debug)]
struct Pool {
    live: BTreeMap<u64, Allocation>,
    freed: VecDeque<(u64, Allocation)>,
    count: u64,
    bytes: u64,
    peak: u64,
}

static POOL: Uninterrupted<Pool> =
    Uninterrupted::new(Pool { live: BTreeMap::new(), freed: VecDeque::new(), count: 0, bytes: 0, peak: 0 });

/// Shows a tag as its four characters.
fn tag_text(tag: u32) -> String {
    tag.to_le_bytes().iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect()
}

/// Returns the driver's outstanding allocations: how many, how many bytes, and the most bytes at any time.
#[must_use]
pub fn totals() -> (u64, u64, u64) {
    POOL.with(|pool| (pool.count, pool.bytes, pool.peak))
}

/// Returns the driver's outstanding allocations by tag: tag, count, bytes.
#[must_use]
pub fn outstanding() -> Vec<(String, u64, u64)> {
    POOL.with(|pool| {
        let mut by_tag = BTreeMap::new();
        for allocation in pool.live.values().filter(|allocation| allocation.owner == Owner::Driver) {
            let entry = by_tag.entry(allocation.tag).or_insert((0, 0));
            entry.0 += 1;
            entry.1 += allocation.size;
        }
        by_tag.into_iter().map(|(tag, (count, bytes))| (tag_text(tag), count, bytes)).collect()
    })
}

/// Returns each of the driver's outstanding allocations: tag, address, bytes.
#[must_use]
pub fn of_driver() -> Vec<(String, u64, u64)> {
    POOL.with(|pool| {
        let of_driver = pool.live.iter().filter(|(_, allocation)| allocation.owner == Owner::Driver);
        of_driver.map(|(&address, allocation)| (tag_text(allocation.tag), address, allocation.size)).collect()
    })
}

/// Allocates. Returns `None` if there is no memory.
pub fn allocate(size: u64, tag: u32, paged: bool, owner: Owner) -> Option<u64> {
    if !watch::is_on() {
        return allocate_plain(size, tag, owner);
    }
    let pages = pages_spanning(size.max(1));
    let page_bytes = window::POOL.reserve(pages)?;
    let mut mapped = 0;
    while mapped < pages {
        let Some(frame) = frames::allocate() else { break };
        if paging::map(page_bytes + mapped, frame, Access::ReadWrite, Caching::Cached).is_err() {
            frames::free(frame, PAGE_SIZE);
            break;
        }
        mapped += PAGE_SIZE;
    }
    if mapped < pages {
        unmap(page_bytes, mapped);
        window::POOL.release(page_bytes, pages);
        return None;
    }
    // What is a page or more begins on a page, as Windows promises; what is less ends on one.
    let offset = if size >= PAGE_SIZE { 0 } else { pages - size.max(1).next_multiple_of(ALIGNMENT) };
    let address = page_bytes + offset;
    // SAFETY: pages that were just mapped.
    unsafe {
        (page_bytes as *mut u8).write_bytes(SLACK, pages as usize);
        (address as *mut u8).write_bytes(FRESH, size as usize);
    }
    if paged {
        pageable::add(&(page_bytes..page_bytes + pages), Access::ReadWrite);
    }
    enter(address, Allocation { size, tag, paged, owner, pages, page_bytes });
    Some(address)
}

/// Returns whether a frame of physical memory is pool of the driver's.
pub(super) fn has_frame(frame: u64) -> bool {
    let of_driver = |allocation: &&Allocation| allocation.owner == Owner::Driver;
    let pages = |allocation: &Allocation| {
        (allocation.page_bytes..allocation.page_bytes + allocation.pages).step_by(PAGE_SIZE as usize)
    };
    POOL.with(|pool| {
        pool.live.values().filter(of_driver).flat_map(pages).any(|page| paging::physical(page) == Some(frame))
    })
}

/// Returns where plain pool is: in the heap, and what is a page or more on a page.
fn plain_layout(size: u64) -> Option<Layout> {
    let alignment = if size >= PAGE_SIZE { PAGE_SIZE } else { ALIGNMENT };
    Layout::from_size_align(size.max(1) as usize, alignment as usize).ok()
}

/// Allocates from the heap, for a driver that is not watched.
fn allocate_plain(size: u64, tag: u32, owner: Owner) -> Option<u64> {
    // SAFETY: the layout's size is at least 1.
    let address = unsafe { alloc::alloc::alloc(plain_layout(size)?) } as u64;
    if address == 0 {
        return None;
    }
    enter(address, Allocation { size, tag, paged: false, owner, pages: 0, page_bytes: 0 });
    Some(address)
}

fn free_plain(function: &'static str, address: u64) {
    let Some(allocation) = POOL.with(|pool| pool.live.get(&address).copied()) else { not_allocated(function, address) };
    POOL.with(|pool| pool.leave(address, &allocation));
    if let Some(layout) = plain_layout(allocation.size) {
        // SAFETY: the books say that it was allocated with this layout, and they do not say so any more.
        unsafe { alloc::alloc::dealloc(address as *mut u8, layout) };
    }
}

/// Enters an allocation in the books.
fn enter(address: u64, allocation: Allocation) {
    POOL.with(|pool| {
        pool.live.insert(address, allocation);
        if allocation.owner == Owner::Driver {
            pool.count += 1;
            pool.bytes += allocation.size;
            if pool.bytes > pool.peak {
                pool.peak = pool.bytes;
                marks::mark(MarkKind::PoolPeak, 0, pool.peak);
            }
        }
    });
}

impl Pool {
    /// Strikes an allocation out of the books.
    fn leave(&mut self, address: u64, allocation: &Allocation) {
        self.live.remove(&address);
        if allocation.owner == Owner::Driver {
            self.count -= 1;
            self.bytes -= allocation.size;
        }
    }
}

fn unmap(address: u64, bytes: u64) {
    for page in (address..address + bytes).step_by(PAGE_SIZE as usize) {
        if let Some(frame) = paging::unmap(page) {
            exposed::free(frame);
        }
    }
}

/// Frees an allocation. Stops if there is none at the address, or its surroundings were written to.
pub fn free(function: &'static str, address: u64, tag: Option<u32>) {
    if !watch::is_on() {
        return free_plain(function, address);
    }
    let Some(allocation) = POOL.with(|pool| pool.live.get(&address).copied()) else { not_allocated(function, address) };
    if let Some(tag) = tag.filter(|&tag| tag != 0 && tag != allocation.tag) {
        verifier::stop(
            BAD_POOL_CALLER,
            function,
            [0x0a, address, u64::from(allocation.tag), u64::from(tag)],
            format_args!(
                "{address:#x} was allocated with tag '{}' and is freed with tag '{}'",
                tag_text(allocation.tag),
                tag_text(tag)
            ),
        );
    }
    if allocation.paged && cpu::irql() > APC_LEVEL {
        verifier::broken(
            verifier::RULE_IRQL,
            BAD_POOL_CALLER,
            function,
            [9, u64::from(cpu::irql()), 1, address],
            format_args!("paged pool {address:#x} is freed at IRQL {}; at most APC_LEVEL", cpu::irql()),
        );
    }
    mdl::check_not_locked(function, address, allocation.size);
    check_slack(function, address, &allocation);
    timer::check_freed(function, address..address + allocation.size.max(1));
    POOL.with(|pool| {
        pool.leave(address, &allocation);
        if pool.freed.len() == REMEMBERED {
            pool.freed.pop_front();
        }
        pool.freed.push_back((address, allocation));
    });
    if allocation.paged {
        pageable::remove(&(allocation.page_bytes..allocation.page_bytes + allocation.pages));
    }
    unmap(allocation.page_bytes, allocation.pages);
    window::POOL.release(allocation.page_bytes, allocation.pages);
}

fn not_allocated(function: &'static str, address: u64) -> ! {
    let freed = POOL.with(|pool| pool.freed.iter().rev().find(|(at, _)| *at == address).map(|(_, a)| *a));
    match freed {
        Some(allocation) => verifier::stop(
            BAD_POOL_CALLER,
            function,
            [7, address, u64::from(allocation.tag), allocation.size],
            format_args!(
                "{address:#x} ({} bytes, tag '{}') is freed twice; free an allocation once",
                allocation.size,
                tag_text(allocation.tag)
            ),
        ),
        None => verifier::stop(
            BAD_POOL_CALLER,
            function,
            [0x46, address, 0, 0],
            format_args!("{address:#x} is no pool allocation; free the address that the allocation gave"),
        ),
    }
}

fn check_slack(function: &'static str, address: u64, allocation: &Allocation) {
    let end = address + allocation.size;
    let pages_end = allocation.page_bytes + allocation.pages;
    for range in [allocation.page_bytes..address, end..pages_end] {
        // SAFETY: the allocation's own pages.
        let bytes =
            unsafe { core::slice::from_raw_parts(range.start as *const u8, (range.end - range.start) as usize) };
        if let Some(at) = bytes.iter().position(|&byte| byte != SLACK) {
            let at = range.start + at as u64;
            let place = if at < address {
                format!("{} bytes before its start", address - at)
            } else {
                format!("{} bytes behind its end", at - end + 1)
            };
            verifier::stop(
                SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION,
                function,
                [address, at, allocation.size, 0x24],
                format_args!(
                    "the allocation {address:#x} ({} bytes, tag '{}') was overrun: something wrote {place}",
                    allocation.size,
                    tag_text(allocation.tag)
                ),
            );
        }
    }
}

/// Returns what pool an address is in, was in, or is just beyond: for messages.
#[must_use]
pub fn describe(address: u64) -> Option<String> {
    if !window::POOL.contains(address) {
        return None;
    }
    POOL.with(|pool| {
        let covers = |a: &Allocation| (a.page_bytes..a.page_bytes + a.pages + PAGE_SIZE).contains(&address);
        let text = |what: &str, at: u64, a: &Allocation| {
            format!(
                "{what} {}pool of {} bytes at {at:#x}, tag '{}', offset {}",
                if a.paged { "paged " } else { "" },
                a.size,
                tag_text(a.tag),
                address.wrapping_sub(at) as i64
            )
        };
        if let Some((&at, a)) = pool.live.range(..=address).next_back().filter(|(_, a)| covers(a)) {
            return Some(if address >= at + a.size { text("behind the end of", at, a) } else { text("in", at, a) });
        }
        let (at, a) = pool.freed.iter().rev().find(|(_, a)| covers(a))?;
        Some(text("in freed", *at, a))
    })
    .or_else(|| Some("pool that is not allocated".into()))
}

/// Returns whether a range is wholly in one live allocation.
#[must_use]
pub fn contains(address: u64, bytes: u64) -> bool {
    POOL.with(|pool| pool.live.range(..=address).next_back().is_some_and(|(&at, a)| address + bytes <= at + a.size))
}

/// Returns the live allocation that begins at an address: its size.
#[must_use]
pub fn size_of(address: u64) -> Option<u64> {
    POOL.with(|pool| pool.live.get(&address).map(|allocation| allocation.size))
}
