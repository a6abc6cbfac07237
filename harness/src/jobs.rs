//! Jobs that run side by side, whose events and results come in the order of the jobs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::event::{Event, Observer};
use crate::host::limits::available_memory;
use crate::testbed::MEMORY_DEFAULT;

/// What QEMU with the code that it translates, the card with its bank, and the harness with the guest's sound take at most beside the
/// guest's memory, in bytes: a bound with room to spare, so that no guest is ended for want of memory.
const BESIDE_GUEST: u64 = 384 << 20;

/// What a guest, its card and its QEMU take at most, in bytes.
const GUEST_BYTES_MAX: u64 = MEMORY_DEFAULT + BESIDE_GUEST;

/// How many guests run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jobs {
    /// The number.
    pub count: NonZeroUsize,
    /// What is said where the host's memory lowers it.
    pub lowered: Option<String>,
}

/// Returns how many guests this machine runs side by side: as many as the user wants, or one a processor, as far as its free memory
/// goes.
#[must_use]
pub fn jobs(wanted: Option<NonZeroUsize>) -> Jobs {
    let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    fitting(wanted.unwrap_or_else(processors), available_memory())
}

/// Returns how many of the wanted guests fit into free memory, at least one. What free memory an unusual host does not tell does not
/// bound the number.
fn fitting(wanted: NonZeroUsize, available: Option<u64>) -> Jobs {
    let fit = available.map_or(usize::MAX, |bytes| usize::try_from(bytes / GUEST_BYTES_MAX).unwrap_or(usize::MAX));
    let count = NonZeroUsize::new(fit).map_or(NonZeroUsize::MIN, |fit| fit.min(wanted));
    let lowered = (count < wanted).then(|| {
        format!(
            "{count} instead of {wanted} guests run side by side: {} MiB of memory are free, and each takes up to {} MiB with its \
             QEMU and card; free some memory for more",
            available.unwrap_or_default() >> 20,
            GUEST_BYTES_MAX >> 20
        )
    });
    Jobs { count, lowered }
}

/// The guests that may run at the same time, whichever scenario they belong to.
#[derive(Debug)]
pub struct Slots {
    count: NonZeroUsize,
    free: Mutex<usize>,
    freed: Condvar,
}

/// A guest's place among those that run at the same time; free again when it is dropped.
#[derive(Debug)]
pub struct Slot<'a>(&'a Slots);

impl Slots {
    /// Makes places for a number of guests.
    #[must_use]
    pub fn new(count: NonZeroUsize) -> Self {
        Self { count, free: Mutex::new(count.get()), freed: Condvar::new() }
    }

    /// Returns how many guests have a place.
    #[must_use]
    pub fn count(&self) -> NonZeroUsize {
        self.count
    }

    /// Waits for a place. Who has one must not wait for another: all could wait for ever.
    #[must_use]
    pub fn take(&self) -> Slot<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Runs a job for each item, as many side by side as `jobs`, and passes each result to `each`, in the items' order.
///
/// A job's events reach the observer in that order too: those of the first job that has not ended at once, those of later
/// ones when it is their turn. After an error of `each` no further job begins; those that run are waited for, and `each` gets their
/// results too.
///
/// # Errors
/// The first error that `each` returns for the result of a job.
pub fn in_order<I: Sync, R: Send, E>(
    jobs: NonZeroUsize,
    items: &[I],
    observer: &dyn Observer,
    job: impl Fn(&I, &dyn Observer) -> R + Sync,
    mut each: impl FnMut(&I, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = jobs.get().min(items.len());
    if workers <= 1 {
        return items.iter().try_for_each(|item| each(item, job(item, observer)));
    }
    let turns =
        Turns { observer, held: Mutex::new(Held { turn: 0, events: items.iter().map(|_| Vec::new()).collect() }) };
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            let (turns, next, stopped, job) = (&turns, &next, &stopped, &job);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = job(item, &Turn { turns, index });
                    if sender.send((index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early: Vec<Option<R>> = items.iter().map(|_| None).collect();
        let mut turn = 0;
        let mut first = None;
        for (index, result) in results {
            early[index] = Some(result);
            while first.is_none()
                && let Some(result) = early.get_mut(turn).and_then(Option::take)
            {
                if let Err(error) = each(&items[turn], result) {
                    stopped.store(true, Ordering::Relaxed);
                    first = Some(error);
                }
                turn += 1;
                turns.begin(turn);
            }
        }
        let Some(error) = first else { return Ok(()) };
        for (index, result) in early.into_iter().enumerate() {
            if let Some(result) = result {
                turns.begin(index);
                // The first error tells more: the others are its consequence.
                let _ = each(&items[index], result);
            }
        }
        Err(error)
    })
}

/// The events of jobs, held back until it is their job's turn.
struct Turns<'a> {
    observer: &'a dyn Observer,
    held: Mutex<Held>,
}

struct Held {
    /// The first job whose result has not been taken.
    turn: usize,
    /// The events of each job that came before its turn.
    events: Vec<Vec<Event>>,
}

impl Turns<'_> {
    /// Passes on what a job has said so far, and from now on what it says.
    fn begin(&self, index: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.turn = index;
        let events = held.events.get_mut(index).map(std::mem::take).unwrap_or_default();
        events.iter().for_each(|event| self.observer.event(event));
    }
}

