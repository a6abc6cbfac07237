//! A signal ends the process in time, whatever it is doing, and its files are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{PipeWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::common::process::{
    Control, Ended, NEED_REPLY, Running, VERSION_1, connect, fill, place, program, receive, send, wait_until,
};
use card_spec::control::Status;
use dmus_card::fake::{Driver, Machine, STREAM_RENDER};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::ioctl_fionbio;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

const GET_FEATURES: u32 = 1;
const SET_VRING_NUM: u32 = 8;

const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];

/// A card that listens in a folder of its own, with a control socket and a line out.
struct Card {
    folder: TempDir,
    running: Running,
}

impl Card {
    fn start(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let [socket, control, wav] = ["card.sock", "control.sock", "line.wav"].map(|name| place(&folder, name).1);
        let mut command = program();
        command.args(["--socket-path", &socket, "--control", &control, "--clock", "lockstep"]);
        command.args(["--line-out", &format!("wav:{wav}")]).args(more);
        let running = Running::start(&mut command);
        let card = Self { folder, running };
        // Once this is answered, the card serves.
        card.control().command(&json!({"cmd": "status"}));
        card
    }

    fn socket(&self) -> UnixStream {
        connect(&self.folder.path().join("card.sock"))
    }

    fn control(&self) -> Control {
        Control::connect(&self.folder.path().join("control.sock"))
    }

    fn driver(&self) -> Driver {
        let mut driver = Driver::new(Machine::connect(&self.folder.path().join("card.sock")));
        assert_eq!(driver.open().status, Status::OK);
        driver.play(48_000);
        driver
    }

    /// Sends a signal, checks that the card ends in time and with success, and returns the frames of its line out.
    fn end_with(self, signal: Signal) -> u32 {
        let Ended { code, log, .. } = self.running.end_with(signal);
        assert_eq!(code, Some(0), "{log}");
        let left: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["line.wav"]);
        frames(&self.folder.path().join("line.wav"))
    }
}

/// Returns how many frames a sound file has, by its header, which must agree with its length.
fn frames(path: &Path) -> u32 {
    let mut reader = hound::WavReader::open(path).unwrap();
    let frames = reader.duration();
    assert_eq!(reader.samples::<i16>().map(Result::unwrap).count(), frames as usize * 2);
    frames
}

#[test]
fn ends_while_it_waits_for_a_front_end() {
    for signal in SIGNALS {
        assert_eq!(Card::start(&[]).end_with(signal), 0);
        assert_eq!(Card::start(&["--persistent"]).end_with(signal), 0);
    }
}

#[test]
fn ends_while_a_message_is_half_sent() {
    let whole = [&[SET_VRING_NUM, VERSION_1, 8].map(u32::to_ne_bytes).concat()[..], &[0; 8]].concat();
    for (signal, sent) in SIGNALS.into_iter().flat_map(|signal| [1, 11, 12, 19].map(|sent| (signal, sent))) {
        let card = Card::start(&[]);
        let mut socket = card.socket();
        send(&socket, GET_FEATURES, VERSION_1, &[], &[]);
        receive(&socket);
        socket.write_all(&whole[..sent]).unwrap();
        // Time for the card to begin with it.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(card.end_with(signal), 0);
    }
}

#[test]
fn ends_while_the_body_of_a_message_never_ends() {
    let card = Card::start(&[]);
    let mut socket = card.socket();
    let (begun, sending) = mpsc::channel();
    let sender = std::thread::spawn(move || {
        socket.write_all(&[SET_VRING_NUM, VERSION_1, u32::MAX].map(u32::to_ne_bytes).concat()).unwrap();
        while socket.write_all(&[0; 65_536]).is_ok() {
            let _ = begun.send(());
        }
    });
    sending.iter().nth(10).unwrap();
    assert_eq!(card.end_with(Signal::TERM), 0);
    sender.join().unwrap();
}

#[test]
fn ends_while_answers_are_not_read() {
    for signal in SIGNALS {
        let card = Card::start(&[]);
        let mut socket = card.socket();
        let message = [GET_FEATURES, VERSION_1 | NEED_REPLY, 0].map(u32::to_ne_bytes).concat();
        fill(&mut socket, &message);
        assert_eq!(card.end_with(signal), 0);
    }
}

#[test]
fn ends_while_messages_never_pause() {
    let card = Card::start(&[]);
    let socket = card.socket();
    let (begun, sending) = mpsc::channel();
    let sender = std::thread::spawn(move || {
        let message = [GET_FEATURES, VERSION_1, 0].map(u32::to_ne_bytes).concat();
        let mut writer = &socket;
        let reader = socket.try_clone().unwrap();
        let reader = std::thread::spawn(move || std::io::copy(&mut &reader, &mut std::io::sink()));
        while writer.write_all(&message.repeat(100)).is_ok() {
            let _ = begun.send(());
        }
        let _ = reader.join();
    });
    sending.iter().nth(100).unwrap();
    assert_eq!(card.end_with(Signal::TERM), 0);
    sender.join().unwrap();
}

