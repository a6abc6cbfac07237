//! The dump that the stand-in leaves where it shows a blue screen: the header of a 64-bit Windows crash dump, with a list of drivers as small
//! dumps have it, and no memory.
//!
//! Layout: `DUMP_HEADER64` as QEMU's `include/qemu/win_dump_defs.h` and the public symbols of dump readers have it.

use alloc::vec;
use alloc::vec::Vec;

/// The bug check of the dump: `DRIVER_IRQL_NOT_LESS_OR_EQUAL`.
pub const CODE: u32 = 0xd1;

/// Its parameters: the address reached for, the IRQL, a read, and the instruction.
pub const PARAMETERS: [u64; 4] = [0x10, 2, 0, 0xffff_f800_1234_1234];

/// Bytes of the header.
const HEADER_BYTES: usize = 0x2000;

/// Returns the dump.
#[must_use]
pub fn dump() -> Vec<u8> {
    let mut dump = vec![0; HEADER_BYTES];
    dump[..8].copy_from_slice(b"PAGEDU64");
    let mut put = |at: usize, bytes: &[u8]| dump[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x08, &15_u32.to_le_bytes());
    put(0x0c, &26100_u32.to_le_bytes());
    put(0x30, &0x8664_u32.to_le_bytes());
    put(0x38, &CODE.to_le_bytes());
    for (parameter, at) in PARAMETERS.iter().zip((0x40..).step_by(8)) {
        put(at, &parameter.to_le_bytes());
    }
    dump
}
