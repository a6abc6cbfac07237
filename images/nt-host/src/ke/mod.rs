//! The kernel core: IRQL, interrupts, deferred procedure calls, time, threads, waiting, bug checks.

pub mod bugcheck;
pub mod bugcheck_callback;
pub mod device_queue;
pub mod dpc;
pub mod driver_call;
pub mod event;
pub mod handle;
pub mod handlers;
pub mod inline_irql;
#[cfg(target_os = "none")]
pub mod inspect;
pub mod interrupt;
pub mod level;
pub mod list;
pub mod lock_order;
pub mod message_connection;
pub(crate) mod preemption_point;
pub mod process;
pub mod processors;
pub mod raise;
pub(crate) mod resident;
pub mod spin_lock;
pub mod stack;
pub mod thread;
pub mod thread_state;
pub mod time;
pub mod timer;
pub mod wait;
pub mod work;

use crate::contract::export::Export;

/// What the core exports.
pub static EXPORTS: &[&[Export]] = &[
    bugcheck_callback::EXPORTS,
    processors::EXPORTS,
    level::EXPORTS,
    spin_lock::EXPORTS,
    device_queue::EXPORTS,
    dpc::EXPORTS,
    timer::EXPORTS,
    time::EXPORTS,
    event::EXPORTS,
    wait::EXPORTS,
    thread::EXPORTS,
    stack::EXPORTS,
    work::EXPORTS,
    interrupt::EXPORTS,
    bugcheck::EXPORTS,
];

/// Starts clocks and threads. Interrupts are still off.
pub fn init() {
    crate::bugcheck::run_last(bugcheck_callback::call_all);
    dpc::init();
    time::init();
    stack::init();
    thread::init();
    timer::init();
    work::init();
}

/// Makes the code that runs a part of the core, on the second processor.
pub(crate) fn second_processor() {
    thread::adopt();
}

/// Wakes the host's main thread from [`idle`], because something has arrived for it. At any IRQL.
pub fn host_wakeup() {
    dpc::request_host_wakeup();
}

/// Lets the main thread sleep until the line has something for it, or `timeout_ns` is over. At `PASSIVE_LEVEL`.
pub fn idle(timeout_ns: u64) {
    wait::host_idle(timeout_ns);
}

/// What the core counted since boot.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// Interrupts that came for drivers.
    pub interrupts: u64,
    /// Of those, how many no driver claimed.
    pub interrupts_not_claimed: u64,
    /// Deferred procedure calls run.
    pub dpcs: u64,
}

/// Returns the counters.
#[must_use]
pub fn statistics() -> Counters {
    let (interrupts, interrupts_not_claimed) = interrupt::counts();
    Counters { interrupts, interrupts_not_claimed, dpcs: dpc::count() }
}
