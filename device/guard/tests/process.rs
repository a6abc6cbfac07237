//! The guard as a process of its own.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::front_end::{FrontEnd, ring_body};
use common::process::Process;
use common::{PATIENCE, until};
use rustix::process::{Pid, Signal, kill_process};
use vhost::vhost_user::message::FrontendReq;

/// Not a test by itself: other tests start this process again as a back-end.
#[test]
fn is_a_back_end_for_the_others() {
    common::process::serve_if_asked();
}

struct GuardProcess {
    child: Child,
    lines: Receiver<String>,
}

impl GuardProcess {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vhost-user-guard"));
        command.arg("--socket").arg(folder.join("guard")).arg("--json").args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        until("the guard listens", || folder.join("guard").exists().then_some(()));
        Self { child, lines }
    }

    /// Returns the next line that contains `part`.
    fn line(&self, part: &str) -> String {
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).find(|line| line.contains(part)).unwrap()
    }
}

impl Drop for GuardProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn outlives_a_killed_back_end_and_tells_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo");
    let guard = GuardProcess::start(folder.path(), &["--backend", path.to_str().unwrap(), "--loss-mark", "5:0xdd"]);
    let first = Process::start(&path, 1);
    let mut front_end = FrontEnd::connect(&folder.path().join("guard"));
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    first.kill();
    assert!(guard.line("lost").contains("ended the connection"));
    assert_eq!(front_end.config(64).unwrap()[5], 0xdd);
    let _second = Process::start(&path, 2);
    guard.line("reached");
    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));

    front_end.tell(FrontendReq::SET_VRING_NUM, &ring_body(7, 64), &[]).unwrap();
    let line: serde_json::Value = serde_json::from_str(&guard.line("finding")).unwrap();
    assert_eq!((&line["field"], &line["fault"]), (&"Index".into(), &"TooLarge".into()));
    assert_eq!((&line["expected"], &line["got"]), (&1.into(), &7.into()));
}

#[test]
fn is_confined_unless_told_otherwise() {
    for (sandbox, filtered) in [(None, "2"), (Some("on"), "2"), (Some("off"), "0")] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--backend", "@no such back-end"].into_iter();
        let arguments: Vec<&str> = arguments.chain(sandbox.iter().flat_map(|value| ["--sandbox", value])).collect();
        let guard = GuardProcess::start(folder.path(), &arguments);
        until("the guard is as confined as it is to be", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", guard.child.id())).unwrap();
            let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").trim();
            (value("Seccomp:") == filtered && value("NoNewPrivs:") == (if filtered == "2" { "1" } else { "0" }))
                .then_some(())
        });
    }
}

#[test]
fn ends_at_a_signal_and_removes_its_socket() {
    for connected in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut guard = GuardProcess::start(folder.path(), &["--backend", "@no such back-end"]);
        let front_end = connected.then(|| FrontEnd::connect(&folder.path().join("guard")));
        kill_process(Pid::from_child(&guard.child), Signal::TERM).unwrap();
        assert!(guard.child.wait().unwrap().success());
        assert!(!folder.path().join("guard").exists());
        drop(front_end);
    }
}
