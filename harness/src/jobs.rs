//! Jobs that run side by side, whose events and results come in the order of the jobs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::event::{Event, Observer};
use crate::host::limits::available_memory;

/// What a guest, its card and its QEMU take at most, in bytes.
const GUEST_BYTES_MAX: u64 = 512 << 20;

/// Returns how many guests this machine runs side by side: one a processor, as far as its free memory goes.
#[must_use]
pub fn default_jobs() -> NonZeroUsize {
    let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // What free memory an unusual host does not tell does not bound the number.
    let fit =
        available_memory().map_or(usize::MAX, |bytes| usize::try_from(bytes / GUEST_BYTES_MAX).unwrap_or(usize::MAX));
    NonZeroUsize::new(fit).map_or(NonZeroUsize::MIN, |fit| fit.min(processors))
}

/// Runs a job for each item, as many side by side as `jobs`, and passes each result to `each`, in the items' order.
///
/// A job's events reach the observer in that order too: those of the first job that has not ended at once, those of later
/// ones when it is their turn. After an error of `each` no further job begins; those that run are waited for.
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
        for (index, result) in results {
            early[index] = Some(result);
            while let Some(result) = early.get_mut(turn).and_then(Option::take) {
                each(&items[turn], result).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
                turn += 1;
                turns.begin(turn);
            }
        }
        Ok(())
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
