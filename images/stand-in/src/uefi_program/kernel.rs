//! The kernel that an installed stand-in ends in: the NT host, entered as by PVH, with its options and its driver from the disk.
//!
//! Specification: Xen's x86/HVM direct boot ABI: 32-bit protected mode without paging, the start info's physical address in `ebx`.
#![allow(unsafe_code, reason = "boot services end, memory is placed by address, and the processor's mode is changed")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::ops::Range;

use guest_protocol::{DRIVER_FILE, OPTIONS_FILE};
use pvh::start_info::{MemmapTableEntry, MemmapType, ModlistEntry, START_MAGIC_VALUE, StartInfo};
use stand_in::kernel::{Kernel, joined};
use uefi::boot;
use uefi::mem::memory_map::{MemoryMap, MemoryMapOwned, MemoryType};

use super::disks::Files;

/// The kernel, in the root of the disk.
pub(super) const KERNEL: &str = "NTHOST.ELF";

/// The driver that set-up has put beside it.
pub(super) const DRIVER: &str = "DRIVER.SYS";

/// The options of the kernel: COM1 is shared with the firmware, and time is what the machine runs, because the card's follows events.
const OPTIONS: &str = "line=reliable\ntime=run\n";

/// The version of the start info that has a memory map.
const VERSION: u32 = 1;

/// The end of the memory behind the kernel that it may write to before it has copied its files: image and first heap.
const COPIED_FROM: u64 = 128 << 20;

/// Most entries of a memory map that the kernel looks at.
const ENTRIES_MAX: usize = 128;

/// A pointer to a table of segment descriptors, as `lgdt` takes it.
#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// Nothing, code of 32 bits, data (Intel SDM, volume 3, 3.4.5).
static DESCRIPTORS: [u64; 3] = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

global_asm!(
    r#"
    .global stand_in_enter_kernel
stand_in_enter_kernel:
    cli
    lgdt [r8]
    mov ebx, edx
    mov esi, ecx
    lea rax, [rip + 2f]
    push 8
    push rax
    retfq
    .code32
2:  mov eax, 16
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ecx, 0xc0000080
    rdmsr
    and eax, 0xfffffeff
    wrmsr
    xor eax, eax
    mov cr4, eax
    jmp esi
    .code64
    "#
);

unsafe extern "efiapi" {
    /// Leaves 64-bit mode and enters a kernel; the memory of code and tables is below 4 GiB and mapped to itself.
    fn stand_in_enter_kernel(entry: u32, start_info: u32, table: *const TablePointer) -> !;
}

/// What a kernel needs, in memory.
pub(super) struct Installed {
    kernel: Kernel,
    file: Vec<u8>,
    driver: Vec<u8>,
}

impl Installed {
    /// Reads kernel and driver from a disk; `None` where there is no kernel, and the agent of the program itself is to serve.
    ///
    /// # Errors
    /// Why what is there cannot be used.
    pub(super) fn read(files: &mut Files) -> Result<Option<Self>, String> {
        if !files.has(KERNEL) {
            return Ok(None);
        }
        let file = files.read(KERNEL).ok_or("the kernel cannot be read")?;
        let kernel = Kernel::read(&file).map_err(|error| format!("{error}"))?;
        let driver = files.read(DRIVER).ok_or("no driver is installed")?;
        Ok(Some(Self { kernel, file, driver }))
    }

