//! A process that outlives the harness for a moment: when the harness is killed, it removes on the spot what the next
//! start would remove.
//!
//! The watcher is this very program, in a session of its own, so that what ends the harness's process group spares it. It
//! waits at a pipe whose other end only the harness holds. A harness that ends by itself takes leave; the end of the pipe
//! without that means that it was killed. A watcher that is killed too, or that could not be started, costs the next start
//! the same work.

use std::ffi::OsString;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open, setsid};

use super::owner::OWNER_VARIABLE;
use super::sweep::sweep;

/// The only word on the command line of a watcher.
pub const WATCH: &str = "--watch-for-leftovers";

/// The line of a harness that ends by itself.
const LEAVE: &[u8] = b"leave";

/// The beginning of a line that names the cache.
const CACHE: &[u8] = b"cache ";

/// The longest time for a harness to be gone after its pipe has closed: the kernel frees its memory in between.
const GONE_MAX: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long the watcher looks again for what was still ending or being written when it looked first.
const AGAIN: Duration = Duration::from_secs(2);

/// The interval between two looks.
const PERIOD: Duration = Duration::from_millis(50);

/// The harness's end of the pipe.
static PIPE: OnceLock<Mutex<PipeWriter>> = OnceLock::new();

/// The watcher of a harness that has been started with one.
#[derive(Debug)]
pub struct Watcher(Option<Child>);

impl Watcher {
    /// Starts it. Where the host has no further process, there is none.
    #[must_use]
    pub fn start() -> Self {
        let start = || -> io::Result<Child> {
            let (reader, writer) = io::pipe()?;
            // By the file that runs, even if its name leads to another one by now.
            let mut command = Command::new("/proc/self/exe");
            command.arg0("dmus-watcher").arg(WATCH).env_remove(OWNER_VARIABLE);
            let child = command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let _ = PIPE.set(Mutex::new(writer));
            Ok(child)
        };
        Self(start().ok())
    }

    /// Ends it: the harness ends by itself, and has removed what it made.
    pub fn leave(self) {
        say(LEAVE);
        if let Some(mut child) = self.0 {
            let _ = child.wait();
        }
    }
}

/// Names the cache to the watcher, if there is one.
pub fn watch_cache(cache: &Path) {
    say(&[CACHE, cache.as_os_str().as_bytes()].concat());
}

fn say(line: &[u8]) {
    if let Some(pipe) = PIPE.get() {
        // A watcher that is gone has nothing to be told.
        let _ = pipe.lock().unwrap_or_else(PoisonError::into_inner).write_all(&[line, b"\n"].concat());
    }
}

/// Runs as the watcher, until the harness has ended and nothing is left of it.
pub fn watch() {
    // Before anything else: what kills the harness's process group is not to kill this.
    let _ = setsid();
    let harness = getppid().and_then(|pid: Pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut cache = None;
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        if line == LEAVE {
            return;
        }
        if let Some(path) = line.strip_prefix(CACHE) {
            cache = Some(PathBuf::from(OsString::from_vec(path.to_vec())));
        }
    }
    if let Some(harness) = harness {
        // What it owned is left over when it is gone. Without an answer in time, the look below finds less.
        let _ = poll(&mut [PollFd::new(&harness, PollFlags::IN)], Some(&GONE_MAX));
    }
    let begun = Instant::now();
    let mut quiet = 0;
    // Twice without a find: its children write no more.
    while quiet < 2 && begun.elapsed() < AGAIN {
        quiet = if sweep(cache.as_deref()).is_empty() { quiet + 1 } else { 0 };
        std::thread::sleep(PERIOD);
    }
}
