//! Watches for time in which the host does not let a process run.
//!
//! A card or a QEMU that is stopped, waits for a processor or for a disk for seconds says nothing about a driver, whose
//! own time-outs run out meanwhile. A process that sleeps, or that computes, is not at a standstill.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::threads::{Thread, threads};
use super::together::{Together, Use};

/// The interval at which processes are sampled: a sample costs a fraction of a millisecond, and a standstill is
/// measured to within two.
const SAMPLE: Duration = Duration::from_millis(50);

/// The shortest standstill that is kept. Few drivers have time-outs that are shorter; a busy machine's scheduler takes tens of
/// milliseconds at a time.
pub const SHORTEST: Duration = Duration::from_millis(250);

/// Most standstills that are kept of a run: further ones only add to the sum.
const KEPT_MAX: usize = 64;

/// A process that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The card's process.
    Card,
    /// The process of a device of the user's.
    Device,
    /// QEMU.
    Qemu,
    /// The harness, and most likely the whole host.
    Harness,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Card => "the card",
            Self::Device => "the device",
            Self::Qemu => "QEMU",
            Self::Harness => "the harness",
        })
    }
}

/// A standstill: time in which the host kept a process from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standstill {
    /// The process.
    pub who: Who,
    /// When it began, in milliseconds after the watch began, which is when the machine started.
    pub at_ms: u64,
    /// Its length, in milliseconds.
    pub milliseconds: u64,
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, at_ms, milliseconds } = self;
        write!(
            f,
            "{who} did not run for {milliseconds} ms, {}.{:03} s after the machine had started",
            at_ms / 1000,
            at_ms % 1000
        )
    }
}

/// The standstills of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Standstills(pub Vec<Standstill>);

impl Standstills {
    /// Returns how long at least one process stood still, in milliseconds; overlaps count once.
    #[must_use]
    pub fn milliseconds(&self) -> u64 {
        let mut spans: Vec<(u64, u64)> = self.0.iter().map(|one| (one.at_ms, one.at_ms + one.milliseconds)).collect();
        spans.sort_unstable();
        let (mut total, mut covered) = (0, 0);
        for (from, to) in spans {
            total += to.saturating_sub(from.max(covered));
            covered = covered.max(to);
        }
        total
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Standstills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host stalled {} ms (", self.milliseconds())?;
        for (index, one) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{one}")?;
        }
        f.write_str(")")
    }
}

/// A flag by which a test marks that it stops a process itself.
#[derive(Clone, Debug, Default)]
pub struct OnPurpose(Arc<AtomicBool>);

