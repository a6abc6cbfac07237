//! The machine: entry, processor state, traps, interrupt controllers, clocks, serial line, firmware configuration.

pub mod apic;
pub mod boot;
pub mod context;
pub mod cpu;
pub mod fw_cfg;
pub mod hpet;
pub mod serial;
pub mod smp;
pub mod trap;
