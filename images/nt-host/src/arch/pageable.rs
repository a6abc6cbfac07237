//! Memory that may be paged out: paged pool, and sections of a driver's image whose names begin with `PAGE`.
//!
//! It is taken out whenever code at `DISPATCH_LEVEL` or above begins, and comes in page by page where it is touched
//! below. What touches it above faults, as it would on a Windows that is short of memory.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use super::paging::{self, Access, Caching};
use super::uninterrupted::Uninterrupted;
use super::{PAGE_SIZE, cpu, frames};
use crate::nt::irql::DISPATCH_LEVEL;

struct Page {
    access: Access,
    /// Where its contents are while it is out.
    out: Option<u64>,
    /// How many times over it is locked in memory.
    pins: u32,
    /// The range that it was added with, which is pinned and unpinned as one if it is a section.
    start: u64,
}

struct Pages {
    known: BTreeMap<u64, Page>,
    /// Those that are in and may be taken out.
    removable: Vec<u64>,
}

static PAGES: Uninterrupted<Pages> = Uninterrupted::new(Pages { known: BTreeMap::new(), removable: Vec::new() });
/// Whether any page can be taken out: looked at first, since most drivers have none.
static ANY_IN: AtomicBool = AtomicBool::new(false);
/// Whether there has been any page that can be taken out: looked at first, as above.
static ANY: AtomicBool = AtomicBool::new(false);

fn pages(range: &Range<u64>) -> impl Iterator<Item = u64> + use<> {
    let first = range.start / PAGE_SIZE * PAGE_SIZE;
    (first..range.end).step_by(PAGE_SIZE as usize)
}

/// Makes mapped pages pageable.
pub fn add(range: &Range<u64>, access: Access) {
    PAGES.with(|all| {
        for page in pages(range) {
            all.known.insert(page, Page { access, out: None, pins: 0, start: range.start });
            all.removable.push(page);
        }
        ANY_IN.store(true, Ordering::Relaxed);
        ANY.store(true, Ordering::Relaxed);
    });
}

/// Makes pages ordinary memory again, or nothing: those that are out are mapped no more, and their frames are given
/// back.
pub fn remove(range: &Range<u64>) {
    let frames: Vec<u64> = PAGES.with(|all| {
        all.removable.retain(|page| !range.contains(page));
        pages(range).filter_map(|page| all.known.remove(&page)?.out).collect()
    });
    frames.into_iter().for_each(|frame| frames::free(frame, PAGE_SIZE));
}

/// Takes all pageable pages out: code at `DISPATCH_LEVEL` or above begins, for which they need not be there. At any
/// IRQL.
#[inline]
pub fn page_out() {
    if ANY_IN.load(Ordering::Relaxed) {
        page_out_all();
    }
}

#[cold]
fn page_out_all() {
    PAGES.with(|all| {
        ANY_IN.store(false, Ordering::Relaxed);
        for page in core::mem::take(&mut all.removable) {
            if let Some(known) = all.known.get_mut(&page) {
                known.out = paging::unmap(page);
            }
        }
    });
}

/// Returns whether an address is in a page that is out.
#[must_use]
pub fn is_out(address: u64) -> bool {
    let page = address / PAGE_SIZE * PAGE_SIZE;
    PAGES.with(|all| all.known.get(&page).is_some_and(|page| page.out.is_some()))
}

/// Returns whether any byte of a range is in a page that can be taken out.
#[must_use]
pub fn overlaps(range: &Range<u64>) -> bool {
    ANY.load(Ordering::Relaxed)
        && PAGES.with(|all| pages(range).any(|page| all.known.get(&page).is_some_and(|page| page.pins == 0)))
}

impl Pages {
    fn page_in(&mut self, address: u64) -> bool {
        let Some(page) = self.known.get_mut(&address) else { return false };
        // No frame outside: another processor has paged it in.
        let Some(frame) = page.out else { return true };
        if paging::map(address, frame, page.access, Caching::Cached).is_err() {
            return false;
        }
        page.out = None;
        if page.pins == 0 {
            self.removable.push(address);
            ANY_IN.store(true, Ordering::Relaxed);
        }
        true
    }
}

/// Brings the page at an address in. Returns whether it is pageable, and in now.
pub fn page_in(address: u64) -> bool {
    PAGES.with(|all| all.page_in(address / PAGE_SIZE * PAGE_SIZE))
}

/// Brings the page at an address in, if that is possible at this IRQL.
pub fn page_in_if_possible(address: u64) -> bool {
    cpu::irql() < DISPATCH_LEVEL && page_in(address)
}

/// Locks what is pageable of a range in memory.
pub fn pin(range: &Range<u64>) {
    PAGES.with(|all| {
        for page in pages(range) {
            if let Some(known) = all.known.get_mut(&page) {
                known.pins += 1;
                all.removable.retain(|other| *other != page);
                all.page_in(page);
            }
        }
    });
}

/// Undoes one [`pin`].
pub fn unpin(range: &Range<u64>) {
    PAGES.with(|all| {
        for page in pages(range) {
            let Some(known) = all.known.get_mut(&page).filter(|known| known.pins > 0) else { continue };
            known.pins -= 1;
            if known.pins == 0 {
                all.removable.push(page);
                ANY_IN.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// Returns the range that was added with the page at an address.
#[must_use]
pub fn range_of(address: u64) -> Option<Range<u64>> {
    PAGES.with(|all| {
        let start = all.known.get(&(address / PAGE_SIZE * PAGE_SIZE))?.start;
        let last = all.known.range(start..).take_while(|(_, page)| page.start == start).last()?;
        Some(start..last.0 + PAGE_SIZE)
    })
}
