//! The guest's files: modules that a loader passes in PVH's start info, named by their command lines, or else files of QEMU's `fw_cfg`.
//!
//! A guest that is started from a disk has no harness that gives QEMU its files: its loader reads them from there.
#![allow(unsafe_code, reason = "the loader's modules are at physical addresses")]

use alloc::string::String;
use alloc::vec::Vec;
use core::slice;

use pvh::start_info::{ModlistEntry, StartInfo};

use super::boot::{BOOT_MAPPED, DIRECT_MAP};
use super::fw_cfg::{self, FwCfgError};
use super::uninterrupted::Uninterrupted;

/// Most modules that are looked at: each file that the guest knows, and room.
const MODULES_MAX: u32 = 16;
/// Longest name of a module, as QEMU bounds those of `fw_cfg`.
const NAME_BYTES_MAX: usize = 56;
/// Largest module that is taken, as of a file of `fw_cfg`.
const FILE_BYTES_MAX: u64 = 64 << 20;

static MODULES: Uninterrupted<Vec<(String, Vec<u8>)>> = Uninterrupted::new(Vec::new());

/// Copies the modules that the start info at a physical address names. The heap must be there, and the boot page tables.
///
/// # Panics
/// If a module is where no loader puts one: above 4 GiB, or larger than any driver.
pub fn init(start_info: u32) {
    // SAFETY: PVH hands over the address of its start info, which the direct map shows.
    let info = unsafe { StartInfo::from_ptr((DIRECT_MAP + u64::from(start_info)) as *const _) };
    let Some(info) = info.filter(|info| info.nr_modules != 0) else { return };
    let mut modules = Vec::new();
    for index in 0..info.nr_modules.min(MODULES_MAX) as usize {
        // SAFETY: the list has this many entries.
        let ModlistEntry { paddr, size, cmdline_paddr, .. } =
            unsafe { ((DIRECT_MAP + info.modlist_paddr) as *const ModlistEntry).add(index).read_unaligned() };
        let reached = paddr.checked_add(size).is_some_and(|end| end <= BOOT_MAPPED) && size <= FILE_BYTES_MAX;
        let named = cmdline_paddr != 0 && cmdline_paddr + (NAME_BYTES_MAX as u64) < BOOT_MAPPED;
        assert!(
            reached && named,
            "module {index} of the loader is {size} bytes at {paddr:#x}: no file of this guest's"
        );
        // SAFETY: the loader's memory, which is free for others only after it was copied here.
        let (name, bytes) = unsafe {
            let name = slice::from_raw_parts((DIRECT_MAP + cmdline_paddr) as *const u8, NAME_BYTES_MAX);
            (name, slice::from_raw_parts((DIRECT_MAP + paddr) as *const u8, size as usize))
        };
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        modules.push((String::from_utf8_lossy(name).into_owned(), bytes.to_vec()));
    }
    MODULES.with(|slot| *slot = modules);
}

/// Returns whether a loader has passed a file.
#[must_use]
pub fn is_passed(name: &str) -> bool {
    MODULES.with(|modules| modules.iter().any(|(module, _)| module == name))
}

/// Returns the file of a name.
///
/// # Errors
/// [`FwCfgError`], as of [`fw_cfg::file`], where no module has the name.
pub fn file(name: &'static str) -> Result<Vec<u8>, FwCfgError> {
    let passed =
        MODULES.with(|modules| modules.iter().find(|(module, _)| module == name).map(|(_, file)| file.clone()));
    passed.map_or_else(|| fw_cfg::file(name), Ok)
}
