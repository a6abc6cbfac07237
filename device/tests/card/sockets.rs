//! Paths are bound safely: no file of the user's is removed, no process loses its socket, and the socket of a dead process
//! is replaced.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use crate::common::process::{Control, Running, WAIT_LIMIT, connect, place, program, wait_until};
use card_spec::control::Status;
use dmus_card::fake::{Driver, Machine};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

/// Returns a command for each option that binds a path, to bind `path`.
fn options(folder: &TempDir, path: &str) -> [Command; 2] {
    let mut socket = program();
    socket.args(["--socket-path", path]);
    let mut control = program();
    control.args(["--socket-path", &place(folder, "other.sock").1, "--control", path]);
    [socket, control]
}

/// Returns the identity of the file at a path, without following a link: device, inode, length, when it was changed.
fn look(path: &Path) -> (u64, u64, u64, i64, i64) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.dev(), found.ino(), found.len(), found.mtime(), found.ctime_nsec())
}

/// Checks that the card refuses to listen there, names path and remedy, and changes nothing.
fn assert_refuses(folder: &TempDir, path: &Path, cause: &str) {
    let before = look(path);
    let text = path.to_str().unwrap();
    for mut command in options(folder, text) {
        let (code, log) = Running::start(&mut command).wait();
        assert_eq!(code, Some(4), "{log}");
        assert!(log.contains(text) && log.contains(cause) && log.contains("choose another path"), "{cause}: {log}");
        assert_eq!(look(path), before, "{log}");
        assert!(!folder.path().join("other.sock").exists(), "the socket that was bound already is removed");
    }
}

/// Checks that the card listens there, and answers.
fn assert_replaces(folder: &TempDir, path: &Path, make: impl Fn(&Path)) {
    let text = path.to_str().unwrap();
    for (index, mut command) in options(folder, text).into_iter().enumerate() {
        make(path);
        assert!(fs::symlink_metadata(path).unwrap().file_type().is_socket());
        let card = Running::start(&mut command);
        if index == 0 {
            Machine::connect(path).disconnect();
            assert_eq!(card.wait().0, Some(0));
        } else {
            assert_eq!(Control::connect(path).command(&json!({"cmd": "status"}))["ok"], json!(true));
            assert_eq!(card.end_with(Signal::TERM).code, Some(0));
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left");
    }
}

/// Returns a bound socket of a kind.
fn bound(path: &Path, kind: SocketType) -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

#[test]
fn refuses_a_path_that_is_no_socket_and_does_not_touch_it() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "mine").unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::create_dir(path("folder")).unwrap();
    mkfifoat(CWD, path("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    drop(UnixListener::bind(path("dead.sock")).unwrap());
    symlink(path("file"), path("to-file")).unwrap();
    symlink(path("dead.sock"), path("to-socket")).unwrap();
    symlink(path("nothing"), path("to-nothing")).unwrap();
    symlink(path("folder"), path("to-folder")).unwrap();
    for (name, cause) in [
        ("file", "a regular file"),
        ("empty", "a regular file"),
        ("folder", "a folder"),
        ("fifo", "a named pipe"),
        ("to-file", "a symbolic link"),
        ("to-socket", "a symbolic link"),
        ("to-nothing", "a symbolic link"),
        ("to-folder", "a symbolic link"),
    ] {
        assert_refuses(&folder, &path(name), cause);
    }
    assert_eq!(fs::read(path("file")).unwrap(), b"mine");
    assert!(path("dead.sock").exists() && !path("nothing").exists());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 9, "nothing was added");
}

#[test]
fn refuses_a_socket_that_a_process_uses_and_does_not_disturb_it() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let listening = UnixListener::bind(path("listening")).unwrap();
    let full = bound(&path("full"), SocketType::STREAM);
    listen(&full, 0).unwrap();
    let waiting = UnixStream::connect(path("full")).unwrap();
    let _silent = bound(&path("not-listening"), SocketType::STREAM);
    let _datagrams = bound(&path("datagrams"), SocketType::DGRAM);
    let packets = bound(&path("packets"), SocketType::SEQPACKET);
    listen(&packets, 1).unwrap();
    // The name of a client, not of a server.
    let client = bound(&path("client"), SocketType::STREAM);
    rustix::net::connect(&client, &SocketAddrUnix::new(path("listening")).unwrap()).unwrap();
    let (_accepted, _) = listening.accept().unwrap();
    for name in ["listening", "full", "not-listening", "datagrams", "packets", "client"] {
        assert_refuses(&folder, &path(name), "a process uses the socket there");
    }
    listening.set_nonblocking(true).unwrap();
    assert_eq!(listening.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let full = UnixListener::from(full);
    full.set_nonblocking(true).unwrap();
    full.accept().unwrap();
    assert_eq!(full.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(waiting);
}

#[test]
fn replaces_the_socket_of_a_dead_process() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("card.sock");
    for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
        assert_replaces(&folder, &path, |path| drop(bound(path, kind)));
    }
    assert_replaces(&folder, &path, |path| {
        let card = Running::start(program().args(["--socket-path", path.to_str().unwrap()]));
        wait_until("the card listens", || path.exists());
        drop(card);
    });
}

