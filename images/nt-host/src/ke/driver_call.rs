//! Calls into the driver, on a stack of the documented size, from which the caller comes back as it was.

use super::{stack, thread_state};
use crate::arch::cpu;
use crate::contract::{delay, verifier, watch};

const IRQL_UNEXPECTED_VALUE: u32 = 0xc8;

/// Calls into the driver and checks that it comes back at the IRQL it was called at, with interrupts enabled as before;
/// otherwise, if the host goes on, it does so as before the call.
#[track_caller]
pub fn call<R>(what: &str, body: impl FnOnce() -> R) -> R {
    let body = || stack::with_documented_stack(body);
    if !watch::is_on() {
        return body();
    }
    let before = (cpu::irql(), cpu::interrupts_enabled());
    let thread = thread_state::now();
    delay::point();
    let result = body();
    delay::point();
    let after = (cpu::irql(), cpu::interrupts_enabled());
    if before != after {
        verifier::broken(
            verifier::RULE_IRQL,
            IRQL_UNEXPECTED_VALUE,
            what,
            [u64::from(before.0), u64::from(after.0), 0, 0],
            format_args!(
                "{what} was called at IRQL {} and returned at IRQL {}, interrupts {}: it must return as it was called. \
                 Look for a lock that is not released or a level that is not restored",
                before.0,
                after.0,
                if after.1 { "enabled" } else { "disabled" }
            ),
        );
        super::level::set(after.0, before.0);
        cpu::set_interrupts_enabled(before.1);
    }
    thread_state::check(what, thread);
    result
}
