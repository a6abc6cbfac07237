//! Pool as drivers ask for it.
#![allow(unsafe_code, reason = "hands out raw memory")]

use crate::arch::cpu;
use crate::contract::verifier;
use crate::ke::raise::raise_status;
use crate::ke::time::version;
use crate::mm::pool::{self, Owner};
use crate::nt::irql::{APC_LEVEL, DISPATCH_LEVEL};
use crate::nt::status::STATUS_INSUFFICIENT_RESOURCES;
use crate::nt::{POOL_TYPE, PVOID};
use crate::{alloc_faults, export_functions};

const PAGED_POOL_BIT: POOL_TYPE = 1;
/// The bit that the cache-aligned kinds of `POOL_TYPE` have (wdm.h: `NonPagedPoolCacheAligned` 4).
const CACHE_ALIGNED_BIT: POOL_TYPE = 4;
/// Bytes of a line of the processor's cache.
const CACHE_LINE_BYTES: u64 = 64;
/// The bit that the kinds of `POOL_TYPE` without execution have (wdm.h: `NonPagedPoolNx` 512).
const NX_BIT: POOL_TYPE = 512;
/// The first Windows that has them: Windows 8.
const NX_SINCE: (u32, u32) = (6, 2);
const BAD_POOL_CALLER: u32 = 0xc2;
/// Largest allocation; Windows' limit is of this order, and a negative size is above it.
const BYTES_MAX: u64 = 1 << 31;

fn driver_allocate(function: &'static str, kind: POOL_TYPE, size: u64, tag: u32) -> Option<u64> {
    let paged = kind & PAGED_POOL_BIT != 0;
    let most = if paged { APC_LEVEL } else { DISPATCH_LEVEL };
    if cpu::irql() > most {
        verifier::broken(
            verifier::RULE_IRQL,
            BAD_POOL_CALLER,
            function,
            [8, u64::from(cpu::irql()), kind as u64, size],
            format_args!(
                "{function} for {} pool at IRQL {}; at most {most}",
                if paged { "paged" } else { "nonpaged" },
                cpu::irql()
            ),
        );
    }
    if size == 0 || size > BYTES_MAX {
        verifier::broken(
            None,
            BAD_POOL_CALLER,
            function,
            [0, kind as u64, size, u64::from(tag)],
            format_args!("{function} for {size} bytes: a size of zero or below is a mistake"),
        );
    }
    if size > BYTES_MAX {
        return None;
    }
    // Small allocations end on a page: whole cache lines begin on one.
    let size = if kind & CACHE_ALIGNED_BIT != 0 { size.next_multiple_of(CACHE_LINE_BYTES) } else { size };
    let (major, minor, _) = version();
    if kind & NX_BIT != 0 && (major, minor) < NX_SINCE {
        verifier::broken(
            None,
            BAD_POOL_CALLER,
            function,
            [0, kind as u64, size, u64::from(tag)],
            format_args!(
                "{function} for NonPagedPoolNx, which came with Windows 8, on Windows {major}.{minor}: use NonPagedPool there, or \
                 ExInitializeDriverRuntime with POOL_NX_OPTIN"
            ),
        );
    }
    if tag == 0 {
        verifier::broken(
            None,
            BAD_POOL_CALLER,
            function,
            [0x9b, kind as u64, size, 0],
            format_args!("{function} of {size} bytes with a tag of 0; pass a tag of one to four characters"),
        );
    }
    if alloc_faults::fails(function) {
        return None;
    }
    pool::allocate(size, tag, paged, Owner::Driver)
}

/// `POOL_FLAG_*` of `ExAllocatePool2`.
mod flag {
    /// `POOL_FLAG_UNINITIALIZED`.
    pub(super) const UNINITIALIZED: u64 = 0x2;
    /// `POOL_FLAG_CACHE_ALIGNED`.
    pub(super) const CACHE_ALIGNED: u64 = 0x8;
    /// `POOL_FLAG_RAISE_ON_FAILURE`.
    pub(super) const RAISE_ON_FAILURE: u64 = 0x20;
    /// `POOL_FLAG_NON_PAGED`.
    pub(super) const NON_PAGED: u64 = 0x40;
    /// `POOL_FLAG_NON_PAGED_EXECUTE`.
    pub(super) const NON_PAGED_EXECUTE: u64 = 0x80;
    /// `POOL_FLAG_PAGED`.
    pub(super) const PAGED: u64 = 0x100;
}

