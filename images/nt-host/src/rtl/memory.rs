//! Memory routines, the C run time's helpers, and version queries.
#![allow(unsafe_code, reason = "raw memory of the Windows ABI")]

use core::arch::global_asm;

use crate::contract::export::Export;
use crate::export_functions;
use crate::harness::options;
use crate::ke::time::version;
use crate::nt::NTSTATUS;
use crate::nt::status::*;

global_asm!(
    r#"
    .section .text.rtl, "ax", @progbits
    /* The compiler calls it with a frame's size in rax; it changes no register. It touches each page on the way down,
       so that a frame beyond the stack meets the guard page. */
    .global chkstk
chkstk:
    push rcx
    push rax
    cmp rax, 0x1000
    lea rcx, [rsp + 24]
    jb 2f
1:  sub rcx, 0x1000
    test [rcx], rcx
    sub rax, 0x1000
    cmp rax, 0x1000
    ja 1b
2:  sub rcx, rax
    test [rcx], rcx
    pop rax
    pop rcx
    ret
    "#
);

unsafe extern "C" {
    fn chkstk();
}

/// Exports that are not functions of Rust.
pub static HELPERS: &[Export] = &[Export::new("__chkstk", chkstk as *const ())];

/// `RTL_OSVERSIONINFOW`, and what `RTL_OSVERSIONINFOEXW` has more.
#[repr(C)]
pub struct VersionInfo {
    size: u32,
    major: u32,
    minor: u32,
    build: u32,
    platform: u32,
    service_pack: [u16; 128],
    service_pack_major: u16,
    service_pack_minor: u16,
    suite: u16,
    product: u8,
    reserved: u8,
}

const PLATFORM_NT: u32 = 2;

/// Sizes of the two forms of the structure.
const VERSION_INFO_BYTES: u32 = 276;
const VERSION_INFO_EX_BYTES: u32 = 284;

export_functions! {
    /// Memory and helpers.
    pub static EXPORTS;

    /// Copies what does not overlap.
    [ANY] fn memcpy(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
        // Windows' memcpy is memmove.
        core::ptr::copy(source, target, bytes);
        target
    }

    /// Copies memory that may overlap.
    [ANY] fn memmove(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
        core::ptr::copy(source, target, bytes);
        target
    }

    /// Fills memory.
    [ANY] fn memset(target: *mut u8, value: i32, bytes: usize) -> *mut u8 {
        target.write_bytes(value as u8, bytes);
        target
    }

    /// Compares memory.
    [ANY] fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
        core::slice::from_raw_parts(a, bytes).cmp(core::slice::from_raw_parts(b, bytes)) as i32
    }

    /// Copies memory that may overlap.
    [ANY] fn RtlMoveMemory(target: *mut u8, source: *const u8, bytes: usize) { core::ptr::copy(source, target, bytes) }

    /// Copies memory.
    [ANY] fn RtlCopyMemory(target: *mut u8, source: *const u8, bytes: usize) { core::ptr::copy(source, target, bytes) }

    /// Copies by words of eight bytes.
    [ANY] fn RtlCopyMemoryNonTemporal(target: *mut u8, source: *const u8, bytes: usize) { core::ptr::copy(source, target, bytes) }

    /// Zeroes memory.
    [ANY] fn RtlZeroMemory(target: *mut u8, bytes: usize) { target.write_bytes(0, bytes) }

    /// Fills memory.
    [ANY] fn RtlFillMemory(target: *mut u8, bytes: usize, value: u8) { target.write_bytes(value, bytes) }

    /// Returns how many bytes are equal.
    [ANY] fn RtlCompareMemory(a: *const u8, b: *const u8, bytes: usize) -> usize {
        {
            let (a, b) = (core::slice::from_raw_parts(a, bytes), core::slice::from_raw_parts(b, bytes));
            a.iter().zip(b).take_while(|(a, b)| a == b).count()
        }
    }

    /// Returns the version.
    [PASSIVE] fn RtlGetVersion(info: *mut VersionInfo) -> NTSTATUS {
        {
            let size = (*info).size;
            if size != VERSION_INFO_BYTES && size != VERSION_INFO_EX_BYTES {
                return STATUS_INVALID_PARAMETER;
            }
            info.cast::<u8>().add(4).write_bytes(0, size as usize - 4);
            ((*info).major, (*info).minor, (*info).build) = version();
            (*info).platform = PLATFORM_NT;
            if size == VERSION_INFO_EX_BYTES {
                (*info).product = 1;
            }
        }
        STATUS_SUCCESS
    }

    /// Returns the version, and whether the build is a checked one.
    [PASSIVE] fn PsGetVersion(major: *mut u32, minor: *mut u32, build: *mut u32, _service_pack: *mut u8) -> u8 {
        {
            let (own_major, own_minor, own_build) = version();
            for (out, value) in [(major, own_major), (minor, own_minor), (build, own_build)] {
                if !out.is_null() { out.write(value) }
            }
        }
        0
    }

    /// Returns whether the system is at least of a version (`NTDDI_*`).
    [APC] fn RtlIsNtDdiVersionAvailable(version: u32) -> u8 {
        u8::from(version <= options::current().windows.interfaces)
    }

    /// Returns whether a feature of the processor is there (`PF_*`).
    [ANY] fn ExIsProcessorFeaturePresent(feature: u32) -> u8 { u8::from(matches!(feature, 2 | 3 | 6 | 8 | 9 | 10 | 12)) }
}
