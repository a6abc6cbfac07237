//! The NT host: a guest kernel that hosts an unmodified Windows driver and checks what the documentation
//! demands of it.
//!
//! | what | where |
//! |---|---|
//! | the harness's requests | `agent` |
//! | probes that drive a driver through calls | `conformance` |
//! | this guest's PortCls | `portcls` |
//! | what drivers can import | `exports` |
//! | what PortCls drivers take of `ks.sys` | `ks` |
//! | content rights, WMI requests, the in-flight recorder, the refusal of KMDF | `drmk`, `wmilib`, `wpp_recorder`, `wdfldr` |
//! | the driver's life: load, start, remove, unload | `pnp` |
//! | devices, packets, DMA, names, registry | `io` |
//! | locks that threads wait for, lists, pool as drivers ask for it | `ex` |
//! | strings, debug output, C routines | `rtl` |
//! | memory as drivers know it, and faults | `mm` |
//! | the kernel core: IRQL, interrupts, DPCs, timers, threads, waiting | `ke` |
//! | device nodes: identifiers, what an INF installed | `devnode` |
//! | the PCI bus | `pci` |
//! | allocations that fail on purpose | `alloc_faults` |
//! | rules, checks, violations | `contract` |
//! | bug checks: stack, modules, report | `bugcheck` |
//! | options, and messages to the harness | `harness` |
//! | the machine: entry, traps, clocks, serial line, frames, page tables | `arch` |
//! | reading PE images, unwinding | [`pe`] |
//! | the WDK's structures and numbers | [`nt`] |
//! | what needs no machine | [`base`] |
//!
//! Each uses only what is below it. What touches the machine is built for `x86_64-unknown-none` only; the rest is
//! tested on the build machine.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod agent;
pub mod base;
pub mod bugcheck;
pub mod conformance;
pub mod contract;
mod drmk;
pub mod exports;
pub mod harness;
pub mod ks;
pub mod nt;
pub mod pe;
pub mod portcls;
mod wdfldr;
mod wmilib;
mod wpp_recorder;

#[cfg(target_os = "none")]
pub mod alloc_faults;
#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod devnode;
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
pub mod po;
#[cfg(target_os = "none")]
pub mod rtl;
#[cfg(target_os = "none")]
mod start;
