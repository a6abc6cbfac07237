//! A front-end as QEMU is one, a driver behind it, and a guarded or bare back-end in this process.

#![allow(dead_code, reason = "each test file uses its own part of it")]

#[path = "../../examples/echo/device.rs"]
pub(crate) mod device;
pub(crate) mod front_end;
pub(crate) mod process;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vhost::vhost_user::Listener;
use vhost_user_backend::VhostUserDaemon;
use vhost_user_guard::{Builder, Connector, Finding, Guard, Limits};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use device::Echo;

/// How long a test waits for what has to happen, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `found` returns something.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} has not happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A back-end of the framework that serves one connection after the other, each with a new device.
pub(crate) fn serve_echo(listener: UnixListener) {
    serve_echo_from(listener, 1);
}

/// As [`serve_echo`], from a life on.
pub(crate) fn serve_echo_from(listener: UnixListener, life: u8) {
    serve_devices(listener, life, false);
}

/// As [`serve_echo_from`], with devices that bear whatever a ring holds, if they are to be `tolerant`.
pub(crate) fn serve_devices(listener: UnixListener, life: u8, tolerant: bool) {
    let mut listener = Listener::from(listener);
    std::thread::spawn(move || {
        let mut life = life;
        loop {
            let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
            let mut device = Echo::new(life, None);
            device.tolerant = tolerant;
            life = life.wrapping_add(1);
            let device = Arc::new(device);
            let mut daemon = VhostUserDaemon::new("echo".into(), device, memory).unwrap();
            if daemon.start(&mut listener).is_err() {
                return;
            }
            if let Err(error) = daemon.wait() {
                log::debug!("the back-end's connection has ended: {error}");
            }
            // Its worker may hang, and the daemon's end waits for it.
            std::thread::spawn(move || drop(daemon));
        }
    });
}

/// A guard in a thread of this process.
pub(crate) struct Guarded {
    pub(crate) folder: TempDir,
    pub(crate) findings: Arc<Mutex<Vec<Finding>>>,
    pub(crate) changes: Arc<Mutex<Vec<String>>>,
    stop: Option<std::io::PipeWriter>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// Limits for tests, which have no time.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.answer = Duration::from_millis(1000);
    limits.heartbeat = Duration::from_millis(100);
    limits.kick = Duration::from_millis(600);
    limits.reconnect = Duration::from_millis(50);
    limits
}

impl Guarded {
    /// Starts a guard in front of a back-end that will listen at [`backend`](Self::backend).
    pub(crate) fn start(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let findings = Arc::new(Mutex::new(Vec::new()));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let builder = Guard::builder(Connector::path(folder.path().join("backend")).unwrap()).limits(limits());
        let guard = configure(builder)
            .on_finding({
                let findings = Arc::clone(&findings);
                move |finding| findings.lock().unwrap().push(*finding)
            })
            .on_backend({
                let changes = Arc::clone(&changes);
                move |change| changes.lock().unwrap().push(format!("{change:?}"))
            })
            .build();
        let listener = UnixListener::bind(folder.path().join("guard")).unwrap();
        let (reader, stop) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || guard.serve(&listener, &reader));
        Self { folder, findings, changes, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts a guard in front of an [`Echo`] in this process.
    pub(crate) fn echo() -> Self {
        let guarded = Self::start(|builder| builder);
        guarded.listen_echo();
        guarded
    }

    pub(crate) fn listen_echo(&self) {
        serve_echo(UnixListener::bind(self.backend()).unwrap());
    }

    pub(crate) fn backend(&self) -> PathBuf {
        self.folder.path().join("backend")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("guard")
    }

    pub(crate) fn take_findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.findings.lock().unwrap())
    }

    /// Waits until a change of the back-end is among those that were reported.
    pub(crate) fn wait_for_change(&self, begins: &str, times: usize) {
        until(begins, || {
            let changes = self.changes.lock().unwrap();
            (changes.iter().filter(|change| change.starts_with(begins)).count() >= times).then_some(())
        });
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
