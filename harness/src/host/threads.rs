//! The threads of a process as the kernel describes them.

use std::collections::HashMap;
use std::fs;

/// The place of the processor among the fields after the name in a thread's `stat` (proc_pid_stat(5) counts from 1, the state is the third).
const PROCESSOR_FIELD: usize = 39 - 3;

/// A thread's `schedstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// Time on a processor, in nanoseconds.
    pub(super) ran: u64,
    /// Time in which it was ready to run and waited for a processor, in nanoseconds.
    pub(super) waited: u64,
    /// How often it was given a processor.
    pub(super) count: u64,
}

impl Turns {
    fn read(schedstat: &str) -> Option<Self> {
        let mut numbers = schedstat.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self { ran: next()?, waited: next()?, count: next()? })
    }
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread {
    /// The letter of its state.
    pub(super) state: char,
    /// The processor that it ran on last.
    pub(super) processor: Option<usize>,
    /// Its turns; `None` on a kernel that does not count them.
    pub(super) turns: Option<Turns>,
}

impl Thread {
    fn read(stat: &str, schedstat: &str) -> Option<Self> {
        // The name may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let processor = fields.nth(PROCESSOR_FIELD - 1).and_then(|field| field.parse().ok());
        Some(Self { state, processor, turns: Turns::read(schedstat) })
    }

    /// Tells whether the host has kept a thread from running between two samples: stopped, or ready to run or at a disk
    /// without a turn.
    pub(super) fn stands_still(&self, before: Option<&Self>) -> bool {
        match self.state {
            'T' | 't' => true,
            'R' | 'D' => self.turns.is_some() && before.is_some_and(|before| before.turns == self.turns),
            _ => false,
        }
    }
}

/// Returns the threads of a process by their numbers; none if it has ended.
pub(super) fn threads(pid: u32) -> HashMap<i32, Thread> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    let thread = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        Some((task.file_name().to_str()?.parse().ok()?, Thread::read(&stat, &schedstat)?))
    };
    tasks.filter_map(|task| thread(task.ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_thread_only_if_the_host_keeps_it_from_running() {
        let thread = |state, turns: &str| Thread { state, processor: None, turns: Turns::read(turns) };
        let (ready, ran) = (thread('R', "5 1 1"), thread('R', "9 1 2"));
        assert!(ready.stands_still(Some(&ready)), "ready to run, and it had no turn");
        assert!(!ran.stands_still(Some(&ready)));
        assert!(!ready.stands_still(None), "nothing is known of it yet");
        assert!(thread('D', "5 1 1").stands_still(Some(&thread('D', "5 1 1"))));
        assert!(!thread('S', "5 1 1").stands_still(Some(&thread('S', "5 1 1"))), "it waits for something");
        assert!(thread('T', "").stands_still(None));
        let unknown = thread('R', "");
        assert!(!unknown.stands_still(Some(&unknown)), "a kernel that does not count turns");
    }

    #[test]
    fn reads_state_and_processor_after_any_name() {
        let rest = "1 1 1 0 -1 4194304 9 0 0 0 6 2 0 0 20 0 3 0 77 1 2 3 4 5 6 7 8 0 0 0 0 0 0 0 17 5 0 0";
        let thread = Thread::read(&format!("12 (a) R (b) T {rest}"), "7 8 9\n").unwrap();
        let turns = Some(Turns { ran: 7, waited: 8, count: 9 });
        assert_eq!(thread, Thread { state: 'T', processor: Some(5), turns });
        assert_eq!(Thread::read("no stat", ""), None);
        let own = threads(std::process::id());
        assert!(own.values().all(|thread| thread.processor.is_some()), "{own:?}");
    }
}
