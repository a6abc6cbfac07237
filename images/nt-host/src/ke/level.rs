//! Interrupt request levels. On x64 the IRQL is the task-priority register CR8, and inlined kernel calls write it
//! directly; these functions do the same.

#![allow(unsafe_code, reason = "exported functions")]

use crate::arch::{cpu, smp};
use crate::exports;
use crate::nt::KIRQL;
use crate::nt::irql::*;
use crate::verifier;

/// Raises the IRQL and gives the old one.
pub fn raise(level: KIRQL) -> KIRQL {
    let old = cpu::irql();
    cpu::set_irql(level);
    old
}

exports! {
    /// Levels.
    pub static EXPORTS;

    /// The current IRQL.
    [ANY] fn KeGetCurrentIrql() -> KIRQL { cpu::irql() }

    /// Raises the IRQL.
    [ANY] fn KfRaiseIrql(new: KIRQL) -> KIRQL {
        let old = cpu::irql();
        if new < old || new > HIGH_LEVEL {
            verifier::stop(0x0a, "KfRaiseIrql", [0, u64::from(old), 0, 0],
                format_args!("the IRQL is {old} and cannot be raised to {new}: raise never lowers"));
        }
        if new >= DISPATCH_LEVEL { crate::image::page_out() }
        raise(new)
    }

    /// Lowers the IRQL.
    [ANY] fn KeLowerIrql(new: KIRQL) {
        let old = cpu::irql();
        if new > old {
            verifier::stop(0x0a, "KeLowerIrql", [0, u64::from(old), 0, 0],
                format_args!("the IRQL is {old} and cannot be lowered to {new}: lower never raises"));
        }
        cpu::set_irql(new);
    }

    /// Raises to `DISPATCH_LEVEL`.
    [DISPATCH] fn KeRaiseIrqlToDpcLevel() -> KIRQL {
        crate::image::page_out();
        raise(DISPATCH_LEVEL)
    }

    /// Whether all asynchronous procedure calls are disabled.
    [ANY] fn KeAreAllApcsDisabled() -> u8 { u8::from(cpu::irql() >= APC_LEVEL || !cpu::interrupts_enabled()) }

    /// Whether ordinary asynchronous procedure calls are disabled.
    [ANY] fn KeAreApcsDisabled() -> u8 {
        u8::from(cpu::irql() >= APC_LEVEL || super::thread::in_critical_region())
    }

    /// The number of the current processor; its group is the only one.
    [ANY] fn KeGetCurrentProcessorNumberEx(number: *mut u32) -> u32 {
        let processor = cpu::number() as u32;
        // PROCESSOR_NUMBER: group, number, reserved.
        if !number.is_null() { number.write(processor << 16) }
        processor
    }

    /// How many processors there are.
    [ANY] fn KeQueryActiveProcessorCount(mask: *mut u64) -> u32 {
        if !mask.is_null() { mask.write((1 << smp::online()) - 1) }
        smp::online() as u32
    }

    /// How many processors there are in a group.
    [ANY] fn KeQueryActiveProcessorCountEx(_group: u16) -> u32 { smp::online() as u32 }

    /// Which processors there are.
    [ANY] fn KeQueryActiveProcessors() -> u64 { (1 << smp::online()) - 1 }

    /// How many processors there can be in a group.
    [ANY] fn KeQueryMaximumProcessorCountEx(_group: u16) -> u32 { smp::online() as u32 }

    /// A bug check for code that must be pageable.
    [APC] fn KeFlushIoBuffers(_mdl: *mut crate::nt::MDL, _read: u8, _dma: u8) {}
}
