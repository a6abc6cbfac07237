//! The invariants that hold whatever an input does.

use std::panic;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::waiting::wait_for;
use super::{heap, log_lines};

/// Most bytes of heap that the card may hold for one guest, beyond what it holds when idle: downloads (16 MiB in the
/// driver's measure, twice that for samples that are kept wider), a request that is being copied (4 MiB), long messages
/// that wait (4 MiB), pending events (64 Ki of some 100 bytes), and a wave buffer's frames.
const HELD_MAX: usize = 80 << 20;

/// Most bytes of heap that may be left of an input once a conforming driver has opened a session after it: buffers that
/// have grown and are kept for use again.
const LEFT_MAX: usize = 8 << 20;

/// Most log lines of one input. Each kind of line is limited in the process, to 16 and then each doubling.
const LINES_MAX: usize = 1000;

/// Most log lines of a process: 16 and each doubling of a 64-bit count, of more kinds than there are.
const LINES_OF_PROCESS_MAX: usize = 200 * (16 + 60);

/// How often the process's threads are looked at: each time all must sleep. A thread that spins is never
/// asleep, not even on a machine that does not let it run.
const LOOKS: u32 = 4;

/// How long to wait between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_micros(300);

/// Panics of other threads: the card catches its own, and they are defects all the same.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Serialises inputs, so that the memory and the time of the process belong to one input.
static TURN: Mutex<()> = Mutex::new(());

/// Prepares the process, and waits until no other input is played in it.
pub(super) fn begin() -> MutexGuard<'static, ()> {
    let turn = TURN.lock();
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log_lines::install();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            PANICS.lock().push(information.to_string());
            before(information);
        }));
        // A Rust program ignores the signal; a fuzz target, whose `main` is not Rust's, does not by itself.
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::new(AtomicBool::new(false)))
            .expect("SIGPIPE can be caught");
    });
    PANICS.lock().clear();
    turn
}

/// The resources of the process before an input.
pub(super) struct Before {
    heap: usize,
    lines: usize,
}

impl Before {
    /// Measures them.
    pub(super) fn look() -> Self {
        Self { heap: heap::held(), lines: log_lines::count() }
    }

    /// Checks what must hold at any time.
    ///
    /// # Panics
    /// When one of them does not hold.
    pub(super) fn check(&self) {
        let held = heap::held().saturating_sub(self.heap);
        assert!(held <= HELD_MAX, "the card holds {held} bytes for one guest, of at most {HELD_MAX}");
        let lines = log_lines::count();
        let of_input = lines - self.lines;
        assert!(of_input <= LINES_MAX, "one input has had {of_input} lines logged, of at most {LINES_MAX}");
        assert!(lines <= LINES_OF_PROCESS_MAX, "{lines} lines are logged, of at most {LINES_OF_PROCESS_MAX}");
    }

    /// Checks what must hold at an input's end, when a conforming driver has run after it.
    ///
    /// # Panics
    /// When one of them does not hold.
    pub(super) fn check_end(&self) {
        self.check();
        let left = heap::held().saturating_sub(self.heap);
        assert!(left <= LEFT_MAX, "{left} bytes are left of an input, of at most {LEFT_MAX}");
        let panics = PANICS.lock();
        assert!(panics.is_empty(), "the card has panicked: {panics:?}");
    }
}

/// Checks that no thread runs while there is nothing to do.
///
/// # Panics
/// When the card spins.
pub(super) fn assert_idle() {
    let mut asleep = 0;
    wait_for("all threads to sleep while there is nothing to do", || {
        asleep = if others_sleep() { asleep + 1 } else { 0 };
        std::thread::sleep(BETWEEN_LOOKS);
        (asleep == LOOKS).then_some(())
    });
}

/// Returns whether every thread of this process but the caller's sleeps (`/proc/PID/task/TID/stat`, the state after the name).
fn others_sleep() -> bool {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted").flatten();
    tasks.filter(|task| task.file_name() != *own).all(|task| {
        // A thread that has ended meanwhile does not run.
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_none_or(|state| state != 'R')
    })
}

/// Returns how many descriptors the process has open.
pub(super) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

/// Checks that every descriptor that came in has been closed again.
///
/// # Panics
/// When some are left.
pub(super) fn assert_closed(before: usize) {
    wait_for("the card to close the descriptors of a connection", || (open_descriptors() <= before).then_some(()));
}
