//! Memory descriptor lists: their frames, pages that they lock, system addresses of those.
#![allow(unsafe_code, reason = "memory of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::address_kind::AddressKind;
use super::exposed;
use super::pool::{self, Owner};
use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, cpu, frames, pageable, pages_spanning, user_half, window};
use crate::contract::{checks, verifier};
use crate::export_functions;
use crate::ke::raise;
use crate::nt::irql::APC_LEVEL;
use crate::nt::status::*;
use crate::nt::{
    KERNEL_MODE, MDL, MDL_ALLOCATED_FIXED_SIZE, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL,
    MDL_SOURCE_IS_NONPAGED_POOL, NTSTATUS, PHYSICAL_ADDRESS, PVOID,
};

fn pages_of(address: u64, bytes: u64) -> u64 {
    pages_spanning(address % PAGE_SIZE + bytes) / PAGE_SIZE
}

/// Returns the list of frame numbers behind an MDL.
pub(super) unsafe fn frame_numbers(mdl: *mut MDL) -> *mut u64 {
    // SAFETY: an MDL is followed by its array.
    unsafe { mdl.add(1).cast() }
}

/// Fills in the frames of a buffer of kernel memory.
unsafe fn fill_frames(function: &'static str, mdl: *mut MDL) {
    // SAFETY: an export's argument.
    unsafe {
        let start = (*mdl).StartVa as u64;
        for page in 0..pages_of((*mdl).ByteOffset.into(), (*mdl).ByteCount.into()) {
            let at = start + page * PAGE_SIZE;
            let Some(physical) = paging::physical(at) else {
                verifier::stop(
                    0x50,
                    function,
                    [at, 0, 0, 0],
                    format_args!("{function}: the buffer {at:#x} is not mapped memory ({})", AddressKind(at)),
                );
            };
            exposed::expose(physical);
            frame_numbers(mdl).add(page as usize).write(physical / PAGE_SIZE);
        }
    }
}

/// MDLs whose pages are locked: the buffer's address and bytes.
static LOCKED: Uninterrupted<BTreeMap<u64, (u64, u64)>> = Uninterrupted::new(BTreeMap::new());

/// Reports memory that is about to be freed and has pages that an MDL keeps locked; they are locked no longer.
pub fn check_not_locked(function: &str, address: u64, bytes: u64) {
    let overlaps = |at: u64, locked: u64| at < address + bytes && address < at + locked;
    let found = LOCKED.with(|all| {
        all.iter().find(|&(_, &(at, locked))| overlaps(at, locked)).map(|(mdl, (at, locked))| (*mdl, *at, *locked))
    });
    if let Some((mdl, at, locked)) = found {
        verifier::failed(
            checks::LOCKED_POOL_FREED,
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [checks::LOCKED_POOL_FREED.number.into(), address, mdl, locked],
            format_args!(
                "{address:#x} is freed while the MDL at {mdl:#x} keeps {locked:#x} bytes at {at:#x} locked, for a device \
                 perhaps: call MmUnlockPages before"
            ),
        );
        LOCKED.with(|all| all.remove(&mdl));
        pageable::unpin(&(at..at + locked));
    }
}

/// A system mapping of locked pages that was undone.
struct Undone {
    range: core::ops::Range<u64>,
    mdl: u64,
}
/// The latest of them, for messages.
static UNDONE: Uninterrupted<VecDeque<Undone>> = Uninterrupted::new(VecDeque::new());
/// How many are remembered.
const UNDONE_MAX: usize = 256;

/// Returns the MDL whose system mapping an address lay in, if that was undone a while ago.
#[must_use]
pub fn undone_mapping(address: u64) -> Option<u64> {
    UNDONE.with(|undone| undone.iter().rev().find(|old| old.range.contains(&address)).map(|old| old.mdl))
}

/// MDLs whose pages are mapped for the system: where, and how many bytes of whole pages.
static MAPPED: Uninterrupted<BTreeMap<u64, (u64, u64)>> = Uninterrupted::new(BTreeMap::new());

/// Of MDLs in pool.
const MDL_TAG: u32 = u32::from_le_bytes(*b"Mdl ");

/// Pages that a driver has by `MmAllocatePagesForMdl`.
static PAGES: Uninterrupted<BTreeMap<u64, Vec<u64>>> = Uninterrupted::new(BTreeMap::new());

