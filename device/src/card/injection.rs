//! Injects faults: checks and arms them, and strikes with those that wait for nothing but their place in time.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_control::fault::{InjectedFault, Trigger};
use card_control::limits::{CLOCK_JUMP_FRAMES_MAX, LATE_MILLISECONDS_MAX, STORM_INTERRUPTS_MAX};
use card_spec::queue::Queue;
use std::time::Duration;

use super::device::Card;
use crate::bus::TooManyFaults;

/// The reason for which a fault is not injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// It is for a queue that does not exist.
    #[error("there is no queue {0}: the card has {count}, from 0", count = Queue::ALL.len())]
    NoQueue(u16),
    /// A number of it is out of bounds.
    #[error("{member} is {got}; it must be {least} to {most}")]
    OutOfBounds {
        /// The member of the command.
        member: &'static str,
        /// Its value.
        got: i64,
        /// The least that is allowed.
        least: i64,
        /// The most that is allowed.
        most: i64,
    },
    /// The clock was to jump by no frames.
    #[error("the clock cannot jump by 0 frames: name a number of frames, negative for backwards")]
    NoJump,
    /// The sample clock is beyond the trigger.
    #[error(
        "{trigger} is behind the sample clock, which is at frame {position}: name a later one, or stop the wave stream first"
    )]
    Passed {
        /// The trigger.
        trigger: Trigger,
        /// The next frame to be rendered.
        position: i64,
    },
    /// There is no clock that could jump now.
    #[error("there is no session whose clock could jump: give the fault a frame, a time or an event")]
    NoSession,
    /// The transport cannot tell a driver that the device needs a reset.
    #[error(
        "a back-end has no means to set DEVICE_NEEDS_RESET over vhost-user: attach the card by transport vfio-user"
    )]
    NoResetRequest,
    /// As many faults are armed as can be.
    #[error(transparent)]
    TooMany(#[from] TooManyFaults),
}

impl Card {
    /// Arms a fault. It strikes at once if it needs neither `at` nor an occasion.
    ///
    /// # Errors
    /// [`InjectError`], when the fault cannot strike as it is described, or when as many are armed as can be.
    pub fn inject(&mut self, fault: InjectedFault, at: Option<Trigger>) -> Result<(), InjectError> {
        self.check(fault, at)?;
        self.bus.lock().faults_mut().arm(fault, at)?;
        self.meet_faults();
        Ok(())
    }

    fn check(&self, fault: InjectedFault, at: Option<Trigger>) -> Result<(), InjectError> {
        if let Some(queue) = fault.queue().filter(|queue| !Queue::ALL.iter().any(|known| known.0 == *queue)) {
            return Err(InjectError::NoQueue(queue));
        }
        let bounded = |member, got: i64, least: i64, most: i64| {
            let inside = (least..=most).contains(&got);
            if inside { Ok(()) } else { Err(InjectError::OutOfBounds { member, got, least, most }) }
        };
        match fault {
            InjectedFault::LateInterrupt { milliseconds, .. } => {
                bounded("milliseconds", milliseconds.into(), 1, LATE_MILLISECONDS_MAX.into())?;
            }
            InjectedFault::InterruptStorm { interrupts, .. } => {
                bounded("interrupts", interrupts.into(), 1, STORM_INTERRUPTS_MAX.into())?;
            }
            InjectedFault::ClockJump { frames: 0 } => return Err(InjectError::NoJump),
            InjectedFault::ClockJump { frames } => {
                let most = CLOCK_JUMP_FRAMES_MAX.cast_signed();
                bounded("frames", frames, most.saturating_neg(), most)?;
                if at.is_none() && self.session().is_none() {
                    return Err(InjectError::NoSession);
                }
            }
            InjectedFault::NeedsReset {} if !self.bus.lock().can_need_reset() => {
                return Err(InjectError::NoResetRequest);
            }
            _ => {}
        }
        let Some(trigger) = at else { return Ok(()) };
        if trigger == Trigger::Event(0) {
            return Err(InjectError::OutOfBounds { member: "event", got: 0, least: 1, most: i64::MAX });
        }
        let position = self.session().map_or(0, |session| session.timeline.position());
        let frame = match trigger {
            Trigger::Event(_) => None,
            Trigger::Frame(frame) => Some(frame),
            Trigger::Time(time) => self.session().and_then(|session| session.frame_of(time)),
        };
        match frame {
            Some(frame) if frame < position => Err(InjectError::Passed { trigger, position }),
            _ => Ok(()),
        }
    }

    /// Lets the faults become live whose frame is to be rendered next, and strikes with those that need no occasion. Returns how
    /// many frames are to be rendered before it is called again.
    pub(super) fn meet_faults(&mut self) -> u64 {
        loop {
            let mut bus = self.bus.lock();
            let until = match &self.state.session {
                Some(session) => bus.faults_mut().reach(session.timeline.position(), |time| session.frame_of(time)),
                None => u64::MAX,
            };
            let Some(fault) = bus.strike(|fault| fault.needs_no_occasion().then_some(*fault)) else { return until };
            drop(bus);
            self.strike(fault);
        }
    }

    /// Strikes with a fault that needs no occasion.
    fn strike(&mut self, fault: InjectedFault) {
        match fault {
            InjectedFault::LoseSession {} => {
                self.wave.flush_buffers(self.state.session.as_mut());
                self.give_up_session();
            }
            InjectedFault::ClockJump { frames } => {
                if let Some(session) = &mut self.state.session {
                    session.jump(frames);
                }
            }
            InjectedFault::SpuriousInterrupt { queue } => self.bus.lock().raise(Queue(queue)),
            InjectedFault::InterruptStorm { queue, interrupts } => {
                self.bus.lock().faults_mut().schedule(Queue(queue), Duration::ZERO, interrupts);
            }
            InjectedFault::NeedsReset {} => self.bus.lock().need_reset(),
            // These wait for an interrupt, a chain or a request.
            InjectedFault::CorruptUsedRing { .. }
            | InjectedFault::LostInterrupt { .. }
            | InjectedFault::LateInterrupt { .. }
            | InjectedFault::ShortDma { .. }
            | InjectedFault::FailedDma { .. }
            | InjectedFault::MisplacedDma { .. }
            | InjectedFault::StuckCommand { .. }
            | InjectedFault::FailingCommand { .. }
            | InjectedFault::RefusedDownload {} => {}
        }
    }

    /// Disarms every fault that has not struck. Returns how many were armed.
    pub fn disarm_faults(&mut self) -> usize {
        self.bus.lock().faults_mut().disarm()
    }

    /// Reads which faults are armed and which have struck.
    #[must_use]
    pub fn faults(&self) -> card_control::FaultStatus {
        self.bus.lock().faults().status()
    }
}
