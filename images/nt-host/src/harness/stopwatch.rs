//! How long an interrupt takes on its way to a client: marks along the way, for one interrupt at a time.
//!
//! Nothing is marked unless the watch is [armed](arm); a mark is then one look at an atomic.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A place on the way, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// The interrupt is taken: no service routine has been called.
    Raised = 1,
    /// A service routine has claimed it and returned.
    Claimed = 2,
    /// From a DPC, the service group has called the port's sink of a stream.
    Served = 3,
    /// What the device took in has reached the port's capture sink.
    Arrived = 4,
}

/// Times from [`Mark::Raised`] on, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lap {
    /// To [`Mark::Claimed`].
    pub claimed: u64,
    /// To [`Mark::Served`].
    pub served: u64,
    /// To [`Mark::Arrived`].
    pub arrived: u64,
}

const IDLE: u8 = 0xFF;
const ARMED: u8 = 0;

/// The last mark that was passed; [`IDLE`], [`ARMED`].
static PASSED: AtomicU8 = AtomicU8::new(IDLE);
static TIMES: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// Waits for an interrupt.
pub fn arm() {
    PASSED.store(ARMED, Ordering::Release);
}

/// Waits for none.
pub fn disarm() {
    PASSED.store(IDLE, Ordering::Release);
}

/// Passes a mark. At any IRQL.
#[inline]
pub fn mark(mark: Mark, now: impl FnOnce() -> u64) {
    let passed = PASSED.load(Ordering::Acquire);
    if passed != IDLE {
        pass(mark, passed, now());
    }
}

#[cold]
fn pass(mark: Mark, passed: u8, now: u64) {
    let step = mark as u8;
    // An interrupt that brought nothing to the client, or that no driver claimed, was not the one that is waited for.
    let again = mark == Mark::Raised && passed != Mark::Claimed as u8 && passed != Mark::Arrived as u8;
    if again || (passed > ARMED && passed + 1 == step) {
        TIMES[usize::from(step)].store(now, Ordering::Relaxed);
        PASSED.store(step, Ordering::Release);
    }
}

/// Returns the times of an interrupt that has gone all the way.
#[must_use]
pub fn lap() -> Option<Lap> {
    if PASSED.load(Ordering::Acquire) != Mark::Arrived as u8 {
        return None;
    }
    let at = |mark: Mark| TIMES[mark as usize].load(Ordering::Relaxed);
    let since = |mark| at(mark).saturating_sub(at(Mark::Raised));
    Some(Lap { claimed: since(Mark::Claimed), served: since(Mark::Served), arrived: since(Mark::Arrived) })
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because there is one watch.
    #[test]
    fn a_lap_ends_when_the_interrupt_reaches_the_capture_sink() {
        let at = |step, time| mark(step, || time);
        at(Mark::Raised, 1);
        assert_eq!(lap(), None, "the watch is not armed");
        arm();
        at(Mark::Arrived, 2);
        assert_eq!(lap(), None, "without an interrupt nothing arrives");
        at(Mark::Raised, 10);
        at(Mark::Raised, 20);
        at(Mark::Claimed, 23);
        // Interrupts that come before the DPC do not begin anew.
        at(Mark::Raised, 25);
        at(Mark::Claimed, 26);
        at(Mark::Served, 30);
        // Served without anything for the client: the next interrupt is the one.
        at(Mark::Raised, 100);
        at(Mark::Claimed, 104);
        at(Mark::Served, 110);
        at(Mark::Arrived, 120);
        at(Mark::Raised, 200);
        assert_eq!(lap(), Some(Lap { claimed: 4, served: 10, arrived: 20 }));
        arm();
        assert_eq!(lap(), None);
        disarm();
        at(Mark::Raised, 300);
        assert_eq!(lap(), None);
    }
}