fn unmap_pages(at: u64, length: u64) {
    for page in (at..at + length).step_by(PAGE_SIZE as usize) {
        paging::unmap(page);
    }
    window::POOL.release(at, length);
}

/// Maps the frames of an MDL where the system sees them, an unmapped page behind.
unsafe fn map_locked(mdl: *mut MDL, offset: u64, bytes: u64) -> Option<u64> {
    let length = pages_spanning(offset + bytes);
    let at = window::POOL.reserve(length)?;
    for page in (0..length).step_by(PAGE_SIZE as usize) {
        // SAFETY: the MDL has this many frame numbers.
        let frame = unsafe { frame_numbers(mdl).add((page / PAGE_SIZE) as usize).read() } * PAGE_SIZE;
        if paging::map(at + page, frame, Access::ReadWrite, Caching::Cached).is_err() {
            unmap_pages(at, length);
            return None;
        }
    }
    MAPPED.with(|mapped| mapped.insert(mdl as u64, (at, length)));
    Some(at + offset)
}

/// Undoes what [`map_locked`] did, if it did anything.
unsafe fn unmap_locked(mdl: *mut MDL) {
    if let Some((at, length)) = MAPPED.with(|mapped| mapped.remove(&(mdl as u64))) {
        unmap_pages(at, length);
        UNDONE.with(|undone| {
            if undone.len() == UNDONE_MAX {
                undone.pop_front();
            }
            undone.push_back(Undone { range: at..at + length, mdl: mdl as u64 });
        });
    }
    // SAFETY: an export's argument.
    unsafe { (*mdl).MdlFlags &= !MDL_MAPPED_TO_SYSTEM_VA };
}

/// Returns what MDLs of the driver still hold, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    let locked = LOCKED.with(|locked| {
        let one = |(mdl, (at, bytes)): (&u64, &(u64, u64))| {
            alloc::format!("{bytes:#x} bytes at {at:#x}, locked by the MDL at {mdl:#x}")
        };
        locked.iter().map(one).collect::<Vec<_>>()
    });
    let pages = PAGES.with(|pages| {
        let one = |(mdl, pages): (&u64, &Vec<u64>)| alloc::format!("{} pages of the MDL at {mdl:#x}", pages.len());
        pages.iter().map(one).collect::<Vec<_>>()
    });
    locked.into_iter().chain(pages).collect()
}

