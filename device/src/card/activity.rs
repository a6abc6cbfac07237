//! Publishes what the card's thread is doing and since when, so that the watchdog can report a thread that stalls.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A task of the card's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Task {
    /// Waiting for kicks, time and commands.
    Waiting,
    /// Executing a command of the control socket.
    Command,
    /// Carrying out requests of the control queue.
    Requests,
    /// Taking batches of the midi-out queue.
    Batches,
    /// Taking and returning wave buffers.
    WaveBuffers,
    /// Playing events and rendering frames.
    Rendering,
    /// Handing notices and captured events to the driver.
    Notices,
}

impl Task {
    const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Command,
        Self::Requests,
        Self::Batches,
        Self::WaveBuffers,
        Self::Rendering,
        Self::Notices,
    ];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for work",
            Self::Command => "executing a command of the control socket",
            Self::Requests => "carrying out a request of the control queue",
            Self::Batches => "taking batches of the midi-out queue",
            Self::WaveBuffers => "taking or returning a wave buffer",
            Self::Rendering => "playing events or rendering",
            Self::Notices => "handing notices to the driver",
        })
    }
}

/// The current task of the card's thread, published by itself.
#[derive(Debug)]
pub struct Activity {
    origin: Instant,
    task: AtomicU8,
    /// When it last came to its loop's head, in nanoseconds from `origin`.
    turn: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { origin: Instant::now(), task: AtomicU8::new(Task::Waiting as u8), turn: AtomicU64::new(0) }
    }
}

impl Activity {
    /// Publishes what the thread does from now on.
    pub fn enter(&self, task: Task) {
        self.task.store(task as u8, Ordering::Relaxed);
    }

    /// Publishes that the thread has come to its loop's head: it has work, and does not stall.
    pub fn turn(&self) {
        let now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.turn.store(now, Ordering::Relaxed);
    }

    /// Returns what the thread does.
    #[must_use]
    pub fn task(&self) -> Task {
        let task = self.task.load(Ordering::Relaxed);
        Task::ALL.into_iter().find(|known| *known as u8 == task).unwrap_or(Task::Waiting)
    }

    /// Returns for how long the thread has not come to its loop's head, though it has work; `None` while it waits.
    #[must_use]
    pub fn busy_for(&self) -> Option<Duration> {
        let turn = Duration::from_nanos(self.turn.load(Ordering::Relaxed));
        (self.task() != Task::Waiting).then(|| self.origin.elapsed().saturating_sub(turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_is_not_busy_and_one_that_works_is_since_its_last_turn() {
        let activity = Activity::default();
        assert_eq!(activity.busy_for(), None);
        activity.turn();
        activity.enter(Task::Rendering);
        std::thread::sleep(Duration::from_millis(5));
        assert!(activity.busy_for().is_some_and(|busy| busy >= Duration::from_millis(5)));
        for task in Task::ALL {
            activity.enter(task);
            assert_eq!(activity.task(), task);
        }
    }
}
