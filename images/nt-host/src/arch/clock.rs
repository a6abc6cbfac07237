//! The machine's clock: the time-stamp counter disciplined by the HPET, and the timer that interrupts.
#![allow(unsafe_code, reason = "the time-stamp counter")]

use super::hpet::Hpet;
use super::uninterrupted::Uninterrupted;
use super::{apic, trap};

/// Longest time that the timer is armed for: the clock interrupts at least this often, and Windows' interrupt period
/// with an audio application is as long.
pub const TICK_NS: u64 = 1_000_000;
/// How often the time-stamp counter is compared with the HPET, whose read is slow.
const DISCIPLINE_NS: u64 = 16_000_000;
/// How long the first comparison takes.
const FIRST_MEASUREMENT_NS: u64 = 2_000_000;
/// How far the rate may be bent to make up for an error: one part in this.
const BEND_MAX: i64 = 20;
/// Above this an error is jumped, not bent: the machine was stopped.
const JUMP_NS: i64 = 20_000_000;
/// Above this the time between two looks at the clock is no time in which the machine ran: it was stopped, or the
/// processor was held at a device that is. While the machine runs, the clock's own interrupt looks every [`TICK_NS`],
/// but for what a driver does with interrupts disabled.
const STANDSTILL_NS: u64 = 100_000_000;
struct Clock {
    hpet: Hpet,
    /// The line that time follows: at `tsc` it was `ns`, and grows by `rate` / 2^32 nanoseconds a count.
    tsc: u64,
    ns: u64,
    rate: u64,
    /// The last comparison.
    compared: (u64, u64),
    /// The line at the last look.
    looked: u64,
    /// Nanoseconds, of those on the line, in which the machine did not run.
    stood_still: u64,
    /// The system's time leaves those out.
    runs_only: bool,
    timer_ticks_per_ms: u64,
    /// When the timer that is armed interrupts, on the system's time.
    armed: Option<u64>,
}

static CLOCK: Uninterrupted<Option<Clock>> = Uninterrupted::new(None);

fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Clock {
    /// Returns the nanoseconds on the machine's own clocks, which go on while it is stopped.
    fn line(&self) -> u64 {
        let counts = tsc().saturating_sub(self.tsc);
        self.ns + ((u128::from(counts) * u128::from(self.rate)) >> 32) as u64
    }

    /// Returns the nanoseconds in which the machine ran.
    fn ran(&mut self) -> u64 {
        let now = self.line();
        let passed = now.saturating_sub(self.looked);
        if passed > STANDSTILL_NS {
            self.stood_still += passed;
        }
        self.looked = self.looked.max(now);
        self.looked - self.stood_still
    }

    /// Returns the system's time.
    fn now(&mut self) -> u64 {
        let ran = self.ran();
        if self.runs_only { ran } else { ran + self.stood_still }
    }

    /// Bends the line so that it meets the HPET at the next comparison.
    fn discipline(&mut self) {
        let (true_ns, counts) = (self.hpet.nanoseconds(), tsc());
        let passed_counts = counts.saturating_sub(self.compared.0).max(1);
        let passed_ns = true_ns.saturating_sub(self.compared.1);
        let shown = self.line();
        let measured = ((u128::from(passed_ns) << 32) / u128::from(passed_counts)) as u64;
        let error = true_ns as i64 - shown as i64;
        self.tsc = counts;
        self.compared = (counts, true_ns);
        if error > JUMP_NS {
            self.ns = true_ns;
            self.rate = measured;
        } else {
            self.ns = shown;
            let bend = (measured as i128 * i128::from(error) / i128::from(DISCIPLINE_NS)) as i64;
            let most = measured as i64 / BEND_MAX;
            self.rate = measured.saturating_add_signed(bend.clamp(-most, most));
        }
    }

    /// Arms the timer, unless it will interrupt before: the clock looks again then. A write to the timer is among the slowest
    /// accesses of an emulated machine, and most timers that drivers set are cancelled.
    fn arm(&mut self, at: u64) {
        let now = self.now();
        let at = at.clamp(now, now + TICK_NS);
        if self.armed.is_some_and(|armed| now < armed && armed <= at) {
            return;
        }
        self.armed = Some(at);
        // Rounded up, so that it does not come just before the time that it is for.
        apic::arm_timer(((at - now) * self.timer_ticks_per_ms).div_ceil(1_000_000) as u32);
    }
}

/// Measures the time-stamp counter and the timer by the HPET, and starts the clock. The timer is not armed yet.
///
/// # Panics
/// If the machine has no HPET.
pub fn init() {
    let hpet = Hpet::start().expect("the machine has no HPET: start QEMU with -machine q35,hpet=on");
    apic::start_timer_for_measurement();
    let (start_counts, start_ns) = (tsc(), hpet.nanoseconds());
    let mut end = (tsc(), hpet.nanoseconds());
    while end.1 - start_ns < FIRST_MEASUREMENT_NS {
        end = (tsc(), hpet.nanoseconds());
    }
    let timer_ticks = u64::from(apic::measured_ticks());
    let passed = end.1 - start_ns;
    let clock = Clock {
        hpet,
        tsc: end.0,
        ns: end.1,
        rate: ((u128::from(passed) << 32) / u128::from(end.0 - start_counts).max(1)) as u64,
        compared: end,
        looked: end.1,
        stood_still: 0,
        runs_only: false,
        timer_ticks_per_ms: (timer_ticks * 1_000_000 / passed).max(1),
        armed: None,
    };
    apic::route_timer(trap::CLOCK_VECTOR);
    CLOCK.with(|slot| *slot = Some(clock));
}

/// Compares the time-stamp counter with the HPET, if that is due.
pub fn discipline() {
    CLOCK.with(|clock| {
        let Some(clock) = clock else { return };
        if clock.line().saturating_sub(clock.ns) > DISCIPLINE_NS {
            clock.discipline();
        }
    });
}

/// Notes that the timer has interrupted.
pub fn interrupted() {
    CLOCK.with(|clock| {
        if let Some(clock) = clock {
            clock.armed = None;
        }
    });
}

/// Arms the timer of this processor for a time in nanoseconds, at most [`TICK_NS`] from now.
pub fn arm(at: u64) {
    CLOCK.with(|clock| {
        if let Some(clock) = clock {
            clock.arm(at);
        }
    });
}

/// Returns the nanoseconds since the machine started; never goes back. At any IRQL.
#[must_use]
pub fn nanoseconds() -> u64 {
    CLOCK.with(|clock| clock.as_mut().map_or(0, Clock::now))
}

/// Returns the nanoseconds in which the machine ran: as [`nanoseconds`], but for the time in which it was stopped. At
/// any IRQL.
#[must_use]
pub fn ran() -> u64 {
    CLOCK.with(|clock| clock.as_mut().map_or(0, Clock::ran))
}

/// Sets whether the system's time leaves out what the machine's clocks show but did not run. Before anything is timed.
pub fn leave_out_standstills(leave_out: bool) {
    CLOCK.with(|clock| {
        if let Some(clock) = clock {
            clock.runs_only = leave_out;
        }
    });
}
