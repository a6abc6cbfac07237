//! Physical memory: which page frames are free.
#![allow(unsafe_code, reason = "the firmware's memory map is at a physical address")]

use core::ops::Range;

use super::boot::{DIRECT_MAP, KERNEL_BASE};
use super::uninterrupted::Uninterrupted;
use super::{PAGE_SIZE, pages_spanning};
use crate::base::ranges::Ranges;

/// Below this, firmware and old hardware have things lying around.
const LOW_MEMORY: u64 = 1 << 20;
/// Most entries looked at in the firmware's map.
const MAP_ENTRIES_MAX: usize = 128;

struct Frames {
    free: Ranges,
    memory: Ranges,
    total: u64,
}

static FRAMES: Uninterrupted<Frames> =
    Uninterrupted::new(Frames { free: Ranges::new(), memory: Ranges::new(), total: 0 });

unsafe extern "C" {
    static __image_end: u8;
}

/// The usable ranges of the firmware's memory map.
#[derive(Clone, Debug)]
pub struct MemoryMap {
    ranges: [Range<u64>; MAP_ENTRIES_MAX],
    count: usize,
}

impl MemoryMap {
    /// Reads the map that the PVH start info names.
    ///
    /// # Panics
    /// If there is no start info: the image was not entered by PVH.
    #[must_use]
    pub fn read(start_info: u32) -> Self {
        let mut map = Self { ranges: [const { 0..0 }; MAP_ENTRIES_MAX], count: 0 };
        // SAFETY: PVH hands over the address of its start info, which the direct map shows.
        let info = unsafe { pvh::start_info::StartInfo::from_ptr((DIRECT_MAP + u64::from(start_info)) as *const _) }
            .expect("the guest was not entered by PVH: start it with -kernel");
        for index in 0..(info.memmap_entries as usize).min(MAP_ENTRIES_MAX) {
            // SAFETY: the map has this many entries.
            let entry = unsafe {
                ((DIRECT_MAP + info.memmap_paddr) as *const pvh::start_info::MemmapTableEntry)
                    .add(index)
                    .read_unaligned()
            };
            if entry.ty() == pvh::start_info::MemmapType::Ram {
                map.ranges[map.count] = entry.addr..entry.addr + entry.size;
                map.count += 1;
            }
        }
        map
    }

    /// Returns the ranges.
    pub fn ram(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges[..self.count].iter().cloned()
    }

    /// Returns the bytes of memory in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ram().map(|range| range.end - range.start).sum()
    }

    /// Returns memory behind the image, for the first heap, before frames can be allocated.
    ///
    /// # Panics
    /// If there are not so many bytes behind the image.
    #[must_use]
    pub fn behind_image(&self, bytes: u64) -> Range<u64> {
        let start = image_end();
        assert!(
            self.ram().any(|range| range.contains(&start) && start + bytes <= range.end),
            "the guest needs more memory: give QEMU at least 64 MiB"
        );
        start..start + bytes
    }
}

fn image_end() -> u64 {
    pages_spanning((&raw const __image_end) as u64 - KERNEL_BASE)
}

/// Takes the memory map over; `taken` is in use already.
pub fn init(map: &MemoryMap, taken: Range<u64>) {
    FRAMES.with(|frames| {
        for range in map.ram() {
            let start = range.start.next_multiple_of(PAGE_SIZE);
            let end = range.end / PAGE_SIZE * PAGE_SIZE;
            if start < end {
                frames.free.insert(start..end);
                frames.memory.insert(start..end);
            }
        }
        frames.free.remove(0..LOW_MEMORY.max(image_end()));
        frames.free.remove(taken);
        frames.total = map.total();
    });
}

/// Returns the bytes of physical memory in the machine.
#[must_use]
pub fn total() -> u64 {
    FRAMES.with(|frames| frames.total)
}

/// Returns whether an address is one of physical memory.
#[must_use]
pub fn is_memory(address: u64) -> bool {
    FRAMES.with(|frames| frames.memory.contains(address))
}

/// Returns the bytes free.
#[must_use]
pub fn free_bytes() -> u64 {
    FRAMES.with(|frames| frames.free.total())
}

/// Allocates one frame, contents undefined.
#[must_use]
pub fn allocate() -> Option<u64> {
    FRAMES.with(|frames| frames.free.allocate(PAGE_SIZE, PAGE_SIZE, u64::MAX))
}

/// Contiguous frames for `bytes`, aligned, ending at or below `limit`; contents undefined.
#[must_use]
pub fn allocate_contiguous(bytes: u64, align: u64, limit: u64) -> Option<u64> {
    FRAMES.with(|frames| frames.free.allocate(pages_spanning(bytes.max(1)), align.max(PAGE_SIZE), limit))
}

/// Contiguous frames from the top of memory, for large ranges that live long.
#[must_use]
pub fn allocate_bulk(bytes: u64) -> Option<u64> {
    FRAMES.with(|frames| frames.free.allocate_highest(pages_spanning(bytes.max(1)), PAGE_SIZE))
}

/// Gives frames back.
pub fn free(address: u64, bytes: u64) {
    FRAMES.with(|frames| frames.free.insert(address..address + pages_spanning(bytes.max(1))));
}
