//! Page tables: mapping, protection, translation.
#![allow(unsafe_code, reason = "page tables")]

use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::mapper::{MapperFlush, TranslateResult, UnmapError};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size2MiB, Size4KiB, Translate,
};
use x86_64::{PhysAddr, VirtAddr};

use super::boot::{BOOT_MAPPED, DIRECT_MAP, KERNEL_BASE};
use super::frames::{self, MemoryMap};
use super::uninterrupted::Uninterrupted;
use super::{PAGE_SIZE, pageable, pages_spanning, smp, window};
use crate::nt::KI_USER_SHARED_DATA;

static TABLES: Uninterrupted<Option<OffsetPageTable<'static>>> = Uninterrupted::new(None);

unsafe extern "C" {
    static mut boot_pml4: PageTable;
    static boot_pdpt_low: u8;
    static boot_stack_guard: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __image_end: u8;
}

/// The leaf of `cpuid` whose EAX has the number of physical address bits in its low byte.
const ADDRESS_SIZES: u32 = 0x8000_0008;
/// The most bits of a physical address that a page table has room for.
const PHYSICAL_BITS_MAX: u32 = 52;

/// Returns the first physical address that the processor does not have.
#[must_use]
pub fn physical_end() -> u64 {
    1 << (__cpuid(ADDRESS_SIZES).eax & 0xff).min(PHYSICAL_BITS_MAX)
}

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    Execute,
    /// All three; only for images that ask for it.
    ReadWriteExecute,
    /// Read, in the user half.
    UserRead,
    /// Read and write, in the user half.
    UserReadWrite,
}

impl Access {
    fn flags(self) -> PageTableFlags {
        let common = PageTableFlags::PRESENT | PageTableFlags::GLOBAL;
        match self {
            Self::Read => common | PageTableFlags::NO_EXECUTE,
            Self::ReadWrite => common | PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE,
            Self::Execute => common,
            Self::ReadWriteExecute => common | PageTableFlags::WRITABLE,
            // Not global: the user half goes with the context.
            Self::UserRead => PageTableFlags::PRESENT | PageTableFlags::USER_ACCESSIBLE | PageTableFlags::NO_EXECUTE,
            Self::UserReadWrite => Self::UserRead.flags() | PageTableFlags::WRITABLE,
        }
    }
}

/// How the processor may cache a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Memory.
    Cached,
    /// Registers of a device.
    Uncached,
}

/// Memory for page tables.
struct Tables;

// SAFETY: hands out frames that nothing else uses.
unsafe impl FrameAllocator<Size4KiB> for Tables {
    fn allocate_frame(&mut self) -> Option<PhysFrame<Size4KiB>> {
        let frame = frames::allocate()?;
        // SAFETY: a fresh frame, seen through the direct map.
        unsafe { ((DIRECT_MAP + frame) as *mut u8).write_bytes(0, PAGE_SIZE as usize) };
        Some(PhysFrame::containing_address(PhysAddr::new(frame)))
    }
}

/// There was no memory for page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for page tables")]
pub struct NoTables;

/// Takes the boot page tables over, maps all memory directly, gives the image its protections and takes away what only
/// the boot code needed: afterwards the lower half of the address space is empty, as it is for a Windows system
/// thread's driver code that uses no user memory.
pub fn init(map: &MemoryMap) {
    TABLES.with(|tables| {
        // The boot code's top-level table, owned by this module from now on; the offset is the direct map's.
        let table: *mut PageTable = &raw mut boot_pml4;
        // SAFETY: see above.
        *tables = Some(unsafe { OffsetPageTable::new(&mut *table, VirtAddr::new(DIRECT_MAP)) });
    });
    for range in map.ram().filter(|range| range.end > BOOT_MAPPED) {
        let start = range.start.max(BOOT_MAPPED) & !0x1f_ffff;
        for address in (start..range.end).step_by(2 << 20) {
            TABLES.with(|tables| {
                let tables = tables.as_mut().expect("set above");
                let page = Page::<Size2MiB>::containing_address(VirtAddr::new(DIRECT_MAP + address));
                let frame = PhysFrame::containing_address(PhysAddr::new(address));
                let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE;
                // SAFETY: memory of the machine, in the direct map's own range.
                let mapped = unsafe { tables.map_to(page, frame, flags, &mut Tables) };
                mapped.expect("memory for the direct map").flush();
            });
        }
    }
    protect_image();
    TABLES.with(|tables| {
        let top = tables.as_mut().expect("set above").level_4_table_mut();
        // Nothing uses the identity mapping any more.
        top[0].set_unused();
        // The upper half is the same in both top-level tables, and stays so: its entries are all made now.
        for start in window::KERNEL.iter().map(|window| window.start()).chain([KI_USER_SHARED_DATA]) {
            let entry = &mut top[VirtAddr::new(start).p4_index()];
            if entry.is_unused() {
                let table = Tables.allocate_frame().expect("memory for page tables").start_address();
                entry.set_addr(table, PageTableFlags::PRESENT | PageTableFlags::WRITABLE);
            }
        }
        let process = Tables.allocate_frame().expect("memory for page tables").start_address();
        // SAFETY: a fresh frame, seen through the direct map; from now on this module maps and looks up in it alone.
        let table = unsafe { &mut *((DIRECT_MAP + process.as_u64()) as *mut PageTable) };
        for (copy, entry) in table.iter_mut().zip(top.iter()) {
            copy.clone_from(entry);
        }
        PROCESS.store(process.as_u64(), Ordering::Relaxed);
        // SAFETY: as above.
        *tables = Some(unsafe { OffsetPageTable::new(table, VirtAddr::new(DIRECT_MAP)) });
    });
    x86_64::instructions::tlb::flush_all();
}