export_functions! {
    /// Memory descriptor lists.
    pub static EXPORTS;

    /// Returns the bytes that an MDL for a buffer takes.
    [ANY] fn MmSizeOfMdl(base: PVOID, bytes: u64) -> u64 { size_of::<MDL>() as u64 + 8 * pages_of(base as u64, bytes) }

    /// Allocates an MDL for a buffer.
    [DISPATCH] fn IoAllocateMdl(address: PVOID, bytes: u32, secondary: u8, _charge: u8, irp: *mut crate::nt::IRP) -> *mut MDL {
        let pages = pages_of(address as u64, bytes.into()) as usize;
        let size = size_of::<MDL>() + 8 * pages;
        let memory: Box<[u64]> = alloc::vec![0u64; size / 8].into_boxed_slice();
        let mdl = Box::into_raw(memory).cast::<MDL>();
        {
            mdl.write(MDL {
                Next: core::ptr::null_mut(),
                Size: size as i16,
                MdlFlags: MDL_ALLOCATED_FIXED_SIZE,
                Process: core::ptr::null_mut(),
                MappedSystemVa: core::ptr::null_mut(),
                StartVa: (address as u64 / PAGE_SIZE * PAGE_SIZE) as PVOID,
                ByteCount: bytes,
                ByteOffset: (address as u64 % PAGE_SIZE) as u32,
            });
            if !irp.is_null() {
                if secondary != 0 {
                    let mut last = (*irp).MdlAddress;
                    while !last.is_null() && !(*last).Next.is_null() { last = (*last).Next }
                    if last.is_null() { (*irp).MdlAddress = mdl } else { (*last).Next = mdl }
                } else {
                    (*irp).MdlAddress = mdl;
                }
            }
        }
        mdl
    }

    /// Frees an MDL.
    [DISPATCH] fn IoFreeMdl(mdl: *mut MDL) {
        {
            if (*mdl).MdlFlags & MDL_PAGES_LOCKED != 0 {
                verifier::stop(0x76, "IoFreeMdl", [mdl as u64, 0, 0, 0],
                    format_args!("the MDL at {mdl:p} is freed with its pages locked: call MmUnlockPages first"));
            }
            unmap_locked(mdl);
            let words = (*mdl).Size as usize / 8;
            drop(Box::from_raw(core::ptr::slice_from_raw_parts_mut(mdl.cast::<u64>(), words)));
        }
    }

    /// Fills in the frames of a nonpaged buffer.
    [DISPATCH] fn MmBuildMdlForNonPagedPool(mdl: *mut MDL) {
        {
            let address = (*mdl).StartVa as u64 + u64::from((*mdl).ByteOffset);
            if pageable::overlaps(&(address..address + u64::from((*mdl).ByteCount))) {
                verifier::failed(checks::MDL_OF_PAGED_POOL, verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
                    "MmBuildMdlForNonPagedPool", [checks::MDL_OF_PAGED_POOL.number.into(), mdl as u64, address, 0],
                    format_args!("the buffer {address:#x} of the MDL at {mdl:p} is pageable ({}): its pages can go at any time. Lock \
                        it with MmProbeAndLockPages, or allocate it from nonpaged pool", AddressKind(address)));
            }
            fill_frames("MmBuildMdlForNonPagedPool", mdl);
            (*mdl).MappedSystemVa = ((*mdl).StartVa as u64 + u64::from((*mdl).ByteOffset)) as PVOID;
            (*mdl).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA;
        }
    }

    /// Locks the buffer of an MDL in memory. Raises `STATUS_ACCESS_VIOLATION` if it is not there, may not be written
    /// (`IoWriteAccess`, `IoModifyAccess`), or is not the process' (for user mode).
    [DISPATCH] fn MmProbeAndLockPages(mdl: *mut MDL, mode: i8, operation: i32) {
        const FUNCTION: &str = "MmProbeAndLockPages";
        const READ_ACCESS: i32 = 0;
        if (*mdl).MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL) != 0 {
            verifier::stop(0xc4, FUNCTION, [mdl as u64, (*mdl).MdlFlags as u64, 0, 0],
                format_args!("the pages of the MDL at {mdl:p} are already locked or are nonpaged pool; lock the pages of an MDL once, and none of nonpaged pool"));
        }
        let address = (*mdl).StartVa as u64 + u64::from((*mdl).ByteOffset);
        let bytes = u64::from((*mdl).ByteCount);
        let write = operation != READ_ACCESS;
        let of_user = user_half::in_user_half(address, bytes);
        if of_user && cpu::irql() > APC_LEVEL {
            verifier::broken(verifier::RULE_IRQL, 0x0a, FUNCTION, [address, cpu::irql().into(), 2, 0],
                format_args!("{FUNCTION} for the user buffer {address:#x} at IRQL {}; call it at IRQL <= APC_LEVEL, since the pages of a user buffer can be paged out", cpu::irql()));
        }
        let there = if of_user { user_half::accessible(address, bytes, write) } else { mode == KERNEL_MODE && paging::accessible(address, bytes, write) };
        if !there {
            raise::raise_access_violation(FUNCTION, write, address,
                format_args!("{FUNCTION} for {bytes:#x} bytes at {address:#x} ({}), {},", AddressKind(address),
                    if write { "for writing" } else { "for reading" }));
        }
        pageable::pin(&(address..address + bytes));
        fill_frames(FUNCTION, mdl);
        (*mdl).Process = crate::ke::thread::PsGetCurrentProcess();
        (*mdl).MdlFlags |= MDL_PAGES_LOCKED;
        LOCKED.with(|locked| locked.insert(mdl as u64, (address, bytes)));
    }

    /// Unlocks the buffer of an MDL.
    [DISPATCH] fn MmUnlockPages(mdl: *mut MDL) {
        if (*mdl).MdlFlags & MDL_PAGES_LOCKED == 0 {
            verifier::stop(0x76, "MmUnlockPages", [mdl as u64, 0, 0, 0], format_args!("the MDL at {mdl:p} has no locked pages"));
        }
        unmap_locked(mdl);
        (*mdl).MdlFlags &= !MDL_PAGES_LOCKED;
        if let Some((address, bytes)) = LOCKED.with(|locked| locked.remove(&(mdl as u64))) {
            pageable::unpin(&(address..address + bytes));
        }
    }

    /// Maps locked pages at a system address. Without memory it returns null, or raises
    /// `STATUS_INSUFFICIENT_RESOURCES` for user mode.
    [DISPATCH] fn MmMapLockedPagesSpecifyCache(mdl: *mut MDL, mode: i8, _caching: i32, _base: PVOID, _bugcheck: u32, _priority: u32) -> PVOID {
        const FUNCTION: &str = "MmMapLockedPagesSpecifyCache";
        if (*mdl).MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL) == 0 {
            verifier::stop(0xc4, FUNCTION, [0xb9, mdl as u64, (*mdl).MdlFlags as u64, 0],
                format_args!("the pages of the MDL at {mdl:p} are not locked: call MmProbeAndLockPages before"));
        }
        if mode != KERNEL_MODE {
            raise::raise_status(FUNCTION, STATUS_INSUFFICIENT_RESOURCES, &[],
                format_args!("{FUNCTION} into a process, which this guest does not do,"));
        }
        if (*mdl).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA == 0 {
            let (offset, bytes) = (u64::from((*mdl).ByteOffset), u64::from((*mdl).ByteCount));
            // Always an address of its own, so that using it too late is found out.
            let Some(address) = map_locked(mdl, offset, bytes) else { return core::ptr::null_mut() };
            (*mdl).MappedSystemVa = address as PVOID;
            (*mdl).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
        }
        (*mdl).MappedSystemVa
    }

    /// Returns a system address for locked pages.
    [DISPATCH] fn MmMapLockedPages(mdl: *mut MDL, mode: i8) -> PVOID {
        MmMapLockedPagesSpecifyCache(mdl, mode, 1, core::ptr::null_mut(), 1, 16)
    }

    /// Undoes a mapping of locked pages.
    [DISPATCH] fn MmUnmapLockedPages(_base: PVOID, mdl: *mut MDL) { unmap_locked(mdl) }

    /// Builds an MDL for a part of another's buffer.
    [DISPATCH] fn IoBuildPartialMdl(source: *mut MDL, target: *mut MDL, address: PVOID, bytes: u32) {
        {
            let end = (*source).StartVa as u64 + u64::from((*source).ByteOffset) + u64::from((*source).ByteCount);
            let bytes = if bytes == 0 { (end - address as u64) as u32 } else { bytes };
            (*target).StartVa = (address as u64 / PAGE_SIZE * PAGE_SIZE) as PVOID;
            (*target).ByteOffset = (address as u64 % PAGE_SIZE) as u32;
            (*target).ByteCount = bytes;
            (*target).MdlFlags |= MDL_PARTIAL | ((*source).MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA));
            let into = (address as u64).wrapping_sub((*source).StartVa as u64 + u64::from((*source).ByteOffset));
            (*target).MappedSystemVa = ((*source).MappedSystemVa as u64).wrapping_add(into) as PVOID;
            let skipped = ((*target).StartVa as u64 - (*source).StartVa as u64) / PAGE_SIZE;
            let pages = pages_of(address as u64, bytes.into());
            core::ptr::copy_nonoverlapping(frame_numbers(source).add(skipped as usize), frame_numbers(target), pages as usize);
        }
    }

    /// Fills in an MDL in the caller's memory, or in its own, for a buffer.
    [DISPATCH] fn MmCreateMdl(mdl: *mut MDL, address: PVOID, bytes: u64) -> *mut MDL {
        let Ok(bytes) = u32::try_from(bytes) else { return core::ptr::null_mut() };
        if mdl.is_null() {
            return IoAllocateMdl(address, bytes, 0, 0, core::ptr::null_mut());
        }
        mdl.write(MDL {
            Next: core::ptr::null_mut(),
            Size: MmSizeOfMdl(address, bytes.into()) as i16,
            MdlFlags: 0,
            Process: core::ptr::null_mut(),
            MappedSystemVa: core::ptr::null_mut(),
            StartVa: (address as u64 / PAGE_SIZE * PAGE_SIZE) as PVOID,
            ByteCount: bytes,
            ByteOffset: (address as u64 % PAGE_SIZE) as u32,
        });
        mdl
    }

    /// Pages of physical memory, zeroed, that nothing maps; fewer, if there are no more.
    [APC] fn MmAllocatePagesForMdl(low: PHYSICAL_ADDRESS, high: PHYSICAL_ADDRESS, skip: PHYSICAL_ADDRESS, bytes: u64) -> *mut MDL {
        MmAllocatePagesForMdlEx(low, high, skip, bytes, 1, 0)
    }

    /// Pages of physical memory that nothing maps, as the flags ask.
    [APC] fn MmAllocatePagesForMdlEx(low: PHYSICAL_ADDRESS, high: PHYSICAL_ADDRESS, _skip: PHYSICAL_ADDRESS, bytes: u64,
        _caching: i32, flags: u32) -> *mut MDL {
        const FULLY_REQUIRED: u32 = 4;
        const CONTIGUOUS: u32 = 0x10;
        let wanted = pages_spanning(bytes);
        if wanted == 0 || wanted > u64::from(u32::MAX) { return core::ptr::null_mut() }
        let limit = (high as u64).saturating_add(1);
        let one = |bytes: u64| {
            let found = frames::allocate_contiguous(bytes, PAGE_SIZE, limit)?;
            if found < low as u64 { frames::free(found, bytes); None } else { Some(found) }
        };
        let mut found: Vec<u64> = Vec::new();
        if flags & CONTIGUOUS != 0 {
            found.extend(one(wanted).into_iter().flat_map(|first| (first..first + wanted).step_by(PAGE_SIZE as usize)));
        } else {
            while (found.len() as u64) * PAGE_SIZE < wanted && let Some(frame) = one(PAGE_SIZE) { found.push(frame) }
        }
        let got = found.len() as u64 * PAGE_SIZE;
        if got == 0 || (got < wanted && flags & (FULLY_REQUIRED | CONTIGUOUS) != 0) {
            for frame in found { frames::free(frame, PAGE_SIZE) }
            return core::ptr::null_mut();
        }
        // In pool: its owner frees it with ExFreePool.
        let size = size_of::<MDL>() + 8 * found.len();
        let Some(memory) = pool::allocate(size as u64, MDL_TAG, false, Owner::Driver) else {
            for frame in found { frames::free(frame, PAGE_SIZE) }
            return core::ptr::null_mut();
        };
        let mdl = MmCreateMdl(memory as *mut MDL, core::ptr::null_mut(), got);
        for (index, &frame) in found.iter().enumerate() {
            ((DIRECT_MAP + frame) as *mut u8).write_bytes(0, PAGE_SIZE as usize);
            exposed::expose(frame);
            frame_numbers(mdl).add(index).write(frame / PAGE_SIZE);
        }
        (*mdl).MdlFlags |= MDL_PAGES_LOCKED;
        PAGES.with(|pages| pages.insert(mdl as u64, found));
        mdl
    }

    /// Gives such pages back; the MDL itself is freed with `ExFreePool`.
    [APC] fn MmFreePagesFromMdl(mdl: *mut MDL) {
        let Some(pages) = PAGES.with(|pages| pages.remove(&(mdl as u64))) else {
            verifier::stop(0xc4, "MmFreePagesFromMdl", [mdl as u64, 0, 0, 0],
                format_args!("the pages of the MDL at {mdl:p} are not of MmAllocatePagesForMdl, or were freed before"));
        };
        unmap_locked(mdl);
        (*mdl).MdlFlags &= !MDL_PAGES_LOCKED;
        pages.into_iter().for_each(exposed::free);
    }

    /// Returns what may be done with the system address of locked pages.
    [DISPATCH] fn MmProtectMdlSystemAddress(mdl: *mut MDL, protection: u32) -> NTSTATUS {
        const NO_ACCESS: u32 = 1;
        const READ_ONLY: u32 = 2;
        let Some((at, length)) = MAPPED.with(|mapped| mapped.get(&(mdl as u64)).copied()) else { return STATUS_INVALID_PARAMETER };
        if protection == NO_ACCESS { return STATUS_NOT_SUPPORTED }
        let access = if protection == READ_ONLY { Access::Read } else { Access::ReadWrite };
        (at..at + length).step_by(PAGE_SIZE as usize).for_each(|page| paging::protect(page, access));
        STATUS_SUCCESS
    }

    /// Locks the buffer of an MDL in memory, as a process sees it. The only one is the running one.
    [APC] fn MmProbeAndLockProcessPages(mdl: *mut MDL, process: PVOID, mode: i8, operation: i32) {
        if process != crate::ke::thread::PsGetCurrentProcess() {
            raise::raise_status("MmProbeAndLockProcessPages", STATUS_INVALID_PARAMETER, &[],
                format_args!("MmProbeAndLockProcessPages for a process that does not exist,"));
        }
        MmProbeAndLockPages(mdl, mode, operation);
    }
}