#[test]
fn a_second_card_at_the_same_paths_leaves_the_first_as_it_is() {
    let folder = TempDir::new().unwrap();
    let [(socket, socket_text), (control, control_text), (line, line_text)] =
        ["card.sock", "control.sock", "line.wav"].map(|name| place(&folder, name));
    let line_out = format!("wav:{line_text}");
    let start = |socket: &str, control: &str| {
        let mut command = program();
        command.args(["--socket-path", socket, "--control", control, "--clock", "lockstep"]);
        Running::start(command.args(["--line-out", &line_out]))
    };
    let other = |name: &str| place(&folder, name).1;
    let first = start(&socket_text, &control_text);
    let mut client = Control::connect(&control);
    let second = || {
        for (socket, control) in
            [(&socket_text, &control_text), (&socket_text, &other("a")), (&other("b"), &control_text)]
        {
            let (code, log) = start(socket, control).wait();
            assert_eq!(code, Some(4), "{log}");
        }
    };
    // Before a front-end connects: the first of them would be the only one.
    second();
    assert_eq!(client.command(&json!({"cmd": "status"}))["session"], json!(null));
    let mut driver = Driver::new(Machine::connect(&socket));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    // More than is buffered, so that it is in the file.
    assert_eq!(driver.record(48_000).header.frames.get(), 48_000);
    let length = fs::metadata(&line).unwrap().len();
    assert!(length > 48_000);
    second();
    assert_eq!(fs::metadata(&line).unwrap().len(), length, "the line out is not begun again");
    assert_eq!(driver.record(64).header.position.get(), 48_000);
    assert_eq!(Control::connect(&control).command(&json!({"cmd": "status"}))["session"]["position"], json!(48_064));
    driver.machine.disconnect();
    assert_eq!(first.wait().0, Some(0));
    assert_eq!(hound::WavReader::open(&line).unwrap().duration(), 48_064);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the line out is left, and nothing else");
}

#[test]
fn one_path_cannot_be_both_sockets() {
    let folder = TempDir::new().unwrap();
    let text = place(&folder, "card.sock").1;
    let (code, log) = Running::start(program().args(["--socket-path", &text, "--control", &text])).wait();
    assert_eq!(code, Some(4));
    assert!(log.contains(&text), "{log}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn one_of_several_cards_that_start_at_once_gets_the_path() {
    const CARDS: usize = 8;
    for round in 0..8 {
        let folder = TempDir::new().unwrap();
        let (socket, text) = place(&folder, "card.sock");
        // With the socket of a dead process, and without.
        if round % 2 == 0 {
            drop(UnixListener::bind(&socket).unwrap());
        }
        let mut cards: Vec<Running> = (0..CARDS)
            .map(|index| {
                let own = place(&folder, &format!("{index}.sock")).1;
                let [one, other] = if round < 4 { [&own, &text] } else { [&text, &own] };
                Running::start(program().args(["--socket-path", one, "--control", other]))
            })
            .collect();
        wait_until("all cards but one are gone", || {
            cards.iter_mut().filter_map(|card| card.is_running().then_some(())).count() == 1
        });
        if round < 4 {
            assert_eq!(Control::connect(&socket).command(&json!({"cmd": "status"}))["ok"], json!(true));
        }
        for mut card in cards {
            if card.is_running() {
                if round >= 4 {
                    Machine::connect(&socket).disconnect();
                    assert_eq!(card.wait().0, Some(0));
                } else {
                    assert_eq!(card.end_with(Signal::TERM).code, Some(0));
                }
            } else {
                let (code, log) = card.wait();
                assert_eq!(code, Some(4), "{log}");
            }
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn does_not_remove_a_path_that_leads_to_another_file_by_then() {
    for other in ["a socket", "a file"] {
        let folder = TempDir::new().unwrap();
        let (path, text) = place(&folder, "card.sock");
        let card = Running::start(program().args(["--socket-path", &text]));
        let machine = connect(&path);
        fs::remove_file(&path).unwrap();
        let _listener = if other == "a socket" {
            Some(UnixListener::bind(&path).unwrap())
        } else {
            File::create(&path).unwrap();
            None
        };
        let there = look(&path);
        assert_eq!(card.end_with(Signal::TERM).code, Some(0));
        assert_eq!(look(&path), there, "{other}");
        drop(machine);
    }
}

#[test]
fn an_error_names_a_path_that_cannot_be_bound_with_its_cause() {
    let folder = TempDir::new().unwrap();
    let long = folder.path().join("x".repeat(120));
    for path in ["/nonexistent/card.sock", "/proc/card.sock", long.to_str().unwrap(), "/", ".."] {
        for mut command in options(&folder, path) {
            let ended = Running::start(&mut command).wait_within(WAIT_LIMIT);
            assert_eq!(ended.code, Some(4), "{path}: {}", ended.log);
            assert!(ended.log.contains(path) && ended.log.contains("cannot listen"), "{path}: {}", ended.log);
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
