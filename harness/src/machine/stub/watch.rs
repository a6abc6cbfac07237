//! Watches a machine that a debugger may stop: how long it does not run, and whether its debugger is still there.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::options::{STUB, Stub};
use super::release::release;
use crate::machine::qmp::Qmp;

/// The interval at which the monitor is asked. A step's time limit is known this exactly.
const SAMPLE: Duration = Duration::from_millis(50);

/// QEMU's word for a machine that has paused because its guest wrote to `pvpanic`.
const PAUSED_BY_GUEST: &str = "guest-panicked";

/// QEMU's word for a machine that a debugger has stopped at a breakpoint or after a step.
const STOPPED_BY_DEBUGGER: &str = "debug";

/// How long the machine did not run.
#[derive(Debug, Default)]
struct Stopped {
    total: Duration,
    since: Option<Instant>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(in crate::machine) struct StubWatch {
    stopped: Arc<Mutex<Stopped>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StubWatch {
    /// Starts to watch by a monitor that has not greeted yet.
    ///
    /// # Errors
    /// The error of the host, where it gives no thread.
    pub(in crate::machine) fn begin(stub: Stub, monitor: UnixStream) -> io::Result<Self> {
        let qmp = Qmp::new(monitor)?;
        let since = stub.wait.then(Instant::now);
        let stopped = Arc::new(Mutex::new(Stopped { total: Duration::ZERO, since }));
        let (stop, ended) = channel::<()>();
        let mut looker =
            Looker { stub, qmp, stopped: Arc::clone(&stopped), connected: false, paused: false, given_up: false };
        let body = move || {
            // QEMU ends where its monitor does not answer, which others report.
            if looker.qmp.connect(&mut || true).is_err() {
                return;
            }
            while ended.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) && looker.look().is_ok() {}
        };
        let thread = std::thread::Builder::new().name("stub".into()).spawn(body)?;
        Ok(Self { stopped, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns how long the machine did not run so far.
    pub(in crate::machine) fn total(&self) -> Duration {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.total + stopped.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for StubWatch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Looker {
    stub: Stub,
    qmp: Qmp,
    stopped: Arc<Mutex<Stopped>>,
    connected: bool,
    /// The guest has paused the machine, and it was said.
    paused: bool,
    /// A machine that a debugger has left stopped cannot be let go on, and it was said.
    given_up: bool,
}

impl Looker {
    /// Looks once.
    ///
    /// # Errors
    /// The error of a monitor that has gone.
    fn look(&mut self) -> io::Result<()> {
        let status = self.qmp.command("query-status", None)?;
        let runs = status["running"].as_bool().unwrap_or_default();
        self.note(runs);
        let paused = status["status"] == PAUSED_BY_GUEST;
        if paused && !std::mem::replace(&mut self.paused, paused) {
            let how = &self.stub.how_to_attach;
            self.stub.teller.tell(&format!(
                "the machine has stopped at the violation; time limits wait. Attach a debugger, whose `detach` lets the guest go \
                 on, or end the run with Ctrl-C:{how}"
            ));
        }
        self.paused = paused;
        let connected = self.has_debugger()?;
        let was_connected = std::mem::replace(&mut self.connected, connected);
        // One that came and went between two looks shows by the machine that it has left stopped.
        let left_stopped = !self.given_up && status["status"] == STOPPED_BY_DEBUGGER;
        self.given_up &= !connected;
        if !connected && (was_connected || left_stopped) {
            // It may have detached since the look above.
            let status = self.qmp.command("query-status", None)?;
            self.debugger_has_gone(status["running"].as_bool().unwrap_or_default());
        }
        Ok(())
    }

    fn note(&self, runs: bool) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        match (runs, stopped.since) {
            (true, Some(since)) => {
                stopped.total += since.elapsed();
                stopped.since = None;
            }
            (false, None) => stopped.since = Some(Instant::now()),
            _ => {}
        }
    }

    /// Asks whether a debugger is connected to the stub.
    fn has_debugger(&mut self) -> io::Result<bool> {
        let devices = self.qmp.command("query-chardev", None)?;
        let stub = devices.as_array().into_iter().flatten().find(|device| device["label"] == STUB);
        let name = stub.and_then(|device| device["filename"].as_str()).unwrap_or("disconnected:");
        Ok(!name.starts_with("disconnected:"))
    }

    /// Has the guest go on without its debugger. One that detached has left no breakpoints and a machine that runs.
    fn debugger_has_gone(&mut self, runs: bool) {
        let text = match (release(&self.stub.socket), runs) {
            (Ok(()), true) => "the debugger has left; the guest goes on, and another can attach".into(),
            (Ok(()), false) => {
                "the debugger has gone without detaching; its breakpoints are removed, and the guest goes on".into()
            }
            // A QEMU that the debugger has ended is reported as such.
            (Err(_), _) if self.qmp.command("query-status", None).is_err() => return,
            (Err(error), _) => {
                self.given_up = true;
                format!(
                    "the debugger has gone, and the guest cannot be let go on ({error}); attach another debugger, or end the \
                     run with Ctrl-C"
                )
            }
        };
        self.stub.teller.tell(&text);
    }
}
