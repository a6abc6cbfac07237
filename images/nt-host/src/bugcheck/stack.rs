//! Stack walks across both worlds: the driver by its unwind tables, the host by its frame pointers, traps by their
//! saved registers.
#![allow(unsafe_code, reason = "reads a stack that may be broken")]

use alloc::vec::Vec;

use guest_protocol::StackFrame;

use super::modules::{self, Unwind};
use crate::arch::context::registers_of_trap;
use crate::arch::paging;
use crate::arch::trap::{self, TrapFrame};
use crate::pe::unwind::{self, RBP, RSP, Registers};

/// Longest walk reported.
const FRAMES_MAX: usize = 64;

/// Where a walk starts.
#[derive(Clone, Copy, Debug)]
pub struct Context(Registers);

impl Context {
    /// Returns the caller's caller, roughly: the frame that this function's frame pointer leads to.
    #[inline(never)]
    #[must_use]
    pub fn here() -> Self {
        let mut registers = Registers::default();
        // SAFETY: reads two registers.
        unsafe {
            core::arch::asm!(
                "mov {rbp}, rbp", "mov {rsp}, rsp",
                rbp = out(reg) registers.general[RBP], rsp = out(reg) registers.general[RSP],
                options(nomem, nostack, preserves_flags)
            );
        }
        registers.rip = Self::here as *const () as u64;
        let mut context = Self(registers);
        context.step_host();
        context
    }

    /// Returns the code that a trap interrupted.
    #[must_use]
    pub fn of_trap(frame: &TrapFrame) -> Self {
        Self(registers_of_trap(frame))
    }

    /// Returns where registers are.
    #[must_use]
    pub fn of(registers: &Registers) -> Self {
        Self(*registers)
    }

    /// Steps to the caller by frame pointer.
    fn step_host(&mut self) -> Option<()> {
        let frame = self.0.general[RBP];
        if self.0.rip == trap::return_address() {
            if !paging::accessible(frame, size_of::<TrapFrame>() as u64, false) {
                return None;
            }
            // SAFETY: the trap stub keeps the frame's address in the frame pointer; the memory is mapped.
            *self = Self::of_trap(unsafe { &*(frame as *const TrapFrame) });
            return Some(());
        }
        self.0.general[RBP] = read(frame)?;
        self.0.rip = read(frame + 8)?;
        self.0.general[RSP] = frame + 16;
        Some(())
    }
}

fn read(address: u64) -> Option<u64> {
    if !address.is_multiple_of(8) || !paging::accessible(address, 8, false) {
        return None;
    }
    // SAFETY: mapped and aligned; whatever is there is a number.
    Some(unsafe { (address as *const u64).read() })
}

/// Returns the registers of the caller, as far as frame pointers tell them.
#[inline(never)]
pub(crate) fn registers_here() -> Registers {
    Context::here().0
}

/// Replaces the registers of a host's frame by its caller's, as far as frame pointers tell them; a trap's frame is no
/// function's.
pub(crate) fn step_host_frame(registers: &mut Registers) -> Option<()> {
    if registers.rip == trap::return_address() {
        return None;
    }
    let mut context = Context(*registers);
    context.step_host()?;
    *registers = context.0;
    Some(())
}

/// The image that is unwound, in memory.
pub(crate) struct Loaded {
    /// Where it is.
    pub(crate) base: u64,
    /// Its bytes.
    pub(crate) size: u64,
}

impl unwind::Memory for Loaded {
    fn stack(&self, address: u64) -> Option<u64> {
        read(address)
    }
    fn image<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let address = self.base + u64::from(offset);
        if u64::from(offset) + N as u64 > self.size || !paging::accessible(address, N as u64, false) {
            return None;
        }
        // SAFETY: inside the image and mapped.
        Some(unsafe { (address as *const [u8; N]).read() })
    }
}

/// Returns the return addresses from a context outwards, innermost first.
#[must_use]
pub fn walk(mut context: Context) -> Vec<StackFrame> {
    let mut frames = Vec::new();
    while frames.len() < FRAMES_MAX && context.0.rip != 0 {
        let address = context.0.rip;
        if address != trap::return_address() {
            let (module, offset) = modules::module_and_offset(address);
            frames.push(StackFrame { address, module, offset });
        }
        let next = match modules::unwind_table(address) {
            Some(Unwind { base, size, table: Some(table) }) => {
                unwind::step(&Loaded { base, size }, base, table, &mut context.0).map(|_| ())
            }
            Some(Unwind { table: None, .. }) => None,
            None if modules::in_host(address) => context.step_host(),
            // A jump into nowhere: the return address is most likely on top of the stack.
            None if frames.len() == 1 => read(context.0.general[RSP]).map(|rip| {
                context.0.rip = rip;
                context.0.general[RSP] += 8;
            }),
            None => None,
        };
        if next.is_none() {
            break;
        }
    }
    frames
}
