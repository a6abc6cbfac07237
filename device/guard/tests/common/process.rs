//! A back-end in a process of its own, to be stopped and killed.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that makes a test's process a back-end: the path that it listens on, and its life.
const VARIABLE: &str = "GUARD_TEST_BACK_END";

/// A process with an [`Echo`](super::device::Echo).
pub(crate) struct Process(Child);

impl Process {
    /// Starts one that listens on `path`. The test file has to have a test that calls [`serve_if_asked`].
    pub(crate) fn start(path: &Path, life: u8) -> Self {
        let _ = std::fs::remove_file(path);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "is_a_back_end_for_the_others", "--nocapture"]);
        command.env(VARIABLE, format!("{life}:{}", path.display())).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Self(command.spawn().unwrap());
        super::until("the back-end listens", || path.exists().then_some(()));
        process
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes this process a back-end, if it was started as one; returns at once otherwise.
pub(crate) fn serve_if_asked() {
    let Ok(asked) = std::env::var(VARIABLE) else { return };
    let (life, path) = asked.split_once(':').unwrap();
    super::serve_echo_from(UnixListener::bind(path).unwrap(), life.parse().unwrap());
    loop {
        std::thread::park();
    }
}
