//! Interrupt request levels. On x64 the IRQL is the task-priority register CR8, and inlined kernel calls write it
//! directly; these functions do the same.

#![allow(unsafe_code, reason = "exported functions")]

use super::lock_order;
use crate::arch::trap::TrapFrame;
use crate::arch::{cpu, marks, pageable, smp};
use crate::bugcheck::stack::Context;
use crate::contract::{checks, verifier};
use crate::export_functions;
use crate::nt::KIRQL;
use crate::nt::irql::*;

/// Raises the IRQL and gives the old one.
pub fn raise(level: KIRQL) -> KIRQL {
    let old = cpu::irql();
    if level >= DISPATCH_LEVEL {
        pageable::page_out();
    }
    set(old, level);
    old
}

/// Sets the IRQL, which was `old`, and marks the change.
pub(crate) fn set(old: KIRQL, new: KIRQL) {
    marks::irql(old, new);
    cpu::set_irql(new);
}

/// Lowers the IRQL for a driver, and checks that below `DISPATCH_LEVEL` it holds no spin lock.
pub(super) fn lower(function: &'static str, new: KIRQL) {
    check_lowered(function, new, None);
    set(cpu::irql(), new);
}

fn check_lowered(function: &str, new: KIRQL, context: Option<Context>) {
    if new >= DISPATCH_LEVEL {
        return;
    }
    if let Some(lock) = lock_order::held_here() {
        verifier::failed_at(
            checks::LOCK_KEPT_BELOW_DISPATCH,
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [checks::LOCK_KEPT_BELOW_DISPATCH.number.into(), cpu::irql().into(), new.into(), lock],
            context,
            format_args!(
                "the IRQL is lowered to {new} while the spin lock {lock:#x} is held: the next to want the lock on this \
                 processor waits for ever. Release it first, with the function that belongs to how it was acquired"
            ),
        );
    }
}

/// Does what a write of `new` to CR8 by a driver does, as inlined functions of the WDK raise and lower the IRQL.
pub(crate) fn written(frame: &TrapFrame, new: u64) {
    let context = Some(Context::of_trap(frame));
    let old = cpu::irql();
    let Some(new) = u8::try_from(new).ok().filter(|&new| new <= HIGH_LEVEL) else {
        verifier::failed_at(
            checks::LOCK_KEPT_BELOW_DISPATCH,
            0x0a,
            "CR8",
            [0, old.into(), new, frame.rip],
            context,
            format_args!("CR8 is written with {new:#x}, which is no IRQL"),
        );
        return;
    };
    if new < old {
        check_lowered("CR8", new, context);
    }
    if new >= DISPATCH_LEVEL {
        pageable::page_out();
    }
    set(old, new);
}

export_functions! {
    /// Levels.
    pub static EXPORTS;

    /// Returns the current IRQL.
    [ANY] fn KeGetCurrentIrql() -> KIRQL { cpu::irql() }

    /// Raises the IRQL.
    [ANY] fn KfRaiseIrql(new: KIRQL) -> KIRQL {
        let old = cpu::irql();
        if new < old || new > HIGH_LEVEL {
            verifier::stop(0x0a, "KfRaiseIrql", [0, u64::from(old), 0, 0],
                format_args!("the IRQL is {old} and cannot be raised to {new}: raise never lowers"));
        }
        raise(new)
    }

    /// Lowers the IRQL.
    [ANY] fn KeLowerIrql(new: KIRQL) {
        let old = cpu::irql();
        if new > old {
            verifier::stop(0x0a, "KeLowerIrql", [0, u64::from(old), 0, 0],
                format_args!("the IRQL is {old} and cannot be lowered to {new}: lower never raises"));
        }
        lower("KeLowerIrql", new);
    }

    /// Raises to `DISPATCH_LEVEL`.
    [DISPATCH] fn KeRaiseIrqlToDpcLevel() -> KIRQL {
        raise(DISPATCH_LEVEL)
    }

    /// Returns whether all asynchronous procedure calls are disabled.
    [ANY] fn KeAreAllApcsDisabled() -> u8 { u8::from(cpu::irql() >= APC_LEVEL || !cpu::interrupts_enabled()) }

    /// Returns whether ordinary asynchronous procedure calls are disabled.
    [ANY] fn KeAreApcsDisabled() -> u8 {
        u8::from(cpu::irql() >= APC_LEVEL || super::thread::in_critical_region())
    }

    /// Returns the number of the current processor; its group is the only one.
    [ANY] fn KeGetCurrentProcessorNumberEx(number: *mut u32) -> u32 {
        let processor = cpu::number() as u32;
        // PROCESSOR_NUMBER: group, number, reserved.
        if !number.is_null() { number.write(processor << 16) }
        processor
    }

    /// Returns how many processors there are.
    [ANY] fn KeQueryActiveProcessorCount(mask: *mut u64) -> u32 {
        if !mask.is_null() { mask.write((1 << smp::online()) - 1) }
        smp::online() as u32
    }

    /// Returns how many processors there are in a group.
    [ANY] fn KeQueryActiveProcessorCountEx(_group: u16) -> u32 { smp::online() as u32 }

    /// Returns which processors there are.
    [ANY] fn KeQueryActiveProcessors() -> u64 { (1 << smp::online()) - 1 }

    /// Returns how many processors there can be in a group.
    [ANY] fn KeQueryMaximumProcessorCountEx(_group: u16) -> u32 { smp::online() as u32 }

    /// Does nothing: memory and caches are coherent.
    [APC] fn KeFlushIoBuffers(_mdl: *mut crate::nt::MDL, _read: u8, _dma: u8) {}
}
