//! The program as users start it: command line, exit codes, sockets, files.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::process::{Control, Running, WAIT_LIMIT, place, program, run};
use card_spec::control::Status;
use dmus_card::fake::{Driver, Machine, STREAM_RENDER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

#[test]
fn help_names_every_exit_code() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for number in ["  2 ", "  3 ", "  4 ", "  5 ", "  6 ", "  70"] {
        assert!(help.contains(number), "{number} is missing in:\n{help}");
    }
    assert!(help.contains("share=on"));
}

#[test]
fn capabilities_are_json() {
    let (code, text, _) = run(&["--print-capabilities"]);
    assert_eq!(code, 0);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value["type"].is_string() && value["features"].is_array());
}

#[test]
fn wrong_arguments_exit_with_2_and_name_what_is_missing() {
    let (code, _, error) = run(&[]);
    assert_eq!(code, 2);
    assert!(error.contains("--socket-path"), "{error}");
    assert_eq!(run(&["--clock", "sundial", "--fd", "3"]).0, 2);
    assert_eq!(run(&["--fd", "3", "--line-out", "mp3:x"]).0, 2);
}

#[test]
fn a_bank_that_is_missing_or_broken_exits_with_3_and_names_the_file() {
    let folder = TempDir::new().unwrap();
    let (socket, bank) = (place(&folder, "card.sock").1, place(&folder, "broken.dls"));
    let (code, _, error) = run(&["--socket-path", &socket, "--bank", &bank.1]);
    assert_eq!(code, 3);
    assert!(error.contains("broken.dls"), "{error}");
    std::fs::write(&bank.0, b"RIFFxxxxWAVE").unwrap();
    let (code, _, error) = run(&["--socket-path", &socket, "--bank", &bank.1]);
    assert_eq!(code, 3);
    assert!(error.contains("broken.dls"), "{error}");
}

#[test]
fn a_socket_in_use_exits_with_4_and_one_that_was_left_behind_is_replaced() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (code, _, error) = run(&["--socket-path", &socket]);
    assert_eq!(code, 4);
    assert!(error.contains("card.sock"), "{error}");
    drop(listener);
    assert!(path.exists(), "the socket of a dead process");
    let card = Running::start(program().args(["--socket-path", &socket]));
    Machine::connect(&path).disconnect();
    assert_eq!(card.wait().0, Some(0));
    assert!(!path.exists());
    assert_eq!(run(&["--socket-path", "/nonexistent/card.sock"]).0, 4);
    assert_eq!(run(&["--fd", "77"]).0, 4);
}

#[test]
fn a_sound_file_that_cannot_be_written_exits_with_5() {
    let folder = TempDir::new().unwrap();
    let (events, list) = place(&folder, "list");
    std::fs::write(&events, "# dmus event list 1\n0 1 90 3c 64\n").unwrap();
    for out in ["/nonexistent/x.wav", "/dev/full"] {
        let (code, _, error) = run(&["render", "--events", &list, "--out", out, "--frames", "100000"]);
        assert_eq!(code, 5, "{error}");
        assert!(error.contains(out), "{error}");
    }
    let socket = place(&folder, "card.sock").1;
    assert_eq!(run(&["--socket-path", &socket, "--line-out", "wav:/nonexistent/x.wav"]).0, 5);
}

#[test]
fn serves_on_with_a_full_disk_and_exits_with_5() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let arguments = ["--socket-path", &socket, "--clock", "lockstep", "--line-out", "wav:/dev/full"];
    // The header alone may be refused before anything starts: that is an exit with 5 as well.
    let card = Running::start(program().args(arguments));
    let deadline = Instant::now() + WAIT_LIMIT;
    let mut card = card;
    while !path.exists() && card.0.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    if path.exists() {
        let mut driver = Driver::new(Machine::connect(&path));
        assert_eq!(driver.open().status, Status::OK);
        driver.play(48_000);
        for _ in 0..10 {
            assert_eq!(driver.record(20_000).header.frames.get(), 20_000);
        }
        driver.machine.disconnect();
    }
    let (code, log) = card.wait();
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("/dev/full"), "{log}");
}

#[test]
fn an_event_list_that_is_wrong_exits_with_6_and_names_the_line() {
    let folder = TempDir::new().unwrap();
    let (events, list) = place(&folder, "list");
    let out = place(&folder, "out.wav").1;
    std::fs::write(&events, "# dmus event list 1\n0 1 90 3c 64\n0 1 90 3c\n").unwrap();
    let (code, _, error) = run(&["render", "--events", &list, "--out", &out]);
    assert_eq!(code, 6);
    assert!(error.contains("list:3:"), "{error}");
    assert_eq!(run(&["render", "--events", "/nonexistent", "--out", &out]).0, 6);
}

#[test]
fn the_hash_of_an_offline_rendering_is_that_of_the_samples_in_its_file() {
    let folder = TempDir::new().unwrap();
    let (out, out_text) = place(&folder, "out.wav");
    let mut results = Vec::new();
    for block in ["1", "256", "4096"] {
        let arguments = ["render", "--events", "-", "--out", &out_text, "--rate", "22050", "--tail", "0.5", "--json"];
        let mut child =
            program().args(arguments).args(["--render-block", block]).stdin(Stdio::piped()).spawn().unwrap();
        let list = "# dmus event list 1\n0 1 90 3c 64\n10000000 2 903c64\n10000001 0 b0 7b 00\n";
        child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["frames"], 22_050 + 11_025);
        assert_eq!(result["events"], 3);
        assert!(result["peak_dbfs"].as_f64().unwrap() < 0.0);
        let mut reader = hound::WavReader::open(&out).unwrap();
        assert_eq!(reader.spec().sample_rate, 22_050);
        let pcm: Vec<u8> = reader.samples::<i16>().flat_map(|sample| sample.unwrap().to_le_bytes()).collect();
        assert_eq!(pcm.len(), (22_050 + 11_025) * 4);
        let hash: String = Sha256::digest(&pcm).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(result["pcm_sha256"], hash);
        results.push(result);
    }
    assert!(results.iter().all(|result| *result == results[0]), "the block size changes the samples");
}

