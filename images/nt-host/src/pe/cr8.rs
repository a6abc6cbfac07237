//! Where a driver's code writes CR8: inlined functions of the WDK raise and lower the IRQL so, and no function of the
//! system learns of it.

use alloc::vec::Vec;
use core::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions, Register};

/// Bytes of `mov cr8, r64`.
pub const LENGTH: usize = 4;

/// An instruction that writes CR8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where it is in the image.
    pub offset: u32,
    /// The register that it writes there, as instructions number them.
    pub register: u8,
}

/// Returns the instruction's bytes: REX.R, perhaps REX.B, 0F 22, and a register as its operand.
fn register(bytes: &[u8]) -> Option<u8> {
    match *bytes {
        [rex @ (0x44 | 0x45 | 0x4c | 0x4d), 0x0f, 0x22, operand @ 0xc0..=0xc7] => {
            Some((operand & 7) | ((rex & 1) << 3))
        }
        _ => None,
    }
}

/// Returns the writes of CR8 in a range of code. Bytes that look like one in the middle of another instruction are
/// none: instructions are followed from the beginning of their function, which `functions` has (begin and end,
/// ascending), or from the end of the one before.
#[must_use]
pub fn writes(image: &[u8], code: Range<u32>, functions: &[(u32, u32)]) -> Vec<Write> {
    let Some(bytes) = image.get(code.start as usize..code.end as usize) else { return Vec::new() };
    let candidates = bytes
        .windows(LENGTH)
        .enumerate()
        .filter_map(|(at, window)| Some(Write { offset: code.start + at as u32, register: register(window)? }));
    candidates.filter(|write| is_instruction(image, &code, functions, write.offset)).collect()
}

fn is_instruction(image: &[u8], code: &Range<u32>, functions: &[(u32, u32)], offset: u32) -> bool {
    let before = functions.partition_point(|&(begin, _)| begin <= offset);
    let start = match before.checked_sub(1).map(|last| functions[last]) {
        Some((begin, end)) => {
            if offset < end {
                begin
            } else {
                end
            }
        }
        None => code.start,
    }
    .max(code.start);
    let Some(bytes) = image.get(start as usize..code.end as usize) else { return false };
    let mut decoder = Decoder::with_ip(64, bytes, u64::from(start), DecoderOptions::NONE);
    while decoder.ip() < u64::from(offset) {
        let _ = decoder.decode();
    }
    decoder.ip() == u64::from(offset) && {
        let instruction = decoder.decode();
        instruction.code() == Code::Mov_cr_r64 && instruction.op0_register() == Register::CR8
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn found(code: &[u8], functions: &[(u32, u32)]) -> Vec<Write> {
        let mut image = vec![0xcc; 0x100];
        image[0x10..0x10 + code.len()].copy_from_slice(code);
        writes(&image, 0x10..0x100, functions)
    }

    #[test]
    fn finds_a_write_with_its_register() {
        // mov cr8, rcx; ret; mov cr8, r15; ret.
        let code = [0x44, 0x0f, 0x22, 0xc1, 0xc3, 0x45, 0x0f, 0x22, 0xc7, 0xc3];
        let expected = [Write { offset: 0x10, register: 1 }, Write { offset: 0x15, register: 15 }];
        assert_eq!(found(&code, &[(0x10, 0x1a)]), expected);
        assert_eq!(found(&code, &[]), expected);
    }

    #[test]
    fn ignores_bytes_within_another_instruction() {
        // mov rax, 0x00000000c1220f44; ret.
        let code = [0x48, 0xb8, 0x44, 0x0f, 0x22, 0xc1, 0, 0, 0, 0, 0xc3];
        assert_eq!(found(&code, &[(0x10, 0x1b)]), []);
    }

    #[test]
    fn ignores_reads_and_other_control_registers() {
        // mov rax, cr8; mov cr3, rax; ret.
        let code = [0x44, 0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xd8, 0xc3];
        assert_eq!(found(&code, &[]), []);
    }

    #[test]
    fn a_function_without_an_entry_begins_where_the_one_before_ends() {
        // mov rax, imm64 that is cut short by the end of its function; then a leaf: mov cr8, rax; ret.
        let code = [0x48, 0xb8, 0x44, 0x0f, 0x22, 0xc0, 0xc3];
        assert_eq!(found(&code, &[(0x10, 0x12)]), [Write { offset: 0x12, register: 0 }]);
    }

    #[test]
    fn a_range_outside_the_image_has_no_writes() {
        assert_eq!(writes(&[0; 16], 8..64, &[]), []);
    }
}
