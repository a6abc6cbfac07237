//! The NT host: a guest kernel of our own that hosts an unmodified Windows driver and checks what the documentation
//! demands of it.
//!
//! | what | where |
//! |---|---|
//! | the machine: entry, traps, interrupt controllers, clocks, serial line | [`arch`] |
//! | memory: frames, page tables, heap, windows, `Mm` functions | [`mm`] |
//! | the kernel core: IRQL, DPCs, timers, threads, waiting, bug checks | [`ke`] |
//! | pool, mutexes, lists | [`ex`] |
//! | devices, packets, DMA, names, registry | [`io`] |
//! | strings, debug output, C routines | [`rtl`] |
//! | the PCI bus | [`pci`] |
//! | the driver's life: load, start, remove, unload | [`pnp`], [`image`], [`pe`] |
//! | what drivers can import | [`api`], [`export`] |
//! | rules and their violation | [`verifier`], [`checks`], [`lock_graph`] |
//! | allocations that fail on purpose | [`shortage`], [`refusals`] |
//! | this guest's PortCls, and what drivers take of `ks.sys` | [`portcls`], [`ks`] |
//! | the harness's requests | [`agent`], [`line`] |
//!
//! What touches the machine is built for `x86_64-unknown-none` only; the rest is tested on the build machine.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod agent;
pub mod base;
pub mod bugcheck;
pub mod conformance;
pub mod contract;
pub mod exports;
pub mod harness;
pub mod ks;
pub mod nt;
pub mod pe;
pub mod portcls;

#[cfg(target_os = "none")]
pub mod alloc_faults;
#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod ex;
#[cfg(target_os = "none")]
pub mod io;
#[cfg(target_os = "none")]
pub mod ke;
#[cfg(target_os = "none")]
pub mod mm;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
pub mod pci;
#[cfg(target_os = "none")]
pub mod pnp;
#[cfg(target_os = "none")]
pub mod rtl;
#[cfg(target_os = "none")]
mod start;
