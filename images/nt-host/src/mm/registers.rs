//! Device registers that cannot be reached: while the device has no power, and after it is gone.
#![allow(unsafe_code, reason = "page tables and frames")]

use alloc::vec::Vec;
use core::ops::Range;

use super::paging::{self, Access, Caching};
use super::{PAGE_SIZE, api, frames, pages_spanning};
use crate::arch::boot::DIRECT_MAP;
use crate::sync::Uninterrupted;
use crate::{checks, verifier};

/// What drivers find where they have mapped device registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// The registers.
    Live,
    /// Nothing: a touch is a page fault.
    Forbidden,
    /// All ones, as on a bus without the device; what is written there is lost on nobody.
    AllOnes,
}

struct Hidden {
    state: Registers,
    /// Pages that lead elsewhere: virtual and physical address of the registers.
    pages: Vec<(u64, u64)>,
    /// The page of all ones, once there was need of one.
    ones: Option<u64>,
}

static HIDDEN: Uninterrupted<Hidden> =
    Uninterrupted::new(Hidden { state: Registers::Live, pages: Vec::new(), ones: None });

/// Sets what drivers find where they have mapped device registers by now.
///
/// # Panics
/// If there is no memory for one page.
pub fn set(state: Registers) {
    let restored = HIDDEN.with(|hidden| {
        hidden.state = state;
        core::mem::take(&mut hidden.pages)
    });
    let mapped = pages();
    for (page, physical) in restored {
        // What the driver has unmapped meanwhile is not its own any more.
        if mapped.contains(&page) {
            paging::unmap(page);
            paging::map(page, physical, Access::ReadWrite, Caching::Uncached).expect("the tables are there");
        }
    }
    if state == Registers::Live {
        return;
    }
    let ones = (state == Registers::AllOnes).then(page_of_ones);
    let pages: Vec<(u64, u64)> = mapped.into_iter().filter_map(|page| Some((page, paging::unmap(page)?))).collect();
    for (page, _) in ones.iter().flat_map(|_| &pages) {
        paging::map(*page, ones.unwrap_or(0), Access::ReadWrite, Caching::Uncached).expect("the tables are there");
    }
    HIDDEN.with(|hidden| hidden.pages = pages);
}

/// What drivers find there now.
#[must_use]
pub fn state() -> Registers {
    HIDDEN.with(|hidden| hidden.state)
}

fn pages() -> Vec<u64> {
    let mappings = api::device_mappings();
    let pages_of = |(address, bytes): &(u64, u64)| {
        let first = address / PAGE_SIZE * PAGE_SIZE;
        (first..first + pages_spanning(address % PAGE_SIZE + bytes)).step_by(PAGE_SIZE as usize)
    };
    mappings.iter().flat_map(pages_of).collect()
}

/// A page that reads all ones, now.
fn page_of_ones() -> u64 {
    let page = HIDDEN.with(|hidden| *hidden.ones.get_or_insert_with(|| frames::allocate().expect("a free page")));
    // SAFETY: the frame is ours, seen through the direct map.
    unsafe { ((DIRECT_MAP + page) as *mut u8).write_bytes(0xFF, PAGE_SIZE as usize) };
    page
}

/// Where the device's registers were before it was given other addresses, and are not now.
static FORMER: Uninterrupted<Vec<Range<u64>>> = Uninterrupted::new(Vec::new());

/// The device's registers have moved.
pub fn moved(from: &[Range<u64>], to: &[Range<u64>]) {
    FORMER.with(|former| {
        former.extend_from_slice(from);
        former.retain(|range| !to.iter().any(|now| overlap(range, now)));
    });
}

/// The device is gone: its addresses may be anybody's.
pub fn forget_former() {
    FORMER.with(Vec::clear);
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Stops if what a driver maps is where its device was before the last `IRP_MN_STOP_DEVICE`.
pub(super) fn expect_current(function: &'static str, physical: u64, bytes: u64) {
    let wanted = physical..physical.saturating_add(bytes);
    if FORMER.with(|former| former.iter().any(|range| overlap(range, &wanted))) {
        verifier::failed(
            checks::STALE_ADDRESS,
            0xc4,
            function,
            [physical, bytes, 0, 0],
            format_args!(
                "{function} maps {bytes:#x} bytes at {physical:#x}, where the device was before IRP_MN_STOP_DEVICE: take the \
                 addresses from the resources of each IRP_MN_START_DEVICE"
            ),
        );
    }
}

/// Mappings of device registers that reach into these physical addresses.
#[must_use]
pub fn mapped_in(ranges: &[Range<u64>]) -> Vec<u64> {
    let inside = |page: &u64| {
        paging::physical(*page).is_some_and(|at| ranges.iter().any(|range| overlap(range, &(at..at + PAGE_SIZE))))
    };
    pages().into_iter().filter(inside).collect()
}