#[test]
fn ends_while_control_clients_send_half_lines_or_read_nothing() {
    for signal in SIGNALS {
        let card = Card::start(&[]);
        let mut clients: Vec<Control> = (0..10).map(|_| card.control()).collect();
        for client in &mut clients[..5] {
            client.write("{\"cmd\":");
        }
        for client in &mut clients[5..] {
            let stream = client.0.get_mut();
            fill(stream, b"{\"cmd\":\"status\"}\n");
        }
        assert_eq!(card.end_with(signal), 0);
    }
}

#[test]
fn ends_amid_a_large_advance() {
    for signal in SIGNALS {
        let card = Card::start(&[]);
        let mut driver = card.driver();
        let chord: Vec<[u8; 3]> = (40..90).map(|key| [0x90, key, 100]).collect();
        let events: Vec<(i64, u16, &[u8])> = chord.iter().map(|note| (0, 1, &note[..])).collect();
        driver.send(STREAM_RENDER, &events);
        let mut control = card.control();
        control.write("{\"cmd\":\"advance\",\"frames\":300000000}\n");
        let line = card.folder.path().join("line.wav");
        wait_until("frames in the line out", || fs::metadata(&line).unwrap().len() > 400_000);
        let frames = card.end_with(signal);
        assert!(frames > 100_000, "{frames}");
        let answer = control.answer().expect("an answer before the end");
        assert!(answer["error"].as_str().unwrap().contains("stopping"), "{answer}");
    }
}

#[test]
fn ends_while_the_line_out_is_a_pipe_that_is_not_read() {
    let folder = TempDir::new().unwrap();
    let [(pipe, pipe_text), (socket, socket_text), (control, control_text)] =
        ["pipe", "card.sock", "control.sock"].map(|name| place(&folder, name));
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let _reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut command = program();
    command.args(["--socket-path", &socket_text, "--clock", "lockstep", "--line-out", &format!("wav:{pipe_text}")]);
    command.args(["--control", &control_text]);
    let card = Running::start(&mut command);
    let mut driver = Driver::new(Machine::connect(&socket));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    // More than the pipe takes, and fewer frames than those after which the header is updated, which a pipe refuses.
    Control::connect(&control).write("{\"cmd\":\"advance\",\"frames\":40000}\n");
    std::thread::sleep(Duration::from_millis(300));
    let Ended { code, log, .. } = card.end_with(Signal::TERM);
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains(&pipe_text), "{log}");
    assert_eq!(card_control::log::stopping_signal(&log), Some("SIGTERM"), "{log}");
    assert!(!socket.exists());
}

/// Returns a pipe that is full.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn ends_while_its_log_is_not_read() {
    let folder = TempDir::new().unwrap();
    let (socket, text) = place(&folder, "card.sock");
    let (_reader, log) = full_pipe();
    let card = Running::start(program().args(["--socket-path", &text]).stderr(log));
    let front_end = connect(&socket);
    // An unknown request: a warning that is not read.
    send(&front_end, 99, VERSION_1, &[], &[]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(card.end_with(Signal::TERM).code, Some(0));
    assert!(!socket.exists());
}

/// Returns a song that takes longer to render than a test may take.
fn endless_song(folder: &TempDir) -> String {
    let (path, text) = place(folder, "song");
    let mut song = String::from("# dmus event list 1\n");
    for channel in 0..16 {
        for key in 40..70 {
            song += &format!("0 1 9{channel:x} {key:02x} 64\n");
        }
    }
    fs::write(path, song).unwrap();
    text
}

fn assert_interrupted(folder: &TempDir, render: Running, signal: Signal, stays: &[&str]) {
    let Ended { code, log, .. } = render.end_with(signal);
    assert_eq!(code, Some(130), "{log}");
    let mut left: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, stays, "nothing that is not complete is left");
}

/// Returns the lengths of the unfinished files that a process has open in a folder: without a name, or with that of one in
/// the making.
fn unfinished_files(process: &Running, folder: &Path) -> Vec<u64> {
    let open = format!("/proc/{}/fd", process.pid().as_raw_nonzero());
    let entries = fs::read_dir(open).into_iter().flatten().flatten();
    let unfinished = entries.filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|path| {
            let name = path.to_string_lossy();
            path.starts_with(folder) && (name.ends_with(" (deleted)") || name.ends_with(".partial"))
        })
    });
    unfinished.filter_map(|entry| Some(fs::metadata(entry.path()).ok()?.len())).collect()
}

