//! The injected faults of the card ([`card_control::fault`]): which are armed, which are live, and which have struck.
//!
//! They are the card's own, so neither a session's end nor a reset of the device forgets them.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use card_control::fault::{ArmedFault, FaultStatus, InjectedFault, StruckFault, Trigger};
use card_control::limits::{ARMED_FAULTS_MAX, STORM_PERIOD, STRUCK_FAULTS_KEPT};
use card_spec::queue::Queue;

use crate::diagnosis::{Counter, Registers};

/// As many faults are armed as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{ARMED_FAULTS_MAX} faults are armed, which is the most at a time; wait until some have struck, or send disarm-faults"
)]
pub struct TooManyFaults;

/// When a fault becomes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// It is.
    Now,
    /// After so many more events.
    Events(u64),
    /// Before this frame.
    Frame(i64),
    /// Before the frame of this master time.
    Time(i64),
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    fault: InjectedFault,
    at: Option<Trigger>,
    when: When,
}

/// Interrupts that a fault raises by itself.
#[derive(Clone, Copy, Debug)]
struct Scheduled {
    queue: Queue,
    next: Instant,
    left: u32,
}

/// The faults of a card.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Vec<Armed>,
    struck: VecDeque<StruckFault>,
    struck_count: u64,
    scheduled: Vec<Scheduled>,
    /// The frame to be rendered next.
    frame: i64,
}

impl Faults {
    /// Arms a fault, which is live at once without a trigger.
    ///
    /// # Errors
    /// [`TooManyFaults`], when as many are armed as can be.
    pub fn arm(&mut self, fault: InjectedFault, at: Option<Trigger>) -> Result<(), TooManyFaults> {
        if self.armed.len() >= ARMED_FAULTS_MAX {
            return Err(TooManyFaults);
        }
        let when = match at {
            None | Some(Trigger::Event(0)) => When::Now,
            Some(Trigger::Event(events)) => When::Events(events),
            Some(Trigger::Frame(frame)) => When::Frame(frame),
            Some(Trigger::Time(time)) => When::Time(time),
        };
        self.armed.push(Armed { fault, at, when });
        Ok(())
    }

    /// Disarms all that have not struck, and drops the interrupts that are still to be raised. Returns how many were armed.
    pub fn disarm(&mut self) -> usize {
        self.scheduled.clear();
        std::mem::take(&mut self.armed).len()
    }

    /// Reads which are armed and which have struck.
    #[must_use]
    pub fn status(&self) -> FaultStatus {
        let armed = |armed: &Armed| ArmedFault { fault: armed.fault, at: armed.at, live: armed.when == When::Now };
        FaultStatus {
            armed: self.armed.iter().map(armed).collect(),
            struck: self.struck.iter().copied().collect(),
            struck_count: self.struck_count,
        }
    }