/// Returns a top-level table for a processor that starts: as the boot table, and physical memory where it is. Its
/// physical address is below 4 GiB.
pub(crate) fn boot_tables_with_low_memory() -> u64 {
    let frame = frames::allocate_contiguous(PAGE_SIZE, PAGE_SIZE, BOOT_MAPPED).expect("memory for page tables");
    // SAFETY: a fresh frame; the boot table is only read, and its low tables stay as they were.
    unsafe {
        let table = &mut *((DIRECT_MAP + frame) as *mut PageTable);
        let boot_table = &raw const boot_pml4;
        for (copy, entry) in table.iter_mut().zip((*boot_table).iter()) {
            copy.clone_from(entry);
        }
        let low = (&raw const boot_pdpt_low) as u64 - KERNEL_BASE;
        table[0].set_addr(PhysAddr::new(low), PageTableFlags::PRESENT | PageTableFlags::WRITABLE);
    }
    frame
}

/// Makes a processor that has just started go on with the boot table.
pub(crate) fn leave_low_memory() {
    show_user_half(false);
}

/// The top-level table with a user half; the boot table is the one without. Both share all of the upper half.
static PROCESS: AtomicU64 = AtomicU64::new(0);

/// Shows or hides the user half for the processor that calls.
pub(super) fn show_user_half(shown: bool) {
    let boot = (&raw const boot_pml4) as u64 - KERNEL_BASE;
    let table = if shown { PROCESS.load(Ordering::Relaxed) } else { boot };
    let frame = PhysFrame::containing_address(PhysAddr::new(table));
    // SAFETY: both tables map everything of the upper half alike.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// Gives code, constants and data of this image their protections, and the main stack its guard page.
fn protect_image() {
    let guard = (&raw const boot_stack_guard) as u64;
    let parts = [
        (&raw const __text_start, &raw const __text_end, Access::Execute),
        (&raw const __rodata_start, &raw const __rodata_end, Access::Read),
        (&raw const __data_start, &raw const __image_end, Access::ReadWrite),
    ];
    // The boot code mapped a whole GiB at the image; a fresh table replaces it, built beside it and switched to at
    // once.
    let table = Tables.allocate_frame().expect("memory for page tables").start_address().as_u64();
    let directory = Tables.allocate_frame().expect("memory for page tables").start_address().as_u64();
    let entry = |table: u64, index: u64| (DIRECT_MAP + table + 8 * index) as *mut u64;
    // SAFETY: fresh tables, seen through the direct map; every page that this code needs is in `parts`.
    unsafe {
        entry(table, 510).write(directory | 3);
        for (start, end, access) in parts {
            for page in (start as u64..end as u64).step_by(PAGE_SIZE as usize).filter(|&page| page != guard) {
                let physical = page - KERNEL_BASE;
                let slot = entry(directory, physical >> 21);
                if slot.read() == 0 {
                    slot.write(Tables.allocate_frame().expect("memory for page tables").start_address().as_u64() | 3);
                }
                entry(slot.read() & !0xfff, physical >> 12 & 511).write(physical | access.flags().bits());
            }
        }
        TABLES.with(|tables| {
            let top = tables.as_mut().expect("set before").level_4_table_mut();
            top[511].set_addr(PhysAddr::new(table), PageTableFlags::PRESENT | PageTableFlags::WRITABLE);
        });
    }
}

fn page(address: u64) -> Page<Size4KiB> {
    Page::containing_address(VirtAddr::new(address))
}

/// Maps one page.
///
/// # Errors
/// [`NoTables`] when there is no memory for page tables.
///
/// # Panics
/// If the page is mapped already: the host's windows never overlap.
pub fn map(address: u64, physical: u64, access: Access, caching: Caching) -> Result<(), NoTables> {
    let mut flags = access.flags();
    if caching == Caching::Uncached {
        flags |= PageTableFlags::NO_CACHE | PageTableFlags::WRITE_THROUGH;
    }
    let mut table_flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
    if matches!(access, Access::UserRead | Access::UserReadWrite) {
        table_flags |= PageTableFlags::USER_ACCESSIBLE;
    }
    TABLES.with(|tables| {
        let tables = tables.as_mut().expect("paging is initialised");
        let frame = PhysFrame::containing_address(PhysAddr::new(physical));
        // SAFETY: the caller maps in a window of its own.
        match unsafe { tables.map_to_with_table_flags(page(address), frame, flags, table_flags, &mut Tables) } {
            Ok(flush) => {
                flush.flush();
                Ok(())
            }
            Err(x86_64::structures::paging::mapper::MapToError::FrameAllocationFailed) => Err(NoTables),
            Err(error) => panic!("page {address:#x} cannot be mapped: {error:?}"),
        }
    })
}

/// Unmaps one page and gives its physical address.
pub fn unmap(address: u64) -> Option<u64> {
    TABLES.with(|tables| match tables.as_mut().expect("paging is initialised").unmap(page(address)) {
        Ok((frame, flush)) => {
            MapperFlush::flush(flush);
            smp::forget_translations();
            Some(frame.start_address().as_u64())
        }
        Err(UnmapError::PageNotMapped) => None,
        Err(error) => panic!("page {address:#x} cannot be unmapped: {error:?}"),
    })
}

/// Changes what a mapped page allows.
pub fn protect(address: u64, access: Access) {
    TABLES.with(|tables| {
        let tables = tables.as_mut().expect("paging is initialised");
        // SAFETY: the caller owns the page's window.
        unsafe { tables.update_flags(page(address), access.flags()) }.expect("the page is mapped").flush();
        smp::forget_translations();
    });
}

/// Returns the physical address of a virtual one, if it is mapped.
#[must_use]
pub fn physical(address: u64) -> Option<u64> {
    let address = VirtAddr::try_new(address).ok()?;
    TABLES.with(|tables| tables.as_ref().expect("paging is initialised").translate_addr(address).map(PhysAddr::as_u64))
}

/// Returns whether every byte of a range is mapped, and writable if `write` is set. Pages in what is
/// paged out.
#[must_use]
pub fn accessible(address: u64, bytes: u64, write: bool) -> bool {
    let Some(end) = address.checked_add(bytes) else { return false };
    let first = address / PAGE_SIZE * PAGE_SIZE;
    (first..end).step_by(PAGE_SIZE as usize).all(|at| {
        let Ok(page) = VirtAddr::try_new(at) else { return false };
        let flags = || {
            TABLES.with(|tables| match tables.as_ref().expect("paging is initialised").translate(page) {
                TranslateResult::Mapped { flags, .. } => Some(flags),
                _ => None,
            })
        };
        // A page that is paged out is paged in when it is touched.
        let flags = flags().or_else(|| pageable::page_in_if_possible(at).then(flags).flatten());
        flags.is_some_and(|flags| !write || flags.contains(PageTableFlags::WRITABLE))
    })
}

/// Maps `bytes` of physically contiguous memory or registers at `address`.
///
/// # Errors
/// [`NoTables`] when there is no memory for page tables; nothing stays mapped.
pub fn map_range(address: u64, physical: u64, bytes: u64, access: Access, caching: Caching) -> Result<(), NoTables> {
    for offset in (0..pages_spanning(bytes)).step_by(PAGE_SIZE as usize) {
        if let Err(error) = map(address + offset, physical + offset, access, caching) {
            for undo in (0..offset).step_by(PAGE_SIZE as usize) {
                unmap(address + undo);
            }
            return Err(error);
        }
    }
    Ok(())
}