fn no_memory(function: &str, size: u64) -> ! {
    raise_status(function, STATUS_INSUFFICIENT_RESOURCES, &[], format_args!("{function} for {size} bytes"))
}

/// The tag of allocations that give none.
const NO_TAG: u32 = u32::from_le_bytes(*b"None");

fn pointer(address: Option<u64>) -> PVOID {
    address.unwrap_or(0) as PVOID
}

export_functions! {
    /// Pool.
    pub static EXPORTS;

    /// Allocates pool.
    [DISPATCH] fn ExAllocatePoolWithTag(kind: POOL_TYPE, size: u64, tag: u32) -> PVOID {
        pointer(driver_allocate("ExAllocatePoolWithTag", kind, size, tag))
    }

    /// Allocates pool without a tag.
    [DISPATCH] fn ExAllocatePool(kind: POOL_TYPE, size: u64) -> PVOID {
        pointer(driver_allocate("ExAllocatePool", kind, size, NO_TAG))
    }

    /// Allocates pool with a priority, which changes nothing here.
    [DISPATCH] fn ExAllocatePoolWithTagPriority(kind: POOL_TYPE, size: u64, tag: u32, _priority: i32) -> PVOID {
        pointer(driver_allocate("ExAllocatePoolWithTagPriority", kind, size, tag))
    }

    /// Allocates pool against a quota, which no process has here; without memory it raises an exception unless
    /// a flag says not to.
    [DISPATCH] fn ExAllocatePoolWithQuotaTag(kind: POOL_TYPE, size: u64, tag: u32) -> PVOID {
        const DO_NOT_RAISE: POOL_TYPE = 8;
        match driver_allocate("ExAllocatePoolWithQuotaTag", kind & !DO_NOT_RAISE, size, tag) {
            None if kind & DO_NOT_RAISE == 0 => no_memory("ExAllocatePoolWithQuotaTag", size),
            address => pointer(address),
        }
    }

    /// Allocates pool, zeroed unless a flag says not to.
    [DISPATCH] fn ExAllocatePool2(flags: u64, size: u64, tag: u32) -> PVOID {
        let kinds = flags & (flag::NON_PAGED | flag::NON_PAGED_EXECUTE | flag::PAGED);
        if kinds.count_ones() != 1 {
            verifier::stop(BAD_POOL_CALLER, "ExAllocatePool2", [0, flags, size, u64::from(tag)],
                format_args!("flags {flags:#x}: exactly one of POOL_FLAG_NON_PAGED, _NON_PAGED_EXECUTE and _PAGED must be set"));
        }
        let aligned = if flags & flag::CACHE_ALIGNED == 0 { 0 } else { CACHE_ALIGNED_BIT };
        let kind = POOL_TYPE::from(kinds == flag::PAGED) | aligned;
        let address = driver_allocate("ExAllocatePool2", kind, size, tag);
        match address {
            Some(address) if flags & flag::UNINITIALIZED == 0 => (address as *mut u8).write_bytes(0, size as usize),
            None if flags & flag::RAISE_ON_FAILURE != 0 => no_memory("ExAllocatePool2", size),
            _ => {}
        }
        pointer(address)
    }

    /// Allocates pool as `ExAllocatePool2`; of the extended parameters none changes anything here.
    [DISPATCH] fn ExAllocatePool3(flags: u64, size: u64, tag: u32, _parameters: PVOID, _count: u32) -> PVOID {
        ExAllocatePool2(flags, size, tag)
    }

    /// Allocates pool against a quota, without a tag; without memory it raises an exception.
    [DISPATCH] fn ExAllocatePoolWithQuota(kind: POOL_TYPE, size: u64) -> PVOID { ExAllocatePoolWithQuotaTag(kind, size, NO_TAG) }

    /// Frees pool.
    [DISPATCH] fn ExFreePool(address: PVOID) { pool::free("ExFreePool", address as u64, None) }

    /// Frees pool and checks its tag.
    [DISPATCH] fn ExFreePoolWithTag(address: PVOID, tag: u32) { pool::free("ExFreePoolWithTag", address as u64, Some(tag)) }

    /// Frees pool.
    [DISPATCH] fn ExFreePool2(address: PVOID, tag: u32, _parameters: PVOID, _count: u32) {
        pool::free("ExFreePool2", address as u64, Some(tag));
    }
}