#[test]
fn the_control_socket_reads_the_status_and_advances_time() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let (control_path, control) = place(&folder, "control.sock");
    let (wav_path, wav) = place(&folder, "line.wav");
    let line_out = format!("wav:{wav}");
    let arguments = ["--socket-path", &socket, "--control", &control, "--clock", "lockstep", "--line-out", &line_out];
    let card = Running::start(program().args(arguments));
    let mut control = Control::connect(&control_path);
    let status = control.command(&json!({"cmd": "status"}));
    assert_eq!((&status["ok"], &status["clock"], &status["session"]), (&json!(true), &json!("lockstep"), &Value::Null));
    let refused = control.command(&json!({"cmd": "advance", "frames": 1}));
    assert_eq!((&refused["ok"], &refused["error"]), (&json!(false), &json!("there is no session")));
    for nonsense in ["", "{", "[]", "{\"cmd\":\"dance\"}", "{\"cmd\":\"advance\"}", "{\"cmd\":\"status\",\"x\":1}"] {
        assert_eq!(control.say(nonsense)["ok"], json!(false), "{nonsense}");
    }

    let mut driver = Driver::new(Machine::connect(&path));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(44_100);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    assert_eq!(control.command(&json!({"cmd": "advance", "frames": 10_000}))["position"], 10_000);
    let wave = driver.record(1000);
    assert_eq!(wave.header.position.get(), 0, "what was rendered waits in the FIFO");
    driver.request(card_spec::control::RequestCode(0x4242), &[]);
    let status = control.command(&json!({"cmd": "status"}));
    assert_eq!(status["session"]["position"], 10_000);
    assert_eq!(status["session"]["fifo_frames"], 9000);
    assert_eq!(status["session"]["streams"][1], json!({"id": 1, "kind": "WAVE", "state": "RUN"}));
    assert_eq!(status["diagnosis"]["first"]["code"], "UNKNOWN_REQUEST");
    assert_eq!(status["diagnosis"]["by_code"], json!({"UNKNOWN_REQUEST": 1}));
    assert_eq!(status["counters"]["events"], 1);
    assert!(control.command(&json!({"cmd": "stats"}))["statistics"]["free_memory"].as_u64().unwrap() > 0);
    assert_eq!(
        control.command(&json!({"cmd": "midi-in", "data": "f8"}))["ok"],
        json!(false),
        "no capture stream is open"
    );

    driver.machine.disconnect();
    let (code, log) = card.wait();
    assert_eq!(code, Some(0));
    assert!(log.contains("UNKNOWN_REQUEST"), "diagnoses are logged by default: {log}");
    assert!(!control_path.exists());
    let reader = hound::WavReader::open(wav_path).unwrap();
    assert_eq!((reader.spec().sample_rate, reader.duration()), (44_100, 10_000));
}

#[test]
fn shutdown_over_the_control_socket_ends_the_process() {
    let folder = TempDir::new().unwrap();
    let socket = place(&folder, "card.sock").1;
    let (control_path, control) = place(&folder, "control.sock");
    let card = Running::start(program().args(["--socket-path", &socket, "--control", &control]));
    assert_eq!(Control::connect(&control_path).command(&json!({"cmd": "shutdown"})), json!({"ok": true}));
    assert_eq!(card.wait().0, Some(0));
}

#[test]
fn a_signal_ends_the_process_with_its_files_complete() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let (wav_path, wav) = place(&folder, "line.wav");
    let line_out = format!("wav:{wav}");
    let arguments = ["--socket-path", &socket, "--clock", "lockstep", "--line-out", &line_out];
    let card = Running::start(program().args(arguments));
    let mut driver = Driver::new(Machine::connect(&path));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver.record(777);
    let pid = rustix::process::Pid::from_child(&card.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(card.wait().0, Some(0));
    assert_eq!(hound::WavReader::open(wav_path).unwrap().duration(), 777);
    driver.machine.disconnect();
}

#[test]
fn a_listening_descriptor_serves_one_front_end_after_the_other() {
    let folder = TempDir::new().unwrap();
    let (path, _) = place(&folder, "card.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let fd = listener.as_raw_fd().to_string();
    let card = Running::start(program().args(["--fd", &fd, "--persistent", "--clock", "lockstep"]));
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::CLOEXEC).unwrap();
    for _ in 0..3 {
        let mut driver = Driver::new(Machine::connect(&path));
        assert_eq!(driver.open().status, Status::OK);
        driver.play(48_000);
        assert_eq!(driver.record(64).header.position.get(), 0, "no state of the machine before is kept");
        driver.machine.disconnect();
    }
    drop(card);
}

#[test]
fn the_card_stays_within_64_mib() {
    let folder = TempDir::new().unwrap();
    let (path, socket) = place(&folder, "card.sock");
    let card = Running::start(program().args(["--socket-path", &socket, "--clock", "lockstep"]));
    let mut driver = Driver::new(Machine::connect(&path));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    for _ in 0..20 {
        driver.record(48_000);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", card.0.id())).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // Guest memory that the card has touched is counted as shared.
    let own = number("RssAnon:") + number("RssFile:");
    assert!(own <= 64 * 1024, "{own} KiB");
    driver.machine.disconnect();
}
