//! The sandbox: what it refuses, how it says so, and what goes on inside it.
//!
//! A refused call ends its process, so each test that makes one starts this test program again, with the one test that
//! makes the call.

mod common;

use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use card_control::ExitCode;
use card_spec::control::Status;
use common::process::{Control, Running, connect, place, program, run, wait_until};
use dmus_card::fake::{Driver, Machine};
use dmus_card::sandbox::{self, Folders, Role};
use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::json;
use tempfile::TempDir;

/// Tells a test of this program what to do as a process of its own.
const TASK: &str = "DMUS_SANDBOX_TEST_TASK";

/// Executes the task in a process of its own, as the test `name` of this program does it.
fn as_a_process(name: &str, task: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

fn task() -> Option<String> {
    std::env::var(TASK).ok()
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Executes `act` on a thread in a role of this process.
fn in_role<T: Send + 'static>(role: Role, act: impl FnOnce() -> T + Send + 'static) -> T {
    sandbox::prepare(Folders::default(), None).unwrap();
    let confined = move || {
        sandbox::enter(role);
        act()
    };
    std::thread::spawn(confined).join().unwrap()
}

#[test]
fn every_role_refuses_programs_files_and_the_network_and_names_the_call() {
    if let Some(task) = task() {
        let (number, call) = task.split_once(' ').unwrap();
        let role = Role::ALL[number.parse::<usize>().unwrap()];
        let call = call.to_owned();
        in_role(role, move || match call.as_str() {
            // That a role which makes files does not open one that is there.
            "openat" => drop(fs::File::open("/etc/passwd")),
            "socket" => drop(TcpStream::connect("127.0.0.1:9")),
            "execve" => drop(Command::new("/bin/true").exec()),
            other => panic!("{other}"),
        });
        return;
    }
    for (number, role) in Role::ALL.into_iter().enumerate() {
        for call in ["openat", "socket", "execve"] {
            let name = "every_role_refuses_programs_files_and_the_network_and_names_the_call";
            let output = as_a_process(name, &format!("{number} {call}"));
            let error = error_of(&output);
            assert_eq!(output.status.code(), Some(ExitCode::Violation.number().into()), "{role:?} {call}: {error}");
            assert!(error.contains(&format!("refused the system call {call} (")), "{role:?} {call}: {error}");
            assert!(error.contains(&format!("in the role {}", role.name())), "{error}");
            assert!(error.contains("--sandbox off") && error.contains("report"), "{error}");
        }
    }
}

#[test]
fn memory_that_holds_code_and_signals_to_other_processes_are_refused() {
    if let Some(task) = task() {
        in_role(Role::Card, move || match task.as_str() {
            "mmap" => drop(memmap_code()),
            _ => drop(rustix::process::kill_process(rustix::process::Pid::INIT, Signal::CONT)),
        });
        return;
    }
    for (task, call) in [("mmap", "mmap"), ("signal", "kill")] {
        let output = as_a_process("memory_that_holds_code_and_signals_to_other_processes_are_refused", task);
        assert_eq!(output.status.code(), Some(ExitCode::Violation.number().into()), "{}", error_of(&output));
        assert!(error_of(&output).contains(&format!("call {call} (")), "{}", error_of(&output));
    }
}

/// Asks for memory from which code can be executed.
fn memmap_code() -> io::Result<()> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let mapped = vm_memory::MmapRegion::<()>::build(None, 4096, prot, flags);
    mapped.map(drop).map_err(io::Error::other)
}

#[test]
fn a_panic_is_survived_and_shows_no_backtrace() {
    if task().is_some() {
        in_role(Role::Card, || {
            std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
            assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
        });
        return;
    }
    let output = as_a_process("a_panic_is_survived_and_shows_no_backtrace", "panic");
    assert_eq!(output.status.code(), Some(0), "{}", error_of(&output));
    assert!(error_of(&output).contains("on purpose"));
}

#[test]
fn a_process_out_of_memory_ends_with_its_sentence() {
    if task().is_some() {
        in_role(Role::Card, || std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize)).len());
        return;
    }
    let output = as_a_process("a_process_out_of_memory_ends_with_its_sentence", "memory");
    assert!(error_of(&output).contains("memory allocation of"), "{}", error_of(&output));
    assert!(!error_of(&output).contains("sandbox"), "{}", error_of(&output));
}

#[test]
fn a_host_that_refuses_filters_is_named_with_its_exit_code_and_what_to_do() {
    if let Some(socket) = task() {
        // As a container does that does not let its processes call seccomp.
        let rules = [(libc::SYS_seccomp, Vec::new())].into_iter().collect();
        let refuse = SeccompAction::Errno(libc::EPERM as u32);
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).unwrap();
        seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
        panic!("{}", program().args(["--socket-path", &socket]).stderr(Stdio::inherit()).exec());
    }
    let folder = TempDir::new().unwrap();
    let socket = place(&folder, "card.sock").1;
    let output = as_a_process("a_host_that_refuses_filters_is_named_with_its_exit_code_and_what_to_do", &socket);
    assert_eq!(output.status.code(), Some(ExitCode::Sandbox.number().into()), "{}", error_of(&output));
    assert!(error_of(&output).contains("--sandbox off"), "{}", error_of(&output));
}

/// Returns whether this kernel has Landlock.
fn has_landlock() -> bool {
    use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}

