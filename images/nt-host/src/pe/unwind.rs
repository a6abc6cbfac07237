//! Walking a stack through a driver: the x64 function table and unwind codes.
//!
//! Specification: Microsoft, "x64 exception handling". A frame that is in its epilogue is unwound by doing what is left
//! of it, which the instructions themselves say: the codes of version 2 of the unwind information, which say where
//! epilogues are, add nothing to that.
//!
//! Own code, and not the crate `pe-unwind-info` (0.6): that one gives neither the establisher of a frame nor where its
//! handler's data is, follows chained entries without a bound, and takes the image as slices, of which pages may be
//! out.

use alloc::vec::Vec;
use core::ops::Range;

/// Indices of registers, as unwind codes number them.
pub const RSP: usize = 4;
/// The frame pointer.
pub const RBP: usize = 5;

const UWOP_PUSH_NONVOL: u8 = 0;
const UWOP_ALLOC_LARGE: u8 = 1;
const UWOP_ALLOC_SMALL: u8 = 2;
const UWOP_SET_FPREG: u8 = 3;
const UWOP_SAVE_NONVOL: u8 = 4;
const UWOP_SAVE_NONVOL_FAR: u8 = 5;
const UWOP_EPILOG: u8 = 6;
const UWOP_SPARE: u8 = 7;
const UWOP_SAVE_XMM128: u8 = 8;
const UWOP_SAVE_XMM128_FAR: u8 = 9;
const UWOP_PUSH_MACHFRAME: u8 = 10;
const FLAG_CHAINED: u8 = 4;
/// Longest chain of unwind infos followed.
const CHAIN_MAX: usize = 32;

/// The registers of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    pub general: [u64; 16],
    /// XMM0 to XMM15.
    pub vector: [u128; 16],
    /// Where the frame executes.
    pub rip: u64,
}

/// The function that a frame executes has a language-specific handler for exceptions.
pub const FLAG_EXCEPTION_HANDLER: u8 = 1;
/// ... and one that is called when its frame is unwound.
pub const FLAG_TERMINATION_HANDLER: u8 = 2;

/// A language-specific handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// [`FLAG_EXCEPTION_HANDLER`], [`FLAG_TERMINATION_HANDLER`] or both.
    pub flags: u8,
    /// Offset of its code in the image.
    pub routine: u32,
    /// Offset of its own data in the image.
    pub data: u32,
}

/// What unwinding a frame found out about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Offset of its entry of the function table in the image; a leaf function has none.
    pub entry: Option<u32>,
    /// The address that its handler knows it by.
    pub establisher: u64,
    /// Its handler, unless it was in its prologue, where it has none yet.
    pub handler: Option<Handler>,
}

/// What can be read while unwinding.
pub trait Memory {
    /// Reads eight bytes of the stack.
    fn stack(&self, address: u64) -> Option<u64>;
    /// Reads bytes of the image at an offset.
    fn image<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
}

fn image_u32(memory: &impl Memory, offset: u32) -> Option<u32> {
    memory.image(offset).map(u32::from_le_bytes)
}

/// Returns the entry of the function table that covers `offset`: its place in the image.
fn find(memory: &impl Memory, table: (u32, u32), offset: u32) -> Option<u32> {
    let (mut low, mut high) = (0, table.1 / 12);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = table.0 + 12 * middle;
        if image_u32(memory, entry)? > offset {
            high = middle;
        } else if image_u32(memory, entry + 4)? <= offset {
            low = middle + 1;
        } else {
            return Some(entry);
        }
    }
    None
}

/// Returns the entry of the function table that covers `offset`: where it is in the image.
#[must_use]
pub fn lookup(memory: &impl Memory, table: (u32, u32), offset: u32) -> Option<u32> {
    find(memory, table, offset)
}