    /// Counts one event that the card takes.
    pub(crate) fn event_taken(&mut self) {
        for armed in &mut self.armed {
            if let When::Events(left) = &mut armed.when {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    armed.when = When::Now;
                }
            }
        }
    }

    /// Makes the faults live whose frame is `position`, which is about to be rendered, or was left out. `frame_of` returns the
    /// frame of a master time, if there is an anchor. Returns how many frames are to be rendered before it is called
    /// again.
    pub(crate) fn reach(&mut self, position: i64, frame_of: impl Fn(i64) -> Option<i64>) -> u64 {
        self.frame = position;
        let mut until = u64::MAX;
        for armed in &mut self.armed {
            let frame = match armed.when {
                When::Frame(frame) => Some(frame),
                When::Time(time) => frame_of(time),
                When::Now | When::Events(_) => None,
            };
            match frame {
                Some(frame) if frame <= position => armed.when = When::Now,
                Some(frame) => until = until.min(frame.abs_diff(position)),
                None => {}
            }
        }
        until
    }

    /// Sets the frame to be rendered next, for the record of what strikes from now on.
    pub(crate) const fn set_frame(&mut self, frame: i64) {
        self.frame = frame;
    }

    /// Strikes with the first live fault for which `pick` has a result, and returns that.
    pub(crate) fn strike<T>(&mut self, registers: &Registers, pick: impl Fn(&InjectedFault) -> Option<T>) -> Option<T> {
        let mut live = self.armed.iter().enumerate().filter(|(_, armed)| armed.when == When::Now);
        let (index, picked) = live.find_map(|(index, armed)| Some((index, pick(&armed.fault)?)))?;
        let fault = self.armed.remove(index).fault;
        let (event, frame) = (registers.get(Counter::Events), self.frame);
        registers.trace().fault_struck(&fault);
        log::info!("injected fault: {fault} strikes after event {event}, before frame {frame}");
        if self.struck.len() >= STRUCK_FAULTS_KEPT {
            self.struck.pop_front();
        }
        self.struck.push_back(StruckFault { fault, event, frame, card_time: registers.card_time() });
        self.struck_count = self.struck_count.saturating_add(1);
        Some(picked)
    }

    /// Schedules interrupts of a queue: the first after `delay`, each of the others [`STORM_PERIOD`] after the one before.
    pub(crate) fn schedule(&mut self, queue: Queue, delay: Duration, interrupts: u32) {
        if let Some(next) = Instant::now().checked_add(delay) {
            self.scheduled.push(Scheduled { queue, next, left: interrupts });
        }
    }

    /// Takes the interrupts that are due at `now`: one for each fault that raises some.
    pub(crate) fn take_due_interrupts(&mut self, now: Instant) -> Vec<Queue> {
        let mut due = Vec::new();
        self.scheduled.retain_mut(|scheduled| {
            if scheduled.next <= now {
                due.push(scheduled.queue);
                scheduled.left = scheduled.left.saturating_sub(1);
                // From now on: a host that stalls makes a storm longer, not denser.
                scheduled.next = now.checked_add(STORM_PERIOD).unwrap_or(now);
            }
            scheduled.left > 0
        });
        due
    }

    /// Returns when the next interrupt is due that a fault raises by itself.
    pub(crate) fn next_interrupt(&self) -> Option<Instant> {
        self.scheduled.iter().map(|scheduled| scheduled.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: InjectedFault = InjectedFault::LostInterrupt { queue: 3 };

    fn strikes(faults: &mut Faults) -> bool {
        faults.strike(&Registers::new(), |fault| (*fault == LOST).then_some(())).is_some()
    }

    #[test]
    fn a_fault_without_a_trigger_strikes_once() {
        let mut faults = Faults::default();
        faults.arm(LOST, None).unwrap();
        assert_eq!(faults.status().armed, [ArmedFault { fault: LOST, at: None, live: true }]);
        assert!(faults.strike(&Registers::new(), |_| None::<()>).is_none(), "this is no occasion for it");
        assert!(strikes(&mut faults));
        assert!(!strikes(&mut faults));
        let status = faults.status();
        assert_eq!((status.armed.len(), status.struck[0].fault, status.struck_count), (0, LOST, 1));
    }

    #[test]
    fn an_event_trigger_counts_from_the_arming_on() {
        let mut faults = Faults::default();
        faults.event_taken();
        faults.arm(LOST, Some(Trigger::Event(2))).unwrap();
        faults.event_taken();
        assert!(!strikes(&mut faults));
        faults.event_taken();
        assert!(strikes(&mut faults));
    }

    #[test]
    fn a_frame_or_a_time_bounds_what_is_rendered_before_it() {
        let mut faults = Faults::default();
        let none = |_| None;
        faults.arm(LOST, Some(Trigger::Frame(480))).unwrap();
        faults.arm(LOST, Some(Trigger::Time(1_000_000))).unwrap();
        assert_eq!(faults.reach(0, none), 480);
        assert_eq!(faults.reach(400, |time| Some(time / 10_000)), 80, "the frame of the time was left out");
        assert!(strikes(&mut faults));
        assert!(!strikes(&mut faults));
        assert_eq!(faults.reach(480, none), u64::MAX);
        assert!(strikes(&mut faults));
        assert_eq!(faults.status().struck.iter().map(|struck| struck.frame).collect::<Vec<_>>(), [400, 480]);
    }

    #[test]
    fn no_more_are_armed_and_kept_than_the_bounds_say() {
        let mut faults = Faults::default();
        for _ in 0..ARMED_FAULTS_MAX {
            faults.arm(LOST, Some(Trigger::Event(1))).unwrap();
        }
        assert_eq!(faults.arm(LOST, None), Err(TooManyFaults));
        assert_eq!(faults.disarm(), ARMED_FAULTS_MAX);
        for _ in 0..=STRUCK_FAULTS_KEPT {
            faults.arm(LOST, None).unwrap();
            assert!(strikes(&mut faults));
        }
        let status = faults.status();
        assert_eq!((status.struck.len(), status.struck_count), (STRUCK_FAULTS_KEPT, STRUCK_FAULTS_KEPT as u64 + 1));
    }

    #[test]
    fn a_storm_raises_one_interrupt_a_period_and_ends() {
        let mut faults = Faults::default();
        faults.schedule(Queue::WAVE, Duration::ZERO, 3);
        let mut raised = 0;
        while let Some(next) = faults.next_interrupt() {
            let due = faults.take_due_interrupts(next);
            assert_eq!(due, [Queue::WAVE]);
            assert!(faults.take_due_interrupts(next).is_empty(), "the next one is a period later");
            raised += 1;
        }
        assert_eq!(raised, 3);
    }
}