#[test]
fn a_sound_file_is_made_in_its_folder_only() {
    if let Some(folder) = task() {
        let [inside, outside] = ["inside", "outside"].map(|name| std::path::Path::new(&folder).join(name));
        let folders = Folders { sockets: Vec::new(), outputs: vec![inside.clone()] };
        sandbox::prepare(folders, None).unwrap();
        sandbox::enter(Role::CardWithLineOut);
        let make = |folder: &std::path::Path| fs::File::options().write(true).create_new(true).open(folder.join("new"));
        assert!(make(&inside).is_ok());
        let refused = make(&outside).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let _ = writeln!(io::stderr(), "refused outside: {refused}");
        return;
    }
    if !has_landlock() {
        eprintln!("the kernel has no Landlock: nothing to see here");
        return;
    }
    let folder = TempDir::new().unwrap();
    for name in ["inside", "outside"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let output = as_a_process("a_sound_file_is_made_in_its_folder_only", folder.path().to_str().unwrap());
    assert!(error_of(&output).contains("refused outside: true"), "{}", error_of(&output));
    assert!(folder.path().join("inside/new").exists() && !folder.path().join("outside/new").exists());
}

#[test]
fn the_whole_card_is_confined_with_its_threads() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let (control_path, control) = place(&folder, "control.sock");
    let line_out = format!("wav:{}", place(&folder, "line.wav").1);
    // A file of the same name from before is replaced.
    fs::write(folder.path().join("line.2.wav"), "before").unwrap();
    let inherited = fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let arguments = ["--socket-path", &socket, "--control", &control, "--clock", "lockstep", "--line-out", &line_out];
    let card = Running::start(program().args(arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1"));
    let id = card.0.id();
    let mut driver = Driver::new(Machine::connect(&path));
    assert_eq!(driver.open().status, Status::OK);
    for rate in [48_000, 22_050] {
        driver.play(rate);
        driver.record(777);
        assert_eq!(driver.open().status, Status::OK);
    }
    let mut client = Control::connect(&control_path);
    assert_eq!(client.command(&json!({"cmd": "status"}))["ok"], json!(true));
    wait_until("every thread has a filter of its own", || {
        fs::read_dir(format!("/proc/{id}/task")).unwrap().all(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            let value =
                |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
            // That which refuses clone3 is the first.
            let filters: u32 = value("Seccomp_filters:").map_or(2, |count| count.parse().unwrap());
            (value("NoNewPrivs:").as_deref(), value("Seccomp:").as_deref()) == (Some("1"), Some("2")) && filters >= 2
        })
    });
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")), "{limits}");
    let number = inherited.as_raw_fd();
    let leads_to = fs::read_link(format!("/proc/{id}/fd/{number}"));
    assert!(leads_to.is_err() || leads_to.unwrap().to_str() != Some("/dev/zero"), "descriptor {number} is still open");
    drop(client);
    driver.machine.disconnect();
    let (code, log) = card.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("system calls are filtered"), "{log}");
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["line.2.wav", "line.wav"]);
    assert_eq!(hound::WavReader::open(folder.path().join("line.2.wav")).unwrap().spec().sample_rate, 22_050);
}

#[test]
fn without_the_sandbox_a_warning_says_so() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let card = Running::start(program().args(["--socket-path", &socket, "--sandbox", "off"]));
    drop(connect(&path));
    let (code, log) = card.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the sandbox is off"), "{log}");
    assert_eq!(run(&["--sandbox", "maybe"]).0, 2);
}

#[test]
fn commands_take_what_a_shell_passes_as_a_descriptor() {
    let folder = TempDir::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::empty()).unwrap();
    let list = format!("/dev/fd/{}", reader.as_raw_fd());
    let out = place(&folder, "x.wav").1;
    let render = program().args(["render", "--events", &list, "--out", &out, "--frames", "100"]).spawn().unwrap();
    writer.write_all(b"# dmus event list 1\n0 1 90 3c 64\n").unwrap();
    drop((writer, reader));
    let (code, log) = Running(render).wait();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_folder_of_stems_with_a_pipe_in_a_files_place_is_refused_before_anything_is_parsed() {
    let folder = TempDir::new().unwrap();
    let (list_path, list) = place(&folder, "song");
    fs::write(list_path, "# dmus event list 1\n0 1 90 3c 64\n").unwrap();
    let (stems_path, stems) = place(&folder, "stems");
    fs::create_dir(&stems_path).unwrap();
    let out = place(&folder, "x.wav").1;
    let render = ["render", "--events", &list, "--out", &out, "--frames", "100", "--stems", &stems];
    let effects = stems_path.join("effects.wav");
    fs::write(&effects, "before").unwrap();
    let (code, _, error) = run(&render);
    assert_eq!(code, 0, "{error}");
    assert!(fs::read(&effects).unwrap().starts_with(b"RIFF"), "a file from before is replaced");
    fs::remove_file(&effects).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &effects, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (code, _, error) = run(&render);
    assert_eq!(code, 5, "{error}");
    assert!(error.contains("effects.wav"), "{error}");
}

/// The table of the manual says what the lists say.
#[test]
fn the_manual_lists_every_call_of_every_role() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("SANDBOX.md");
    let table = sandbox::table::markdown();
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    if std::env::var_os("UPDATE_SANDBOX").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "SANDBOX.md is not what the lists say; UPDATE_SANDBOX=1 cargo test -p dmus-card --test sandbox"
    );
}

#[test]
fn a_persistent_card_serves_one_front_end_after_the_other_inside_it() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let card = Running::start(program().args(["--socket-path", &socket, "--persistent", "--clock", "lockstep"]));
    for _ in 0..5 {
        let mut driver = Driver::new(Machine::connect(&path));
        assert_eq!(driver.open().status, Status::OK);
        driver.play(48_000);
        driver.record(64);
        driver.machine.disconnect();
    }
    assert!(UnixStream::connect(&path).is_ok());
    let ended = card.end_with(Signal::TERM);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!path.exists());
}
