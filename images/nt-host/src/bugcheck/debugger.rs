//! Where a debugger stops this guest: functions that do nothing, by names and with arguments that no compiler changes.
//!
//! A debugger that is attached through QEMU's stub knows nothing of the driver. It sets a breakpoint on these functions by name and
//! reads their arguments from the registers of the System V ABI at the first instruction.
//!
//! | function | is called | `rdi` | `rsi` | `rdx` | `rcx` |
//! |---|---|---|---|---|---|
//! | [`nt_host_image_loaded`] | when an image is mapped and bound, before any of it runs | base | bytes | its name | the name's bytes |
//! | [`nt_host_violation`] | at each violation of a rule or check, and at each bug check | rule, or 0 | the function's name | the name's bytes | |
//!
//! Where no debugger is to come, the harness names a rule at whose violation the machine pauses itself (`break-on`).
#![allow(unsafe_code, reason = "names that no compiler changes, and a port of the machine")]

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_protocol::pause;
use x86_64::instructions::port::Port;

use crate::harness::options::BreakOn;

/// Does nothing: a debugger that stops here learns of an image of which nothing has run yet. `name` is not terminated.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn nt_host_image_loaded(base: u64, size: u64, name: *const u8, name_bytes: u64) {
    naked_asm!("ret")
}

/// Does nothing: a debugger that stops here has the call that violated a rule or check on the stack. `rule` is 0 for a bug check
/// without one. `function` is not terminated.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn nt_host_violation(rule: u32, function: *const u8, function_bytes: u64) {
    naked_asm!("ret")
}

/// The value of [`PAUSE_AT`] for no rule.
const NEVER: u32 = u32::MAX;
/// The value of [`PAUSE_AT`] for each violation and each bug check.
const ANY: u32 = u32::MAX - 1;

/// The rule at whose violation the machine pauses.
static PAUSE_AT: AtomicU32 = AtomicU32::new(NEVER);

/// Sets at which violation the machine pauses.
pub fn pause_at(rule: Option<BreakOn>) {
    let number = match rule {
        None => NEVER,
        Some(BreakOn::Any) => ANY,
        Some(BreakOn::Rule(number)) => u32::from(number),
    };
    PAUSE_AT.store(number, Ordering::Relaxed);
}

/// Tells a debugger of an image in memory.
pub(crate) fn image_loaded(base: u64, size: u64, name: &str) {
    nt_host_image_loaded(base, size, name.as_ptr(), name.len() as u64);
}

/// Tells a debugger of a violation in a function, and pauses the machine where the harness wants that.
#[inline(never)]
pub(super) fn violation(rule: Option<u16>, function: &str) {
    let rule = rule.map_or(0, u32::from);
    nt_host_violation(rule, function.as_ptr(), function.len() as u64);
    let at = PAUSE_AT.load(Ordering::Relaxed);
    if at == ANY || at == rule && rule != 0 {
        // SAFETY: the port is that of the device by which the machine pauses, or no device has it.
        unsafe { Port::<u8>::new(pause::PORT).write(pause::PAUSE) };
    }
}
