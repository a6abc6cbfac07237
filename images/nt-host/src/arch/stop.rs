//! Which processor stops the system, and what the other one does meanwhile.

use core::sync::atomic::{AtomicU32, Ordering};

use super::cpu;

/// The processor that stops the system, its number plus one; 0 while the system runs.
static STOPPING: AtomicU32 = AtomicU32::new(0);

/// Which processor stops the system, as [`begin`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This processor, from now on.
    Begun,
    /// This processor since an earlier call: it faulted while it reported.
    Repeated,
    /// The other processor.
    OfOther,
}

/// Makes this processor the one that stops the system, if no other is.
#[must_use]
pub fn begin() -> Stop {
    let me = cpu::number() as u32 + 1;
    match STOPPING.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Stop::Begun,
        Err(other) if other == me => Stop::Repeated,
        Err(_) => Stop::OfOther,
    }
}

/// Returns whether the system is being stopped.
#[must_use]
pub fn stopping() -> bool {
    STOPPING.load(Ordering::Relaxed) != 0
}

/// Returns whether this processor stops the system.
#[must_use]
pub fn stopping_here() -> bool {
    STOPPING.load(Ordering::Relaxed) == cpu::number() as u32 + 1
}

/// Halts this processor with interrupts disabled, while the other one reports.
pub fn freeze() -> ! {
    x86_64::instructions::interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}