/// Replaces a frame's registers by its caller's. `None`: the tables or the stack make no sense.
pub fn step(memory: &impl Memory, base: u64, table: (u32, u32), registers: &mut Registers) -> Option<Frame> {
    let offset = u32::try_from(registers.rip.checked_sub(base)?).ok()?;
    let mut frame = Frame { establisher: registers.general[RSP], ..Frame::default() };
    if let Some(mut entry) = find(memory, table, offset) {
        frame.entry = Some(entry);
        let (begin, end) = (image_u32(memory, entry)?, image_u32(memory, entry + 4)?);
        let mut prologue = Some(offset - begin);
        if let Some(left) = epilogue(memory, begin..end, image_u32(memory, entry + 8)?, offset) {
            frame.establisher = leave(memory, &left, registers)?;
            return Some(frame);
        }
        for _ in 0..CHAIN_MAX {
            let info = image_u32(memory, entry + 8)?;
            let [version_flags, prologue_size, count, frame_register] = memory.image::<4>(info)?;
            let flags = version_flags >> 3;
            let behind_codes = info + 4 + 2 * u32::from(count.next_multiple_of(2));
            let after_prologue = prologue.is_none_or(|executed| executed >= u32::from(prologue_size));
            if frame_register & 15 != 0 && after_prologue && prologue.is_some() {
                frame.establisher = registers.general[usize::from(frame_register & 15)]
                    .wrapping_sub(u64::from(frame_register >> 4) * 16);
            }
            if flags & FLAG_CHAINED == 0
                && flags & (FLAG_EXCEPTION_HANDLER | FLAG_TERMINATION_HANDLER) != 0
                && after_prologue
            {
                let routine = image_u32(memory, behind_codes)?;
                frame.handler = Some(Handler { flags: flags & 3, routine, data: behind_codes + 4 });
            }
            if matches!(apply(memory, info + 4, count, frame_register, prologue, registers)?, Applied::MachineFrame) {
                return Some(frame);
            }
            if flags & FLAG_CHAINED == 0 {
                break;
            }
            entry = behind_codes;
            prologue = None;
        }
    }
    registers.rip = memory.stack(registers.general[RSP])?;
    registers.general[RSP] += 8;
    Some(frame)
}

/// What is left of an epilogue.
#[derive(Debug, Default)]
struct Epilogue {
    /// The frame register and what is added to it for the stack pointer.
    from_frame: Option<(usize, i64)>,
    /// What is added to the stack pointer.
    deallocates: u64,
    /// Registers that are popped, in order.
    pops: Vec<usize>,
}

/// Longest epilogue looked at: eight pops, a deallocation and a jump have fewer instructions.
const EPILOGUE_INSTRUCTIONS_MAX: usize = 16;

/// Returns the instructions from `offset` on, if they are the rest of an epilogue of the function: perhaps `add rsp`
/// or `lea rsp`, pops, then a return or a jump out of the function, and nothing else.
fn epilogue(memory: &impl Memory, function: Range<u32>, info: u32, offset: u32) -> Option<Epilogue> {
    let [version_flags, prologue_size, _, frame] = memory.image::<4>(info)?;
    let frame_register = usize::from(frame & 15);
    let chained = (version_flags >> 3) & FLAG_CHAINED != 0;
    if !chained && offset - function.start < u32::from(prologue_size) {
        return None;
    }
    let mut left = Epilogue::default();
    let mut at = offset;
    for instruction in 0..EPILOGUE_INSTRUCTIONS_MAX {
        let byte = |index: u32| memory.image::<1>(at + index).map(|[byte]| byte);
        let immediate = |index: u32| image_u32(memory, at + index).map(|value| i64::from(value.cast_signed()));
        let [first, second] = memory.image::<2>(at)?;
        match (first, second) {
            (0x58..=0x5f, _) => {
                left.pops.push(usize::from(first - 0x58));
                at += 1;
            }
            (0x41, 0x58..=0x5f) => {
                left.pops.push(usize::from(second - 0x58) + 8);
                at += 2;
            }
            (0x48, 0x83 | 0x81) if instruction == 0 && byte(2)? == 0xc4 => {
                let short = second == 0x83;
                left.deallocates =
                    if short { i64::from(byte(3)?.cast_signed()) } else { immediate(3)? }.cast_unsigned();
                at += if short { 4 } else { 7 };
            }
            // lea rsp, [frame register + displacement].
            (0x48 | 0x49, 0x8d) if instruction == 0 && frame_register != 0 => {
                let operand = byte(2)?;
                let base = usize::from(operand & 7) | usize::from(first & 1) << 3;
                if operand & 0x38 != 0x20 || base != frame_register {
                    return None;
                }
                let (displacement, length) = match operand >> 6 {
                    0 => (0, 3),
                    1 => (i64::from(byte(3)?.cast_signed()), 4),
                    2 => (immediate(3)?, 7),
                    _ => return None,
                };
                left.from_frame = Some((base, displacement));
                at += length;
            }
            (0xc3 | 0xc2, _) | (0xf3, 0xc3) => return Some(left),
            (0xeb, _) | (0xe9, _) => {
                let (distance, length) =
                    if first == 0xeb { (i64::from(byte(1)?.cast_signed()), 2) } else { (immediate(1)?, 5) };
                let target = i64::from(at) + length + distance;
                let inside = (i64::from(function.start) + 1..i64::from(function.end)).contains(&target);
                return (!inside && !chained).then_some(left);
            }
            // Jumps through memory: to imports, or marked by REX.W as tail calls are.
            (0xff, 0x25) => return Some(left),
            (0x48, 0xff) if byte(2)? & 0x38 == 0x20 => return Some(left),
            _ => return None,
        }
    }
    None
}

