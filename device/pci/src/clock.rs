//! Calls a card when it is due, and takes the client's signals that the interrupt line is unmasked.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::function::{Function, drain};
use crate::stop::{Stop, wait};

/// The shortest time between two calls of a card that is due all the time: other threads need its lock.
const PAUSE_MIN: Duration = Duration::from_micros(50);

/// How often the line may interrupt without the card deasserting it once: more than a card has bytes that a driver takes one an interrupt.
const REPEATS_MAX: u32 = 10_000;

/// Runs until the stop is requested.
pub(crate) fn run(function: &Function, start: Instant, stop: &Stop) {
    let _guard = stop.on_panic();
    let Some(waker) = &function.shared.waker else { return };
    let mut due: Option<Instant> = Some(start);
    loop {
        let unmask = function.shared.pci.lock().line_unmask();
        let none = stop.as_fd();
        // Without an eventfd of the client, the stop is watched twice.
        let unmask_fd = unmask.as_deref().map_or(none, OwnedFd::as_fd);
        let fds = [(none, PollFlags::IN), (waker.as_fd(), PollFlags::IN), (unmask_fd, PollFlags::IN)];
        let Ok([stopped, woken, unmasked]) = wait(&fds, due) else {
            // A host without memory for three descriptors: others will end first.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if stopped {
            return;
        }
        if let Some(fd) = unmask.as_ref().filter(|_| unmasked) {
            let works = drain(fd);
            let repeats = function.shared.pci.lock().unmasked_by_client(works);
            if repeats == REPEATS_MAX {
                let detail = format!(
                    "the line has interrupted {repeats} times since the card asserted it: the driver handles the interrupt and not \
                     what asserts the line"
                );
                function.shared.journal.driver_error("interrupt-storm", &detail);
            }
        }
        let now = Instant::now();
        if woken || due.is_some_and(|due| due <= now) {
            waker.clear();
            let elapsed = now.saturating_duration_since(start);
            let next = function.card.lock().tick(elapsed);
            due = next.and_then(|next| start.checked_add(next)).map(|next| next.max(now + PAUSE_MIN));
        }
    }
}