    /// Leaves the firmware and enters the kernel, and does not return.
    ///
    /// # Errors
    /// Why it does not fit this machine; the firmware is there still.
    pub(super) fn enter(self) -> Result<(), String> {
        let Self { kernel, file, driver } = self;
        // Everything that is handed over lives until the kernel has copied it: nothing here is dropped.
        let options = String::from(OPTIONS).into_bytes();
        let names = [OPTIONS_FILE, DRIVER_FILE].map(|name| {
            let mut bytes = name.as_bytes().to_vec();
            bytes.resize(64, 0);
            bytes
        });
        let module = |bytes: &Vec<u8>, name: &Vec<u8>| ModlistEntry {
            paddr: bytes.as_ptr().expose_provenance() as u64,
            size: bytes.len() as u64,
            cmdline_paddr: name.as_ptr().expose_provenance() as u64,
            reserved: 0,
        };
        let modules = [module(&options, &names[0]), module(&driver, &names[1])];
        let mut map: Vec<MemmapTableEntry> = Vec::with_capacity(ENTRIES_MAX);
        let mut info = StartInfo {
            magic: START_MAGIC_VALUE,
            version: VERSION,
            nr_modules: modules.len() as u32,
            modlist_paddr: (&raw const modules).expose_provenance() as u64,
            memmap_paddr: map.as_ptr().expose_provenance() as u64,
            ..StartInfo::default()
        };
        let pointer = TablePointer {
            limit: (size_of_val(&DESCRIPTORS) - 1) as u16,
            base: (&raw const DESCRIPTORS).expose_provenance() as u64,
        };
        let places = [
            (&raw const info).expose_provenance() as u64,
            (&raw const modules).expose_provenance() as u64,
            driver.as_ptr().expose_provenance() as u64,
            map.as_ptr().expose_provenance() as u64,
            file.as_ptr().expose_provenance() as u64,
        ];
        if places.iter().any(|place| *place < COPIED_FROM || *place >= 1 << 32) {
            return Err("this machine's firmware has loaded the program where the kernel begins, or above 4 GiB".into());
        }
        // SAFETY: nothing that the firmware lent is used from here on.
        let firmware = unsafe { boot::exit_boot_services(None) };
        let ram = memory(&firmware);
        if !kernel.segments.iter().all(|segment| ram.iter().any(|range| holds(range, &segment.memory))) {
            // The firmware has gone: what is said here is its last word.
            super::line::send(b"\r\nstand-in: the kernel's memory is not free\r\n");
            super::stages::stand_still();
        }
        let entries = ram.iter().take(ENTRIES_MAX).map(|range| MemmapTableEntry {
            addr: range.start,
            size: range.end - range.start,
            ty: MemmapType::Ram.into(),
            reserved: 0,
        });
        map.extend(entries);
        info.memmap_entries = map.len() as u32;
        for segment in &kernel.segments {
            let (bytes, length) = (&file[segment.file.clone()], (segment.memory.end - segment.memory.start) as usize);
            let place = segment.memory.start as *mut u8;
            // SAFETY: memory that was the firmware's and is free, by its own map, and none of this program's, which is above.
            unsafe {
                place.write_bytes(0, length);
                place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        // SAFETY: the kernel is in its place; code, table and start info are below 4 GiB, which the firmware maps to themselves.
        unsafe { stand_in_enter_kernel(kernel.entry, (&raw const info).expose_provenance() as u32, &raw const pointer) }
    }
}

/// Returns whether a range holds another one.
fn holds(outer: &Range<u64>, inner: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Returns the machine's memory, the firmware's included: the kernel calls none of it.
fn memory(map: &MemoryMapOwned) -> Vec<Range<u64>> {
    let is_memory = |kind: MemoryType| {
        matches!(
            kind,
            MemoryType::CONVENTIONAL
                | MemoryType::LOADER_CODE
                | MemoryType::LOADER_DATA
                | MemoryType::BOOT_SERVICES_CODE
                | MemoryType::BOOT_SERVICES_DATA
                | MemoryType::RUNTIME_SERVICES_CODE
                | MemoryType::RUNTIME_SERVICES_DATA
                | MemoryType::ACPI_RECLAIM
                | MemoryType::ACPI_NON_VOLATILE
        )
    };
    let ranges = map.entries().filter(|entry| is_memory(entry.ty));
    joined(ranges.map(|entry| entry.phys_start..entry.phys_start + entry.page_count * 4096).collect())
}