/// Executes what is left of an epilogue. Returns the address that the frame's handler would have known it by.
fn leave(memory: &impl Memory, left: &Epilogue, registers: &mut Registers) -> Option<u64> {
    let establisher = registers.general[RSP];
    if let Some((base, displacement)) = left.from_frame {
        registers.general[RSP] = registers.general[base].wrapping_add_signed(displacement);
    }
    registers.general[RSP] = registers.general[RSP].wrapping_add(left.deallocates);
    for &register in &left.pops {
        let value = memory.stack(registers.general[RSP])?;
        registers.general[RSP] += 8;
        registers.general[register] = value;
    }
    registers.rip = memory.stack(registers.general[RSP])?;
    registers.general[RSP] += 8;
    Some(establisher)
}

fn vector(memory: &impl Memory, address: u64) -> Option<u128> {
    Some(u128::from(memory.stack(address)?) | u128::from(memory.stack(address.checked_add(8)?)?) << 64)
}

enum Applied {
    Codes,
    MachineFrame,
}

fn apply(
    memory: &impl Memory,
    codes: u32,
    count: u8,
    frame: u8,
    prologue: Option<u32>,
    registers: &mut Registers,
) -> Option<Applied> {
    let (frame_register, frame_offset) = (usize::from(frame & 15), u64::from(frame >> 4) * 16);
    let slot = |index: u32| memory.image::<2>(codes + 2 * index).map(u16::from_le_bytes);
    let base = if frame_register != 0 {
        registers.general[frame_register].wrapping_sub(frame_offset)
    } else {
        registers.general[RSP]
    };
    let mut index = 0;
    while index < u32::from(count) {
        let [at, operation] = slot(index)?.to_le_bytes();
        let (code, info) = (operation & 15, usize::from(operation >> 4));
        let slots = match code {
            UWOP_PUSH_NONVOL | UWOP_ALLOC_SMALL | UWOP_SET_FPREG | UWOP_PUSH_MACHFRAME | UWOP_EPILOG => 1,
            UWOP_ALLOC_LARGE => 2 + u32::from(info != 0),
            UWOP_SAVE_NONVOL | UWOP_SAVE_XMM128 | UWOP_SPARE => 2,
            UWOP_SAVE_NONVOL_FAR | UWOP_SAVE_XMM128_FAR => 3,
            _ => return None,
        };
        // In the prologue, what has not been executed yet is not undone.
        if prologue.is_none_or(|executed| u32::from(at) <= executed) {
            let far = |index: u32| Some(u64::from(slot(index + 1)?) | u64::from(slot(index + 2)?) << 16);
            let stack = &mut registers.general[RSP];
            match code {
                UWOP_PUSH_NONVOL => {
                    let value = memory.stack(*stack)?;
                    *stack += 8;
                    registers.general[info] = value;
                }
                UWOP_ALLOC_SMALL => *stack += 8 * info as u64 + 8,
                UWOP_ALLOC_LARGE if info == 0 => *stack += 8 * u64::from(slot(index + 1)?),
                UWOP_ALLOC_LARGE => *stack += far(index)?,
                UWOP_SET_FPREG => *stack = base,
                UWOP_SAVE_NONVOL => registers.general[info] = memory.stack(base + 8 * u64::from(slot(index + 1)?))?,
                UWOP_SAVE_NONVOL_FAR => registers.general[info] = memory.stack(base + far(index)?)?,
                UWOP_SAVE_XMM128 => {
                    registers.vector[info] = vector(memory, base + 16 * u64::from(slot(index + 1)?))?;
                }
                UWOP_SAVE_XMM128_FAR => registers.vector[info] = vector(memory, base + far(index)?)?,
                UWOP_PUSH_MACHFRAME => {
                    let at = *stack + 8 * info as u64;
                    registers.rip = memory.stack(at)?;
                    registers.general[RSP] = memory.stack(at + 24)?;
                    return Some(Applied::MachineFrame);
                }
                _ => {}
            }
        }
        index += slots;
    }
    Some(Applied::Codes)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    struct Fake {
        image: Vec<u8>,
        stack: BTreeMap<u64, u64>,
    }

    impl Memory for Fake {
        fn stack(&self, address: u64) -> Option<u64> {
            self.stack.get(&address).copied()
        }
        fn image<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
            self.image.get(offset as usize..)?.get(..N)?.try_into().ok()
        }
    }

    const BASE: u64 = 0xffff_f800_1000_0000;
    const TABLE: (u32, u32) = (0x100, 12);

    /// Makes an image with one function at 0x1000..0x1100 and the given unwind info.
    fn image(info: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x300];
        image[0x100..0x10c].copy_from_slice(&[0, 0x10, 0, 0, 0, 0x11, 0, 0, 0, 2, 0, 0]);
        image[0x200..0x200 + info.len()].copy_from_slice(info);
        image
    }

    fn registers(offset: u64, rsp: u64) -> Registers {
        let mut registers = Registers { rip: BASE + offset, ..Registers::default() };
        registers.general[RSP] = rsp;
        registers
    }

    #[test]
    fn pushes_and_allocations_are_undone_in_order() {
        // push rbp (1 byte), push rdi (2), sub rsp, 0x28 (6).
        let fake = Fake {
            image: image(&[1, 6, 3, 0, 6, 0x42, 2, 0x70, 1, 0x50]),
            stack: [(0x1028, 0x77), (0x1030, 0x55), (0x1038, 0xabc)].into(),
        };
        let mut frame = registers(0x1080, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP]), (0xabc, 0x1040));
        assert_eq!((frame.general[7], frame.general[RBP]), (0x77, 0x55));
    }

    #[test]
    fn undoes_only_the_executed_part_of_a_prologue() {
        let fake = Fake {
            image: image(&[1, 6, 3, 0, 6, 0x42, 2, 0x70, 1, 0x50]),
            stack: [(0x1000, 0x55), (0x1008, 0xabc)].into(),
        };
        let mut frame = registers(0x1001, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP], frame.general[RBP]), (0xabc, 0x1010, 0x55));
    }

    #[test]
    fn a_frame_register_finds_the_frame_whatever_the_stack_pointer_is() {
        // push rbp; sub rsp, 0x20; lea rbp, [rsp+0x20].
        let fake = Fake {
            image: image(&[1, 10, 3, 0x25, 10, 3, 5, 0x32, 1, 0x50]),
            stack: [(0x2020, 0x99), (0x2028, 0xdef)].into(),
        };
        let mut frame = registers(0x1090, 0x1234_0000);
        frame.general[RBP] = 0x2020;
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP], frame.general[RBP]), (0xdef, 0x2030, 0x99));
    }

    #[test]
    fn unwinds_a_function_without_an_entry_as_a_leaf() {
        let fake = Fake { image: image(&[1, 0, 0, 0]), stack: [(0x1000, 0xabc)].into() };
        let mut frame = registers(0x1200, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP]), (0xabc, 0x1008));
    }

    #[test]
    fn a_handler_is_found_behind_the_prologue_only() {
        // sub rsp, 0x28 (4 bytes); handler 0x1500 with its data behind.
        let info = [1 | 3 << 3, 4, 1, 0, 4, 0x42, 0, 0, 0, 0x15, 0, 0, 0xaa];
        let stack: BTreeMap<u64, u64> = [(0x1000, 0xabc), (0x1028, 0xabc)].into();
        let fake = Fake { image: image(&info), stack };
        let inside = step(&fake, BASE, TABLE, &mut registers(0x1080, 0x1000)).unwrap();
        assert_eq!(inside.handler, Some(Handler { flags: 3, routine: 0x1500, data: 0x20c }));
        assert_eq!((inside.entry, inside.establisher), (Some(0x100), 0x1000));
        let before = step(&fake, BASE, TABLE, &mut registers(0x1002, 0x1000)).unwrap();
        assert_eq!(before.handler, None);
    }

    #[test]
    fn vector_registers_are_restored() {
        // sub rsp, 0x28; movaps [rsp+0x10], xmm6.
        let fake = Fake {
            image: image(&[1, 9, 3, 0, 9, 0x68, 1, 0, 4, 0x42]),
            stack: [(0x1010, 7), (0x1018, 9), (0x1028, 0xabc)].into(),
        };
        let mut frame = registers(0x1080, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!(frame.vector[6], 9 << 64 | 7);
    }

    /// Returns the function above with code at an offset.
    fn with_code(info: &[u8], at: usize, code: &[u8]) -> Vec<u8> {
        let mut image = image(info);
        image.resize(0x1300, 0xcc);
        image[at..at + code.len()].copy_from_slice(code);
        image
    }

    #[test]
    fn an_epilogue_is_unwound_from_each_of_its_instructions() {
        // push rbp; push rdi; sub rsp, 0x28 ... add rsp, 0x28; pop rdi; pop rbp; ret.
        let info = [1, 6, 3, 0, 6, 0x42, 2, 0x70, 1, 0x50];
        let code = [0x48, 0x83, 0xc4, 0x28, 0x5f, 0x5d, 0xc3];
        let stack = [(0x1028, 0x77), (0x1030, 0x55), (0x1038, 0xabc)];
        for (offset, rsp) in [(0x1080, 0x1000), (0x1084, 0x1028), (0x1085, 0x1030), (0x1086, 0x1038)] {
            let fake = Fake { image: with_code(&info, 0x1080, &code), stack: stack.into() };
            let mut frame = registers(offset, rsp);
            (frame.general[7], frame.general[RBP]) = (0x77, 0x55);
            step(&fake, BASE, TABLE, &mut frame).unwrap();
            assert_eq!((frame.rip, frame.general[RSP]), (0xabc, 0x1040), "{offset:#x}");
            assert_eq!((frame.general[7], frame.general[RBP]), (0x77, 0x55), "{offset:#x}");
        }
    }

    #[test]
    fn an_epilogue_finds_its_stack_by_the_frame_register() {
        // push rbp; sub rsp, 0x20; lea rbp, [rsp+0x20] ... lea rsp, [rbp+0]; pop rbp; ret.
        let info = [1, 10, 3, 0x25, 10, 3, 5, 0x32, 1, 0x50];
        let fake = Fake {
            image: with_code(&info, 0x1090, &[0x48, 0x8d, 0x65, 0x00, 0x5d, 0xc3]),
            stack: [(0x2020, 0x99), (0x2028, 0xdef)].into(),
        };
        let mut frame = registers(0x1090, 0x1234_0000);
        frame.general[RBP] = 0x2020;
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP], frame.general[RBP]), (0xdef, 0x2030, 0x99));
    }

    #[test]
    fn calls_no_handler_in_an_epilogue() {
        // sub rsp, 0x28 with a handler ... add rsp, 0x28; jmp to another function.
        let info = [1 | 3 << 3, 4, 1, 0, 4, 0x42, 0, 0, 0, 0x15, 0, 0, 0xaa];
        let jump = [0x48, 0x83, 0xc4, 0x28, 0xe9, 0x00, 0x10, 0, 0];
        let fake = Fake { image: with_code(&info, 0x1080, &jump), stack: [(0x1028, 0xabc)].into() };
        assert_eq!(step(&fake, BASE, TABLE, &mut registers(0x1080, 0x1000)).unwrap().handler, None);
    }

    #[test]
    fn does_not_take_a_jump_within_its_function_for_an_epilogue() {
        let info = [1 | 3 << 3, 4, 1, 0, 4, 0x42, 0, 0, 0, 0x15, 0, 0, 0xaa];
        // jmp +0x10.
        let fake = Fake { image: with_code(&info, 0x1080, &[0xeb, 0x10]), stack: [(0x1028, 0xabc)].into() };
        let frame = step(&fake, BASE, TABLE, &mut registers(0x1080, 0x1000)).unwrap();
        assert_eq!(frame.handler, Some(Handler { flags: 3, routine: 0x1500, data: 0x20c }));
    }

    #[test]
    fn the_epilogue_codes_of_version_2_are_passed_over() {
        // Version 2: an epilogue of 3 bytes at the end, another 0x40 before it, push rdi, push rbp.
        let info = [2, 2, 4, 0, 3, 0x16, 0x40, 0x06, 2, 0x70, 1, 0x50];
        let fake = Fake { image: image(&info), stack: [(0x1000, 0x77), (0x1008, 0x55), (0x1010, 0xabc)].into() };
        let mut frame = registers(0x1080, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP]), (0xabc, 0x1018));
        assert_eq!((frame.general[7], frame.general[RBP]), (0x77, 0x55));
    }

    #[test]
    fn a_part_of_a_function_is_unwound_as_the_whole_behind_its_own_codes() {
        // The part at 0x1000: sub rsp, 0x18, chained to the function at 0x1100: push rbx; sub rsp, 0x20.
        let mut bytes = image(&[1 | 4 << 3, 4, 1, 0, 4, 0x22, 0, 0, 0, 0x11, 0, 0, 0, 0x12, 0, 0, 0x40, 2, 0, 0]);
        bytes[0x240..0x248].copy_from_slice(&[1, 5, 2, 0, 5, 0x32, 1, 0x30]);
        let fake = Fake { image: bytes, stack: [(0x1038, 0x33), (0x1040, 0xabc)].into() };
        let mut frame = registers(0x1080, 0x1000);
        let found = step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP], frame.general[3]), (0xabc, 0x1048, 0x33));
        assert_eq!((found.entry, found.handler), (Some(0x100), None));
    }

    #[test]
    fn unwinds_a_machine_frame_to_the_interrupted_code() {
        // sub rsp, 0x28 behind a machine frame with an error code: what a trap's entry would have.
        let fake =
            Fake { image: image(&[1, 4, 2, 0, 4, 0x42, 0, 0x1a]), stack: [(0x1030, 0x5555), (0x1048, 0x9000)].into() };
        let mut frame = registers(0x1080, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP]), (0x5555, 0x9000));
    }

    #[test]
    fn restores_registers_saved_by_moves_near_and_far() {
        // sub rsp, 0x100000 (large, far); mov [rsp+0x40], rbx; mov [rsp+0x80000], rsi; movaps [rsp+0x90000], xmm7.
        let info = [1, 30, 11, 0, 30, 0x79, 0, 0, 9, 0, 22, 0x65, 0, 0, 8, 0, 12, 0x34, 8, 0, 7, 0x11, 0, 0, 0x10, 0];
        let fake = Fake {
            image: image(&info),
            stack: [(0x9_1000, 1), (0x9_1008, 2), (0x8_1000, 0x66), (0x1040, 0x33), (0x10_1000, 0xabc)].into(),
        };
        let mut frame = registers(0x1080, 0x1000);
        step(&fake, BASE, TABLE, &mut frame).unwrap();
        assert_eq!((frame.rip, frame.general[RSP]), (0xabc, 0x10_1008));
        assert_eq!((frame.general[3], frame.general[6], frame.vector[7]), (0x33, 0x66, 2 << 64 | 1));
    }

    #[test]
    fn an_unreadable_stack_ends_the_walk() {
        let fake = Fake { image: image(&[1, 0, 0, 0]), stack: BTreeMap::new() };
        assert_eq!(step(&fake, BASE, TABLE, &mut registers(0x1080, 0x1000)), None);
    }
}
