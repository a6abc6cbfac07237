//! The machine that a driver runs on, as the driver needs it.

use std::time::{Duration, Instant};

use card_spec::queue::Queue;

use super::ram::Ram;
use super::ring::DriverRing;

/// The time that a test waits for the card before it fails. Long, because machines that run tests are busy.
pub(super) const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// A machine with the card in it.
pub trait Board {
    /// Returns guest memory.
    fn ram(&self) -> &Ram;

    /// Returns the driver's side of a ring.
    fn ring(&mut self, queue: Queue) -> &mut DriverRing;

    /// Describes the rings to the device, and sets `DRIVER_OK`.
    fn start(&mut self);

    /// Kicks a queue.
    fn kick(&mut self, queue: Queue);

    /// Waits until the card returns a chain of a queue.
    ///
    /// # Panics
    /// When the card does not return one.
    fn wait(&mut self, queue: Queue) -> (u16, u32) {
        self.wait_at_most(queue, WAIT_LIMIT).unwrap_or_else(|| panic!("the card returns nothing on queue {queue}"))
    }

    /// Waits for a while; `None` when the card returns nothing.
    fn wait_at_most(&mut self, queue: Queue, time: Duration) -> Option<(u16, u32)> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(returned) = self.ring(queue).returned() {
                return Some(returned);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    /// When it does not come to hold.
    fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool)
    where
        Self: Sized,
    {
        let deadline = Instant::now() + WAIT_LIMIT;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited in vain for: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl<B: Board + ?Sized> Board for Box<B> {
    fn ram(&self) -> &Ram {
        (**self).ram()
    }

    fn ring(&mut self, queue: Queue) -> &mut DriverRing {
        (**self).ring(queue)
    }

    fn start(&mut self) {
        (**self).start();
    }

    fn kick(&mut self, queue: Queue) {
        (**self).kick(queue);
    }
}
