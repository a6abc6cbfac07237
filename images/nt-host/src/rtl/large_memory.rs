//! Memory resources of 4 GiB and more.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use crate::base::large_memory::{LARGE_FLAGS, MEMORY, MEMORY_LARGE, PORT, closest, encoding, shift};
use crate::export_functions;
use crate::nt::NTSTATUS;
use crate::nt::status::*;

/// `CM_PARTIAL_RESOURCE_DESCRIPTOR` of memory or ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct PartialDescriptor {
    kind: u8,
    share: u8,
    flags: u16,
    start: u64,
    length: u32,
    padding: u32,
}

/// `IO_RESOURCE_DESCRIPTOR` of memory or ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Requirement {
    option: u8,
    kind: u8,
    share: u8,
    spare1: u8,
    flags: u16,
    spare2: u16,
    length: u32,
    alignment: u32,
    minimum: u64,
    maximum: u64,
}

const _: () = assert!(size_of::<PartialDescriptor>() == 20 && size_of::<Requirement>() == 32);

export_functions! {
    /// Large memory resources.
    pub static EXPORTS;

    /// Finds the least length from a length on that a descriptor can hold.
    [ANY] fn RtlFindClosestEncodableLength(length: u64, out: *mut u64) -> NTSTATUS {
        match closest(length) {
            Some(found) => { out.write(found); STATUS_SUCCESS }
            None => STATUS_NOT_SUPPORTED,
        }
    }

    /// Writes start and length of memory or ports into a descriptor.
    [ANY] fn RtlCmEncodeMemIoResource(descriptor: *mut PartialDescriptor, kind: u8, length: u64, start: u64) -> NTSTATUS {
        if !matches!(kind, PORT | MEMORY | MEMORY_LARGE) { return STATUS_INVALID_PARAMETER }
        let (flag, shift) = match encoding(length) {
            Some((Some(_), _)) | None if kind == PORT => return STATUS_NOT_SUPPORTED,
            Some(found) => found,
            None => return STATUS_NOT_SUPPORTED,
        };
        let written = &mut *descriptor;
        written.kind = if kind == PORT { PORT } else if flag.is_some() { MEMORY_LARGE } else { MEMORY };
        written.flags = written.flags & !LARGE_FLAGS | flag.unwrap_or(0);
        written.start = start;
        written.length = (length >> shift) as u32;
        STATUS_SUCCESS
    }

    /// Reads start and length of memory or ports from a descriptor.
    [ANY] fn RtlCmDecodeMemIoResource(descriptor: *const PartialDescriptor, start: *mut u64) -> u64 {
        let read = *descriptor;
        if let Some(start) = start.as_mut() { *start = read.start }
        u64::from(read.length) << shift(read.kind, read.flags)
    }

    /// Writes length, alignment and bounds of memory or ports into a requirement.
    [ANY] fn RtlIoEncodeMemIoResource(descriptor: *mut Requirement, kind: u8, length: u64, alignment: u64, minimum: u64, maximum: u64) -> NTSTATUS {
        if !matches!(kind, PORT | MEMORY | MEMORY_LARGE) { return STATUS_INVALID_PARAMETER }
        let (Some((flag, shift)), Some((alignment_flag, alignment_shift))) = (encoding(length), encoding(alignment)) else { return STATUS_NOT_SUPPORTED };
        let (flag, shift) = if alignment_shift > shift { (alignment_flag, alignment_shift) } else { (flag, shift) };
        let whole = |value: u64| value & ((1 << shift) - 1) == 0;
        if (flag.is_some() && kind == PORT) || !whole(length) || !whole(alignment) { return STATUS_NOT_SUPPORTED }
        let written = &mut *descriptor;
        written.kind = if kind == PORT { PORT } else if flag.is_some() { MEMORY_LARGE } else { MEMORY };
        written.flags = written.flags & !LARGE_FLAGS | flag.unwrap_or(0);
        written.length = (length >> shift) as u32;
        written.alignment = (alignment >> shift) as u32;
        written.minimum = minimum;
        written.maximum = maximum;
        STATUS_SUCCESS
    }

    /// Reads length, alignment and bounds of memory or ports from a requirement.
    [ANY] fn RtlIoDecodeMemIoResource(descriptor: *const Requirement, alignment: *mut u64, minimum: *mut u64, maximum: *mut u64) -> u64 {
        let read = *descriptor;
        let shift = shift(read.kind, read.flags);
        if let Some(alignment) = alignment.as_mut() { *alignment = u64::from(read.alignment) << shift }
        if let Some(minimum) = minimum.as_mut() { *minimum = read.minimum }
        if let Some(maximum) = maximum.as_mut() { *maximum = read.maximum }
        u64::from(read.length) << shift
    }
}