/// The observer of one job.
struct Turn<'a> {
    turns: &'a Turns<'a>,
    index: usize,
}

impl Observer for Turn<'_> {
    fn event(&self, event: &Event) {
        let mut held = self.turns.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.turn == self.index {
            self.turns.observer.event(event);
        } else if let Some(events) = held.events.get_mut(self.index) {
            events.push(event.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;
    use crate::event::Silent;

    /// Collects the texts of notes.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Observer for Notes {
        fn event(&self, event: &Event) {
            if let Event::Note { text } = event {
                self.0.lock().unwrap().push(text.clone());
            }
        }
    }

    fn note(observer: &dyn Observer, text: String) {
        observer.event(&Event::Note { text });
    }

    #[test]
    fn passes_on_results_and_events_in_the_order_of_the_items() {
        // The first are the slowest.
        let items: Vec<u64> = (0..12).collect();
        let (notes, mut results) = (Notes::default(), Vec::new());
        let job = |&item: &u64, observer: &dyn Observer| {
            note(observer, format!("{item} begins"));
            thread::sleep(Duration::from_millis(12 - item));
            note(observer, format!("{item} ends"));
            item * 2
        };
        let ended = in_order::<_, _, Infallible>(NonZeroUsize::new(4).unwrap(), &items, &notes, job, |_, result| {
            note(&notes, format!("{result} is the result"));
            results.push(result);
            Ok(())
        });
        assert_eq!(ended, Ok(()));
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        let expected = items
            .iter()
            .flat_map(|item| [format!("{item} begins"), format!("{item} ends"), format!("{} is the result", item * 2)]);
        assert_eq!(*notes.0.lock().unwrap(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn free_memory_bounds_the_guests_and_says_so() {
        let count = |number: usize| NonZeroUsize::new(number).unwrap();
        let gibibytes = |number: u64| Some(number << 30);
        assert_eq!(fitting(count(2), gibibytes(4)), Jobs { count: count(2), lowered: None });
        assert_eq!(fitting(count(64), None), Jobs { count: count(64), lowered: None });
        let lowered = fitting(count(64), gibibytes(4));
        assert_eq!(lowered.count, count(8));
        let text = lowered.lowered.unwrap();
        assert!(text.contains("8 instead of 64") && text.contains("4096 MiB"), "{text}");
        assert_eq!(fitting(count(2), Some(0)).count, count(1), "one runs in any case");
    }

    #[test]
    fn passes_on_what_had_ended_when_an_error_came() {
        let job = |&item: &usize, _: &dyn Observer| {
            thread::sleep(Duration::from_millis(if item == 0 { 40 } else { 1 }));
            item
        };
        let items: Vec<usize> = (0..4).collect();
        let mut results = Vec::new();
        let ended = in_order(NonZeroUsize::new(4).unwrap(), &items, &Silent, job, |_, item| {
            results.push(item);
            if item == 0 { Err("the first fails") } else { Ok(()) }
        });
        assert_eq!((ended, results), (Err("the first fails"), items));
    }

    #[test]
    fn no_more_guests_run_than_have_a_place() {
        let slots = Slots::new(NonZeroUsize::new(2).unwrap());
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let job = |_: &usize, _: &dyn Observer| {
            let _slot = slots.take();
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(3));
            running.fetch_sub(1, Ordering::Relaxed);
        };
        let items: Vec<usize> = (0..12).collect();
        let ended = in_order::<_, _, Infallible>(NonZeroUsize::new(6).unwrap(), &items, &Silent, job, |_, ()| Ok(()));
        assert_eq!((ended, most.into_inner()), (Ok(()), 2));
    }

    #[test]
    fn begins_no_further_job_after_an_error() {
        let begun = AtomicUsize::new(0);
        let job = |&item: &usize, _: &dyn Observer| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            item
        };
        let items: Vec<usize> = (0..100).collect();
        let ended = in_order(NonZeroUsize::new(2).unwrap(), &items, &Silent, job, |_, item| {
            if item == 3 { Err("four is too many") } else { Ok(()) }
        });
        assert_eq!(ended, Err("four is too many"));
        assert!(begun.load(Ordering::Relaxed) < 10);
    }
}
