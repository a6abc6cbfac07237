//! Notices when a driver writes CR8 itself, as inlined functions of the WDK do to raise and to lower the IRQL: each
//! such instruction becomes an invalid one in memory, and its exception does what the instruction does, with the checks
//! that the functions of the system make.

use alloc::collections::BTreeMap;

use super::level;
use crate::arch::context::registers_of_trap;
use crate::arch::trap::TrapFrame;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::watch;
use crate::pe::cr8;

/// `ud2`, which takes the place of the first two bytes.
const INVALID: [u8; 2] = [0x0f, 0x0b];

/// Where the loaded driver writes CR8, and from which register.
static WRITES: Uninterrupted<BTreeMap<u64, u8>> = Uninterrupted::new(BTreeMap::new());

/// Replaces the writes of CR8 in a part of an image that will be at `base`. `functions` as [`cr8::writes`] takes them.
pub(crate) fn replace(memory: &mut [u8], base: u64, code: core::ops::Range<u32>, functions: &[(u32, u32)]) {
    if !watch::is_on() {
        return;
    }
    for write in cr8::writes(memory, code, functions) {
        let at = write.offset as usize;
        memory[at..at + INVALID.len()].copy_from_slice(&INVALID);
        WRITES.with(|writes| writes.insert(base + u64::from(write.offset), write.register));
    }
}

/// Forgets the writes of a driver that is unloaded.
pub(crate) fn forget() {
    WRITES.with(BTreeMap::clear);
}

/// Executes the write of CR8 that an invalid instruction stands for. Returns whether it was one.
pub(crate) fn write(frame: &mut TrapFrame) -> bool {
    let Some(register) = WRITES.with(|writes| writes.get(&frame.rip).copied()) else { return false };
    let value = registers_of_trap(frame).general[usize::from(register)];
    level::written(frame, value);
    frame.rip += cr8::LENGTH as u64;
    true
}
