//! Wakes the card's thread.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What one thread waits for and the others ring.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// When the thread wakes by itself; `None` for never.
    alarm: Option<Instant>,
}

impl Bell {
    /// Sets when the thread wakes by itself next.
    pub(super) fn set_alarm(&self, alarm: Option<Instant>) {
        self.state.lock().alarm = alarm;
    }

    /// Waits until the bell is rung, or until the alarm.
    pub(super) fn wait(&self) {
        let mut state = self.state.lock();
        while !state.rung {
            match state.alarm {
                None => self.rung.wait(&mut state),
                Some(alarm) => {
                    if self.rung.wait_until(&mut state, alarm).timed_out() {
                        break;
                    }
                }
            }
        }
        state.rung = false;
    }

    /// Wakes the thread.
    pub(super) fn ring(&self) {
        self.state.lock().rung = true;
        self.rung.notify_one();
    }

    /// Wakes the thread if it would wake by itself later than `deadline`.
    pub(super) fn ring_before(&self, deadline: Instant) {
        let mut state = self.state.lock();
        if state.alarm.is_none_or(|alarm| deadline < alarm) {
            state.rung = true;
            drop(state);
            self.rung.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_of_ring_and_alarm() {
        let bell = Arc::new(Bell::default());
        bell.ring();
        bell.wait();
        let soon = Instant::now() + Duration::from_millis(5);
        bell.set_alarm(Some(soon));
        bell.wait();
        assert!(Instant::now() >= soon);
        bell.set_alarm(None);
        let waiting = {
            let bell = Arc::clone(&bell);
            std::thread::spawn(move || bell.wait())
        };
        bell.ring_before(soon);
        waiting.join().unwrap();
    }
}