impl OnPurpose {
    /// Sets whether a test has stopped the process.
    pub fn set(&self, stopped: bool) {
        self.0.store(stopped, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A process to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The role of the process.
    pub who: Who,
    /// Its number. It must not be waited for while it is watched, or the number could be another's.
    pub pid: u32,
    /// The flag of a test that stops it.
    pub on_purpose: OnPurpose,
}

/// The standstills so far.
#[derive(Debug, Default)]
struct Seen {
    kept: Vec<Standstill>,
    /// Time in which at least one process stood still, however shortly.
    total: Duration,
}

/// Watches processes, and the harness itself, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread. Where the host refuses it, no standstill is seen. Threads of processes that are said to take turns are kept
    /// on one processor while they do.
    #[must_use]
    pub fn begin(watched: Vec<Watched>, take_turns: bool) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, stopped) = channel::<()>();
        let shared = Arc::clone(&seen);
        let body = move || {
            let mut looker = Looker::new(watched, take_turns);
            while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                looker.look(&shared);
            }
            looker.look(&shared);
            looker.release();
        };
        let thread = std::thread::Builder::new().name("standstill".into()).spawn(body).ok();
        Self { seen, stop: Some(stop), thread }
    }

    /// Returns how long a process stood still so far, shortly or long, up to now.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Returns the standstills of [`SHORTEST`] and longer so far.
    #[must_use]
    pub fn standstills(&self) -> Standstills {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Standstills(seen.kept.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A standstill that may go on.
#[derive(Clone, Copy)]
struct Open {
    began: Instant,
    /// Its index among those kept, once it is long enough.
    kept: Option<usize>,
}

struct Looker {
    began: Instant,
    last: Instant,
    watched: Vec<(Watched, HashMap<i32, Thread>, Option<Open>)>,
    together: Option<Together>,
}

impl Looker {
    fn new(watched: Vec<Watched>, take_turns: bool) -> Self {
        let now = Instant::now();
        let watched = watched.into_iter().map(|one| (one.clone(), threads(one.pid), None)).collect();
        Self { began: now, last: now, watched, together: take_turns.then(Together::begin).flatten() }
    }

    /// Gives the threads back to the scheduler.
    fn release(&mut self) {
        if let Some(together) = &mut self.together {
            together.release(self.watched.iter().flat_map(|(_, threads, _)| threads.keys().copied()));
        }
    }

    /// Samples every process once.
    fn look(&mut self, seen: &Mutex<Seen>) {
        let (before, now) = (self.last, Instant::now());
        self.last = now;
        let passed = now - before;
        // A sample that comes late by more than a scheduler's turn: the harness itself did not run.
        let late = passed.saturating_sub(SAMPLE);
        let harness = (late >= SHORTEST).then(|| Open { began: now - late, kept: None });
        let mut still = if harness.is_some() { late } else { Duration::ZERO };
        let mut used = Use::default();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut open) = harness {
            keep(&mut seen, self.began, now, Who::Harness, &mut open);
        }
        for (one, threads_before, open) in &mut self.watched {
            let on_purpose = one.on_purpose.is_set();
            let threads_now = threads(one.pid);
            let stands = threads_now.iter().any(|(id, thread)| thread.stands_still(threads_before.get(id)));
            used.add(threads_before, &threads_now);
            *threads_before = threads_now;
            if !stands || on_purpose || one.on_purpose.is_set() {
                *open = None;
                continue;
            }
            // It began at some moment since the last sample.
            let open = open.get_or_insert(Open { began: before, kept: None });
            still = passed;
            keep(&mut seen, self.began, now, one.who, open);
        }
        seen.total += still;
        drop(seen);
        if let Some(together) = &mut self.together {
            together.look(&used, passed, self.watched.iter().flat_map(|(_, threads, _)| threads.keys().copied()));
        }
    }
}

/// Keeps a standstill that is long enough, or lengthens it.
fn keep(seen: &mut Seen, began: Instant, now: Instant, who: Who, open: &mut Open) {
    let length = now - open.began;
    if length < SHORTEST {
        return;
    }
    let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    if let Some(kept) = open.kept.and_then(|index| seen.kept.get_mut(index)) {
        kept.milliseconds = milliseconds;
    } else if seen.kept.len() < KEPT_MAX {
        let at_ms = u64::try_from((open.began - began).as_millis()).unwrap_or(u64::MAX);
        open.kept = Some(seen.kept.len());
        seen.kept.push(Standstill { who, at_ms, milliseconds });
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    /// Longer than a standstill must be, by far more than a sample.
    const STOPPED: Duration = Duration::from_millis(1500);

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").spawn().unwrap()
    }

    fn watch(child: &Child) -> (Watch, OnPurpose) {
        let on_purpose = OnPurpose::default();
        let watched = Watched { who: Who::Card, pid: child.id(), on_purpose: on_purpose.clone() };
        (Watch::begin(vec![watched], false), on_purpose)
    }

    fn stop_for_a_while(child: &Child) {
        let pid = Pid::from_child(child);
        kill_process(pid, Signal::STOP).unwrap();
        std::thread::sleep(STOPPED);
        kill_process(pid, Signal::CONT).unwrap();
        std::thread::sleep(3 * SAMPLE);
    }

    fn of_the_card(watch: &Watch) -> Vec<Standstill> {
        watch.standstills().0.into_iter().filter(|one| one.who == Who::Card).collect()
    }

    #[test]
    fn sees_a_standstill_of_a_stopped_process_and_none_of_a_sleeping_one() {
        let mut child = sleeper();
        let (watch, _) = watch(&child);
        std::thread::sleep(2 * SHORTEST);
        assert_eq!(of_the_card(&watch), [], "it sleeps");
        stop_for_a_while(&child);
        let found = of_the_card(&watch);
        assert_eq!(found.len(), 1, "{found:?}");
        // A busy host looks late: what was before the first look is not counted.
        let (least, most) = (STOPPED / 2, Duration::from_secs(60));
        assert!((least..most).contains(&Duration::from_millis(found[0].milliseconds)), "{found:?}");
        assert!(watch.total() >= least);
        stop_for_a_while(&child);
        assert_eq!(of_the_card(&watch).len(), 2, "it ran in between");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn does_not_count_a_process_that_a_test_stops_on_purpose() {
        let mut child = sleeper();
        let (watch, on_purpose) = watch(&child);
        on_purpose.set(true);
        stop_for_a_while(&child);
        on_purpose.set(false);
        assert_eq!(of_the_card(&watch), []);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn counts_overlapping_standstills_once() {
        let one = |who, at_ms, milliseconds| Standstill { who, at_ms, milliseconds };
        let both = Standstills(vec![one(Who::Card, 1000, 2000), one(Who::Qemu, 1500, 3000), one(Who::Card, 9000, 600)]);
        assert_eq!(both.milliseconds(), 3500 + 600);
        assert_eq!(
            Standstills(vec![one(Who::Card, 1200, 5012)]).to_string(),
            "the host stalled 5012 ms (the card did not run for 5012 ms, 1.200 s after the machine had started)"
        );
    }
}