fn has_a_file_in(process: &Running, folder: &Path) -> bool {
    !unfinished_files(process, folder).is_empty()
}

fn writes_a_file_in(process: &Running, folder: &Path) -> bool {
    unfinished_files(process, folder).into_iter().any(|bytes| bytes > 0)
}

#[test]
fn an_interrupted_render_with_stems_leaves_no_file() {
    for (signal, stems) in SIGNALS.into_iter().flat_map(|signal| [(signal, false), (signal, true)]) {
        let folder = TempDir::new().unwrap();
        let song = endless_song(&folder);
        let [out, apart] = ["out.wav", "stems"].map(|name| place(&folder, name).1);
        let mut command = program();
        command.args(["render", "--events", &song, "--out", &out]);
        if stems {
            command.args(["--frames", "2000000", "--channel-groups", "4", "--stems", &apart]);
        } else {
            command.args(["--frames", "1000000000"]);
        }
        let render = Running::start(&mut command);
        let begun = if stems { Path::new(&apart) } else { folder.path() };
        wait_until("a file in the making", || writes_a_file_in(&render, begun));
        assert_interrupted(&folder, render, signal, &["song"]);
    }
}

#[test]
fn ends_a_render_to_a_pipe_that_is_not_read() {
    for (signal, read) in SIGNALS.into_iter().flat_map(|signal| [(signal, false), (signal, true)]) {
        let folder = TempDir::new().unwrap();
        let song = endless_song(&folder);
        let (pipe, text) = place(&folder, "pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let _reader = read.then(|| OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
        let render =
            Running::start(program().args(["render", "--events", &song, "--out", &text, "--frames", "9000000"]));
        std::thread::sleep(Duration::from_millis(300));
        assert_interrupted(&folder, render, signal, &["pipe", "song"]);
    }
}

#[test]
fn ends_a_render_whose_events_do_not_come_or_whose_progress_is_not_read() {
    for signal in SIGNALS {
        let folder = TempDir::new().unwrap();
        let song = endless_song(&folder);
        let out = place(&folder, "out.wav").1;
        let render = Running::start(
            program().args(["render", "--events", "-", "--out", &out]).stdin(Stdio::piped()).stdout(Stdio::null()),
        );
        std::thread::sleep(Duration::from_millis(100));
        assert_interrupted(&folder, render, signal, &["song"]);

        let (_reader, full) = full_pipe();
        let arguments = ["render", "--events", &song, "--out", &out, "--frames", "9000000", "--progress"];
        let render = Running::start(program().args(arguments).stdout(full));
        wait_until("a file in the making", || has_a_file_in(&render, folder.path()));
        std::thread::sleep(Duration::from_millis(300));
        assert_interrupted(&folder, render, signal, &["song"]);
    }
}

#[test]
fn a_complete_render_stays_when_its_result_is_not_read() {
    let folder = TempDir::new().unwrap();
    let song = endless_song(&folder);
    let (out, text) = place(&folder, "out.wav");
    let (_reader, full) = full_pipe();
    let arguments = ["render", "--events", &song, "--out", &text, "--frames", "1000"];
    let render = Running::start(program().args(arguments).stdout(full));
    wait_until("the file", || out.exists());
    let Ended { code, log, .. } = render.end_with(Signal::INT);
    assert_eq!(code, Some(130));
    assert!(log.contains("complete"), "{log}");
    assert_eq!(frames(&out), 1000);
}

#[test]
fn ends_while_a_bank_is_read_from_an_empty_pipe() {
    for signal in SIGNALS {
        let folder = TempDir::new().unwrap();
        let (pipe, text) = place(&folder, "pipe.dls");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let _writer = File::options().read(true).write(true).open(&pipe).unwrap();
        let to = place(&folder, "to.dls").1;
        let convert = Running::start(program().args(["bank", "convert", &text, &to]));
        std::thread::sleep(Duration::from_millis(100));
        assert_interrupted(&folder, convert, signal, &["pipe.dls"]);
        // A card that reads its bank does not serve yet.
        let socket = place(&folder, "card.sock").1;
        let card = Running::start(program().args(["--socket-path", &socket, "--bank", &text]));
        std::thread::sleep(Duration::from_millis(100));
        if signal == Signal::INT && interrupts_are_ignored() {
            // It has no handler yet, and leaves to the shell what the shell has chosen for a job in the background.
            card.end_with(Signal::TERM);
        } else {
            card.end_with(signal);
        }
        assert!(!Path::new(&socket).exists());
    }
}

/// Returns whether this process ignores SIGINT, as a shell has jobs in the background do; those that it starts inherit that.
fn interrupts_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 << (Signal::INT.as_raw() - 1) != 0
}
