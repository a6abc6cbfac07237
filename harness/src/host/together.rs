//! Keeps the threads of a machine on one processor as long as they take turns.
//!
//! A guest with one processor, QEMU's main loop and a card that renders in lockstep wait for each other: a quantum of sound is a turn of
//! each. A scheduler that sees an idle processor gives it to the thread that is woken, which has to wake the processor first, and in a
//! virtual machine that takes longer than many a turn. On one processor the next turn begins where the last has ended. Where something
//! else wants that processor, or the threads run side by side after all, they are given back to the scheduler.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::threads::Thread;

/// Least part of the time in which the threads must run for turns to be worth anything, in percent.
const BUSY_LEAST: u128 = 60;

/// Most of the time that the threads of turns run in sum, in percent: more, and they run side by side. What runs while another is
/// already woken is a few percent.
const BUSY_MOST: u128 = 110;

/// The part of the time for which threads on one processor wait for it, in percent, from which something else has it, or they would
/// run side by side. Turns alone are below 30.
const WAITING_MOST: u128 = 40;

/// The time for which threads are left to the scheduler after they had to wait: long beside what finding out costs them, short beside
/// a test.
const APART: Duration = Duration::from_secs(2);

/// The threads of a machine's processes.
#[derive(Debug)]
pub(super) struct Together {
    /// The processors that they may use, all of them the same ones.
    allowed: CpuSet,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Left to the scheduler, at least until a moment.
    Apart(Option<Instant>),
    /// On one processor.
    Together,
}

/// What the threads did between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Time on processors, in nanoseconds.
    ran: u128,
    /// Time in which threads waited for a processor, in nanoseconds.
    waited: u128,
    /// Where the thread that ran longest did so last.
    processor: Option<usize>,
    longest: u64,
}

impl Use {
    /// Adds the threads of a process.
    pub(super) fn add(&mut self, before: &HashMap<i32, Thread>, now: &HashMap<i32, Thread>) {
        for (id, thread) in now {
            let (Some(turns), Some(last)) = (thread.turns, before.get(id).and_then(|thread| thread.turns)) else {
                continue;
            };
            let ran = turns.ran.saturating_sub(last.ran);
            self.ran += u128::from(ran);
            self.waited += u128::from(turns.waited.saturating_sub(last.waited));
            if ran > self.longest {
                (self.longest, self.processor) = (ran, thread.processor);
            }
        }
    }

    fn percent(nanoseconds: u128, passed: Duration) -> u128 {
        nanoseconds * 100 / passed.as_nanos().max(1)
    }

    fn are_turns(&self, passed: Duration) -> bool {
        (BUSY_LEAST..=BUSY_MOST).contains(&Self::percent(self.ran, passed))
    }

    fn is_waiting(&self, passed: Duration) -> bool {
        Self::percent(self.waited, passed) > WAITING_MOST
    }
}

impl Together {
    /// Leaves the threads to the scheduler at first. Returns `None` where there is no choice of processors.
    pub(super) fn begin() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        (allowed.count() > 1).then_some(Self { allowed, state: State::Apart(None) })
    }

    /// Decides from what the threads did in the time that has passed.
    pub(super) fn look(&mut self, used: &Use, passed: Duration, threads: impl Iterator<Item = i32>) {
        match self.state {
            State::Apart(until) if until.is_some_and(|until| Instant::now() < until) => {}
            State::Apart(_) => {
                let Some(processor) = used.processor.filter(|_| used.are_turns(passed)) else { return };
                if processor >= CpuSet::MAX_CPU || !self.allowed.is_set(processor) {
                    return;
                }
                let mut one = CpuSet::new();
                one.set(processor);
                place(&one, threads);
                self.state = State::Together;
            }
            State::Together if used.is_waiting(passed) => {
                self.release(threads);
                self.state = State::Apart(Some(Instant::now() + APART));
            }
            State::Together => {}
        }
    }

    /// Gives the threads back to the scheduler.
    pub(super) fn release(&mut self, threads: impl Iterator<Item = i32>) {
        if self.state == State::Together {
            place(&self.allowed, threads);
            self.state = State::Apart(None);
        }
    }
}

/// Has threads use certain processors. A thread that has ended, or that the host does not let be placed, stays as it is: this is a matter
/// of speed alone.
fn place(processors: &CpuSet, threads: impl Iterator<Item = i32>) {
    for thread in threads {
        let _ = sched_setaffinity(Pid::from_raw(thread), processors);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::threads::{Turns, threads};

    const PASSED: Duration = Duration::from_millis(50);

    fn used(ran_percent: u128, waited_percent: u128, processor: usize) -> Use {
        let of = |percent: u128| PASSED.as_nanos() * percent / 100;
        Use { ran: of(ran_percent), waited: of(waited_percent), processor: Some(processor), longest: 1 }
    }

    #[test]
    fn places_turns_on_the_processor_where_they_ran_and_gives_them_back_when_they_wait() {
        let Some(mut together) = Together::begin() else { return };
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&one| together.allowed.is_set(one)).collect();
        let chosen = *processors.last().unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let ids = || threads(pid.as_raw_nonzero().get().unsigned_abs()).into_keys();
        let places = || sched_getaffinity(Some(pid)).unwrap().count() as usize;
        for busy in [10, 180] {
            together.look(&used(busy, 0, chosen), PASSED, ids());
            assert_eq!(places(), processors.len(), "{busy} percent are no turns");
        }
        together.look(&used(99, 5, chosen), PASSED, ids());
        let placed = sched_getaffinity(Some(pid)).unwrap();
        assert!(placed.is_set(chosen) && placed.count() == 1);
        together.look(&used(99, 15, chosen), PASSED, ids());
        assert_eq!(places(), 1, "turns wait a little");
        together.look(&used(50, 60, chosen), PASSED, ids());
        assert_eq!(places(), processors.len(), "something else has the processor");
        together.look(&used(99, 5, chosen), PASSED, ids());
        assert_eq!(places(), processors.len(), "for a while");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn adds_up_what_threads_did_and_finds_the_busiest() {
        let thread = |ran, waited, processor| Thread {
            state: 'R',
            processor: Some(processor),
            turns: Some(Turns { ran, waited, count: 1 }),
        };
        let before = HashMap::from([(1, thread(100, 10, 0)), (2, thread(100, 10, 1))]);
        let now = HashMap::from([(1, thread(130, 15, 0)), (2, thread(150, 11, 1)), (3, thread(900, 900, 2))]);
        let mut used = Use::default();
        used.add(&before, &now);
        assert_eq!(used, Use { ran: 80, waited: 6, processor: Some(1), longest: 50 });
    }
}
