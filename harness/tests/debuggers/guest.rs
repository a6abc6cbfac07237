//! A guest that waits for a debugger, on a thread of its own, and what the harness says about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dmus::debugger::{BreakAt, BreakOn, Debugging};
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::leftovers::Scratch;
use dmus::machine::Accelerator;
use dmus::machine::stub::{StubSocket, Teller};
use dmus::provision::{Workspace, find_program, lldb_here};
use dmus::testbed::{TestBed, TestBedError};

/// The longest time for what takes a second on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The longest time until a guest waits: the first run builds it.
const BUILD: Duration = Duration::from_secs(1800);

/// The time limit of the guest's steps. Each test keeps the guest stopped for longer.
const STEP: Duration = Duration::from_secs(8);

/// For how long a debugger keeps the guest stopped: longer than a step may take.
pub(crate) const STOPPED: Duration = Duration::from_secs(10);

/// A guest under a debugger.
pub(crate) struct Guest {
    scratch: Scratch,
    said: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<Result<(), TestBedError>>>,
}

/// What is asked of the guest.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// The driver, instead of the project's.
    pub(crate) driver: Option<&'a Path>,
    pub(crate) break_at: &'a [&'a str],
    pub(crate) break_on: Option<BreakOn>,
    /// Whether no debugger is to come.
    pub(crate) alone: bool,
}

impl Guest {
    /// Boots a guest, which loads and starts its driver, and shuts down.
    pub(crate) fn boot(wanted: &Wanted<'_>) -> Self {
        let scratch = Scratch::for_sockets().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (socket, told) = (scratch.path().join("gdb.sock"), Arc::clone(&said));
        let checkout = Workspace::find().unwrap();
        let debugging = Debugging {
            attach: !wanted.alone,
            socket: Some(StubSocket::Unix(socket)),
            break_at: wanted.break_at.iter().map(|place| place.parse::<BreakAt>().unwrap()).collect(),
            break_on: wanted.break_on,
            root: Some(checkout.root),
            library: None,
            lldb: None,
            teller: Teller::new(move |text| told.lock().unwrap().push(text.to_owned())),
        };
        let mut builder = TestBed::builder().accelerator(Accelerator::Tcg).name("debugger").timeout(STEP);
        if let Some(driver) = wanted.driver {
            builder = builder.driver(driver);
        }
        let builder = builder.debugging(debugging);
        let thread = std::thread::spawn(move || {
            let mut bed = builder.boot()?;
            bed.shut_down().map(drop)
        });
        Self { scratch, said, thread: Some(thread) }
    }

    /// Returns the socket of the stub.
    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path().join("gdb.sock")
    }

    /// Returns what the harness has said.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Waits until the harness has said something with this in it; `None` where the guest could not be had here.
    pub(crate) fn wait_for(&mut self, words: &str) -> Option<String> {
        self.wait_within(words, LIMIT)
    }

    fn wait_within(&mut self, words: &str, limit: Duration) -> Option<String> {
        let begun = Instant::now();
        loop {
            let said = self.said();
            if let Some(line) = said.lines().find(|line| line.contains(words)) {
                return Some(line.to_owned());
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                match self.end() {
                    Err(error) if error.class() == Class::MissingArtefact => {
                        println!("skipped: {error}");
                        return None;
                    }
                    ended => panic!("the guest has ended ({ended:?}), and `{words}` was not said:\n{}", self.said()),
                }
            }
            assert!(begun.elapsed() < limit, "`{words}` was not said:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the guest waits for a debugger. Returns the folder of the files; `None` where the guest could not be had here.
    pub(crate) fn waits(&mut self) -> Option<PathBuf> {
        let line = self.wait_within("session.lldb", BUILD)?;
        let path = line.split_whitespace().find(|word| word.ends_with("session.lldb")).unwrap();
        Some(Path::new(path).parent().unwrap().to_path_buf())
    }

    /// Waits until the guest has shut down or failed.
    pub(crate) fn end(&mut self) -> Result<(), TestBedError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Returns the checkout.
pub(crate) fn checkout() -> Workspace {
    Workspace::find().unwrap()
}

/// Returns lldb, or says that a test is skipped.
pub(crate) fn lldb() -> Option<PathBuf> {
    let found = lldb_here(&checkout());
    if found.is_none() {
        println!("skipped: no lldb from version 16 on; DMUS_LLDB names one");
    }
    found
}

/// Returns a program on PATH, or says that a test is skipped.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let found = find_program(Path::new(name));
    if found.is_none() {
        println!("skipped: there is no {name}");
    }
    found
}

/// Builds the C++ driver, or a variant of it, with debug information, in a folder of its own: mingw writes DWARF. Returns the image, or
/// says that a test is skipped.
pub(crate) fn driver_with_dwarf(variant: Option<&str>) -> Option<PathBuf> {
    let compiler = program("x86_64-w64-mingw32-g++")?;
    let workspace = checkout();
    let folder = workspace.target.join("tmp/debuggers");
    std::fs::create_dir_all(&folder).unwrap();
    // Two tests need it: one builds.
    static BUILDS: Mutex<()> = Mutex::new(());
    let _one = BUILDS.lock().unwrap();
    let with_debug = folder.join("g++-g");
    std::fs::write(&with_debug, format!("#!/bin/sh\nexec '{}' -g \"$@\"\n", compiler.display())).unwrap();
    Command::new("chmod").arg("+x").arg(&with_debug).status().unwrap();
    let mut build = Command::new(workspace.root.join("guest-driver/fixture/build.sh"));
    let built = build.arg(&folder).args(variant).env("CXX", &with_debug).stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "the C++ driver does not build");
    Some(PathBuf::from(String::from_utf8(built.stdout).unwrap().trim()))
}

/// Runs a debugger to its end, at most as long as the limit. Returns what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let text = std::thread::spawn(move || std::io::read_to_string(&mut out).unwrap_or_default());
    let more = std::thread::spawn(move || std::io::read_to_string(&mut errors).unwrap_or_default());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    format!("{}{}", text.join().unwrap(), more.join().unwrap())
}
