//! Ends the process in time after a signal, whatever its threads are doing.
//!
//! Every wait of the program watches [`Stop`], so that it ends by itself. What it cannot watch are calls that block in the
//! kernel for as long as another process likes (a pipe that is not read, a file on a host that is gone), and work that is
//! not done yet.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::Duration;

use card_control::PROGRAM;
use card_control::log::STOPPED_BY_SIGNAL;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::low_level::signal_name;

use super::exit::Failure;
use super::whole_file;
use crate::card::line_out::LineOut;
use crate::sandbox::{self, Role};
use crate::stop::Stop;
use crate::transport::BoundPath;

/// The longest time for the process to end by itself after a stop was requested.
pub const GRACE: Duration = Duration::from_millis(75);

/// The longest time for completing the line out after that. Both together are less than the 200 ms within which a
/// process that sends the signal can rely on the end.
pub const FINISH_TIME: Duration = Duration::from_millis(50);

/// The work that is left when the process has not ended by itself.
#[derive(Default)]
struct Leftovers {
    paths: Vec<Arc<BoundPath>>,
    line_out: Option<LineOut>,
}

/// Ends the process when it has not ended by itself [`GRACE`] after a stop was requested.
#[derive(Clone)]
pub struct ExitDeadline(Arc<Mutex<Leftovers>>);

impl ExitDeadline {
    /// Waits for `stop` from now on. `signal` has the number of the signal that has requested it, or 0.
    ///
    /// # Errors
    /// The host's error, when it has no more threads.
    pub fn watch(stop: &Stop, signal: &Arc<AtomicUsize>) -> io::Result<Self> {
        let leftovers = Arc::new(Mutex::new(Leftovers::default()));
        let (finished, outcome) = mpsc::sync_channel(1);
        // On a thread of its own, because this can block like anything else.
        let finish = {
            let (stop, leftovers) = (stop.clone(), Arc::clone(&leftovers));
            move || {
                sandbox::enter(Role::Finish);
                wait_for(&stop);
                std::thread::sleep(GRACE);
                let line_out = leftovers.lock().line_out.clone();
                let _ = finished.send(line_out.map_or(Ok(()), |line_out| line_out.finish()));
            }
        };
        let end = {
            let (stop, leftovers, signal) = (stop.clone(), Arc::clone(&leftovers), Arc::clone(signal));
            move || {
                sandbox::enter(Role::Deadline);
                wait_for(&stop);
                let outcome = outcome.recv_timeout(GRACE + FINISH_TIME);
                let leftovers = leftovers.lock();
                for path in &leftovers.paths {
                    path.remove();
                }
                let failed = match (outcome, &leftovers.line_out) {
                    (Ok(outcome), _) => outcome.err(),
                    (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected), line_out) => {
                        line_out.as_ref().map(LineOut::stalled)
                    }
                };
                // The exit status does not say it, and the thread that logs it is the one that is still at work.
                let signal = i32::try_from(signal.load(Ordering::Relaxed)).ok().and_then(signal_name);
                let by = signal.map_or_else(String::new, |name| format!("{STOPPED_BY_SIGNAL}{name}\n{PROGRAM}: "));
                match failed {
                    None => end_with(
                        0,
                        &format!(
                            "{by}the card was still at work {} ms after a stop was requested, and is ended; its files are \
                             complete",
                            GRACE.as_millis()
                        ),
                    ),
                    Some(error) => {
                        let failure = Failure::from(error);
                        end_with(failure.code().number(), &format!("{by}{failure}"));
                    }
                }
            }
        };
        Builder::new().name("finish".into()).spawn(finish)?;
        Builder::new().name("deadline".into()).spawn(end)?;
        Ok(Self(leftovers))
    }

    /// Adds a path that is removed at the end.
    pub fn removes(&self, path: &Arc<BoundPath>) {
        self.0.lock().paths.push(Arc::clone(path));
    }

    /// Sets a file that is completed at the end.
    pub fn completes(&self, line_out: &LineOut) {
        self.0.lock().line_out = Some(line_out.clone());
    }
}

/// Ends the process at the first SIGINT or SIGTERM from now on, without files that are not complete.
///
/// # Errors
/// The host's error, when it has no more threads or descriptors.
pub fn abandon_files_on_signals() -> io::Result<()> {
    let stop = Stop::new()?;
    stop.on_signals()?;
    Builder::new().name("signals".into()).spawn(move || {
        sandbox::enter(Role::Signals);
        wait_for(&stop);
        let complete = whole_file::abandon_all();
        end_with_failure(&Failure::Interrupted { complete });
    })?;
    Ok(())
}

fn wait_for(stop: &Stop) {
    while !stop.pause(Duration::MAX) {}
}

fn end_with_failure(failure: &Failure) -> ! {
    end_with(failure.code().number(), &failure.to_string())
}

/// Prints the reason, if standard error takes it at once, and ends the process without waiting for any of its threads.
fn end_with(code: u8, why: &str) -> ! {
    let line = format!("{PROGRAM}: {why}\n");
    let error_output = rustix::stdio::stderr();
    let mut ready = [PollFd::from_borrowed_fd(error_output, PollFlags::OUT)];
    // Not by way of the standard library: another thread may hold its lock and wait for a reader.
    if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1) && ready[0].revents() == PollFlags::OUT {
        let _ = rustix::io::write(error_output, line.as_bytes());
    }
    signal_hook::low_level::exit(code.into())
}
