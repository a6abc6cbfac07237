//! Device registers as drivers map them; and what a driver finds there while the device has no power, after it is gone,
//! or after it was given other addresses.
#![allow(unsafe_code, reason = "page tables and frames")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames, pages_spanning, window};
use crate::contract::{checks, verifier};

/// Largest mapping of device registers: a BAR of the devices that this guest is for is far below.
const MAP_BYTES_MAX: u64 = 256 << 20;

/// Mappings of device registers: virtual address -> bytes.
static MAPPINGS: Uninterrupted<BTreeMap<u64, u64>> = Uninterrupted::new(BTreeMap::new());

/// Returns the mappings of device registers that are not undone, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    let line = |(at, bytes)| format!("{bytes:#x} bytes of device registers mapped at {at:#x}");
    device_mappings().into_iter().map(line).collect()
}

/// Returns the mappings of device registers: address and bytes.
fn device_mappings() -> Vec<(u64, u64)> {
    MAPPINGS.with(|mappings| mappings.iter().map(|(at, bytes)| (*at, *bytes)).collect())
}

/// Returns whether any of a range of physical addresses is mapped.
pub fn is_mapped(physical: u64, bytes: u64) -> bool {
    let overlaps = |(at, mapped): (u64, u64)| {
        paging::physical(at).is_some_and(|start| start < physical.saturating_add(bytes) && physical < start + mapped)
    };
    device_mappings().into_iter().any(overlaps)
}

/// Maps device registers and returns their virtual address. Stops if the length is none that a device has, or the
/// device is not there any more.
pub fn map(function: &'static str, physical: u64, bytes: u64) -> Option<u64> {
    if bytes == 0 || bytes > MAP_BYTES_MAX {
        verifier::stop(
            0xc4,
            function,
            [physical, bytes, 0, 0],
            format_args!(
                "{function} for {bytes:#x} bytes at {physical:#x}: take address and length from the translated resource"
            ),
        );
    }
    expect_current(function, physical, bytes);
    let offset = physical % PAGE_SIZE;
    let length = pages_spanning(offset + bytes);
    let at = window::DEVICE.reserve(length)?;
    if paging::map_range(at, physical - offset, length, Access::ReadWrite, Caching::Uncached).is_err() {
        window::DEVICE.release(at, length);
        return None;
    }
    MAPPINGS.with(|mappings| mappings.insert(at + offset, bytes));
    Some(at + offset)
}

/// Unmaps device registers. Stops if the range is not a mapping as [`map`] made it.
pub fn unmap(function: &'static str, address: u64, bytes: u64) {
    let Some(mapped) = MAPPINGS.with(|mappings| mappings.remove(&address)) else {
        verifier::stop(
            0xc4,
            function,
            [address, bytes, 0, 0],
            format_args!("{address:#x} is no mapping of MmMapIoSpace, or was unmapped before"),
        );
    };
    if mapped != bytes {
        verifier::broken(
            None,
            0xc4,
            function,
            [address, bytes, mapped, 0],
            format_args!(
                "{address:#x} was mapped with {mapped:#x} bytes and is unmapped with {bytes:#x}: the lengths must agree"
            ),
        );
    }
    let first = address / PAGE_SIZE * PAGE_SIZE;
    let length = pages_spanning(address % PAGE_SIZE + mapped);
    for page in (first..first + length).step_by(PAGE_SIZE as usize) {
        paging::unmap(page);
    }
    window::DEVICE.release(first, length);
}

/// What drivers find where they have mapped device registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// The registers.
    Live,
    /// Nothing: a touch is a page fault.
    Forbidden,
    /// All ones, as on a bus without the device; what is written there is lost.
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

/// Returns what drivers find there now.
#[must_use]
pub fn state() -> Registers {
    HIDDEN.with(|hidden| hidden.state)
}

fn pages() -> Vec<u64> {
    let mappings = device_mappings();
    let pages_of = |(address, bytes): &(u64, u64)| {
        let first = address / PAGE_SIZE * PAGE_SIZE;
        (first..first + pages_spanning(address % PAGE_SIZE + bytes)).step_by(PAGE_SIZE as usize)
    };
    mappings.iter().flat_map(pages_of).collect()
}

/// Returns a page that reads all ones, now.
fn page_of_ones() -> u64 {
    let page = HIDDEN.with(|hidden| *hidden.ones.get_or_insert_with(|| frames::allocate().expect("a free page")));
    // SAFETY: the frame is ours, seen through the direct map.
    unsafe { ((DIRECT_MAP + page) as *mut u8).write_bytes(0xFF, PAGE_SIZE as usize) };
    page
}

/// Where the device's registers were before it was given other addresses, and are not now.
static FORMER: Uninterrupted<Vec<Range<u64>>> = Uninterrupted::new(Vec::new());

/// Where the registers of the driver's device are.
static ASSIGNED: Uninterrupted<Vec<Range<u64>>> = Uninterrupted::new(Vec::new());

/// Notes where the registers of the driver's device are: nowhere while it is not started.
pub fn assign(ranges: Vec<Range<u64>>) {
    ASSIGNED.with(|assigned| *assigned = ranges);
}

/// Returns where registers of the driver's device begin, above 4 GiB, whose low 32 bits a physical address is.
#[must_use]
pub fn cut_to_32_bits(physical: u64) -> Option<u64> {
    let cut = |range: &&Range<u64>| {
        let low = range.start & u64::from(u32::MAX);
        low != range.start && (low..low + (range.end - range.start)).contains(&physical)
    };
    ASSIGNED.with(|assigned| assigned.iter().find(cut).map(|range| range.start))
}

/// Returns the function of the bus that has registers in a range of physical addresses, if those are not the driver's
/// device's.
#[must_use]
pub fn of_another_device(range: &Range<u64>) -> Option<String> {
    if ASSIGNED.with(|assigned| assigned.iter().any(|own| own.start <= range.start && range.end <= own.end)) {
        return None;
    }
    let own = |registers: &Range<u64>| ASSIGNED.with(|assigned| assigned.contains(registers));
    super::functions().into_iter().find_map(|function| {
        let mut memory = function.bars.iter().filter(|bar| !bar.io && bar.base != 0);
        memory
            .any(|bar| {
                let registers = bar.base..bar.base + bar.size;
                !own(&registers) && overlap(&registers, range)
            })
            .then(|| format!("{} {:04x}:{:04x}", function.address, function.vendor, function.device))
    })
}

/// Notes that the device's registers have moved.
pub fn moved(from: &[Range<u64>], to: &[Range<u64>]) {
    assign(to.to_vec());
    FORMER.with(|former| {
        former.extend_from_slice(from);
        former.retain(|range| !to.iter().any(|now| overlap(range, now)));
    });
}

/// Forgets where the registers of a device were that is gone: other devices may get its addresses.
pub fn forget_former() {
    FORMER.with(Vec::clear);
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Stops if what a driver maps is where its device was before the last `IRP_MN_STOP_DEVICE`.
fn expect_current(function: &'static str, physical: u64, bytes: u64) {
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

/// Returns the mappings of device registers that reach into these physical addresses.
#[must_use]
pub fn mapped_in(ranges: &[Range<u64>]) -> Vec<u64> {
    let inside = |page: &u64| {
        paging::physical(*page).is_some_and(|at| ranges.iter().any(|range| overlap(range, &(at..at + PAGE_SIZE))))
    };
    pages().into_iter().filter(inside).collect()
}
