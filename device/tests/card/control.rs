//! The control socket serves each client that keeps to its limits, whatever other clients do.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::process::{Control, Running, connect, fill, place, program, run, wait_until};
use card_control::limits::{ANSWER_TIME_MAX, CONNECTIONS_MAX, LINE_BYTES_MAX, LINE_TIME_MAX};
use card_spec::control::{Status, StreamState};
use dmus_card::fake::{Driver, Machine, STREAM_RENDER, STREAM_WAVE};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Card {
    folder: TempDir,
    running: Running,
    control: PathBuf,
}

impl Card {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = place(&folder, "card.sock").1;
        let (control, text) = place(&folder, "control.sock");
        let arguments = ["--socket-path", &socket, "--control", &text, "--clock", "lockstep", "--persistent"];
        let running = Running::start(program().args(arguments));
        assert_ok(&mut Control::connect(&control));
        Self { folder, running, control }
    }

    fn client(&self) -> Control {
        Control::connect(&self.control)
    }

    fn end(self) {
        assert_eq!(self.running.end_with(Signal::TERM).code, Some(0));
    }
}

fn status(client: &mut Control) -> Value {
    client.command(&json!({"cmd": "status"}))
}

fn assert_ok(client: &mut Control) {
    assert_eq!(status(client)["ok"], json!(true));
}

/// Checks that the connection ends with an answer that gives the reason.
fn assert_refused(mut client: Control, why: &str) {
    let answer = client.answer().expect("an answer before the end");
    assert!(answer["ok"] == json!(false) && answer["error"].as_str().unwrap().contains(why), "{answer}");
    let mut rest = Vec::new();
    match client.0.read_to_end(&mut rest) {
        Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), ""),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn serves_later_clients_despite_half_lines() {
    let card = Card::start();
    for half in ["{", "{\"cmd\":\"status\"}", "\u{0}", "x"] {
        let mut halves: Vec<Control> = (0..CONNECTIONS_MAX).map(|_| card.client()).collect();
        for client in &mut halves {
            client.write(half);
        }
        for _ in 0..3 {
            assert_ok(&mut card.client());
        }
    }
    card.end();
}

#[test]
fn closes_the_client_that_was_idle_longest_with_the_reason() {
    let card = Card::start();
    let mut clients: Vec<Control> = (0..CONNECTIONS_MAX).map(|_| card.client()).collect();
    for client in &mut clients {
        assert_ok(client);
    }
    // The first is the last now.
    assert_ok(&mut clients[0]);
    let mut more: Vec<Control> = (0..2).map(|_| card.client()).collect();
    for client in &mut more {
        assert_ok(client);
    }
    for client in clients.drain(1..3) {
        assert_refused(client, "idle");
    }
    for client in clients.iter_mut().chain(&mut more) {
        assert_ok(client);
    }
    card.end();
}

#[test]
fn many_clients_one_after_the_other_are_all_answered() {
    let card = Card::start();
    // None of them is closed by its client.
    let mut kept = Vec::new();
    for _ in 0..5 * CONNECTIONS_MAX {
        let mut client = card.client();
        assert_ok(&mut client);
        kept.push(client);
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", card.running.0.id())).unwrap().count();
    assert!(threads < CONNECTIONS_MAX + 12, "{threads}");
    card.end();
}

#[test]
fn gives_each_event_that_the_driver_sent_once_from_before_a_close_too() {
    let card = Card::start();
    let mut driver = Driver::new(Machine::connect(&card.folder.path().join("card.sock")));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver
        .send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 100]), (5_000_000, 0, &[0xF0, 0x7E, 0xF7]), (0, 99, &[0x90, 1, 1])]);
    for stream in [STREAM_WAVE, STREAM_RENDER] {
        assert_eq!(driver.state(stream, StreamState::STOP).status, Status::OK);
        assert_eq!(driver.close_stream(stream).status, Status::OK);
    }
    let mut client = card.client();
    let mut events = || client.command(&json!({"cmd": "events"}));
    let taken = events();
    let expected = json!([
        {"time": 0, "stream": STREAM_RENDER, "group": 1, "data": "903c64"},
        {"time": 5_000_000, "stream": STREAM_RENDER, "group": 0, "data": "f07ef7"},
    ]);
    assert_eq!((&taken["events"], &taken["lost"], &taken["more"]), (&expected, &json!(0), &json!(false)), "{taken}");
    assert_eq!(events()["events"], json!([]));
    card.end();
}

#[test]
fn never_closes_a_client_that_is_being_answered_and_refuses_the_next_when_all_are() {
    let card = Card::start();
    let mut driver = Driver::new(Machine::connect(&card.folder.path().join("card.sock")));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    let advance = "{\"cmd\":\"advance\",\"frames\":300000000}\n";
    let mut busy = card.client();
    busy.write(advance);
    wait_until("time moves", || status(&mut card.client())["session"]["position"].as_i64() > Some(0));
    let mut idle: Vec<Control> = (1..CONNECTIONS_MAX).map(|_| card.client()).collect();
    for client in &mut idle {
        assert_ok(client);
    }
    // The busy one is the oldest.
    assert_ok(&mut card.client());
    assert_refused(idle.remove(0), "idle");
    let mut busy = vec![busy];
    while busy.len() < CONNECTIONS_MAX {
        let mut client = card.client();
        client.write(advance);
        busy.push(client);
    }
    wait_until("a client is refused", || {
        let mut client = card.client();
        client.0.get_ref().write_all(b"{\"cmd\":\"status\"}\n").unwrap();
        client.answer().is_some_and(|answer| {
            answer["error"].as_str().is_some_and(|error| error.contains("all 16 connections are being answered"))
        })
    });
    card.end();
    for client in &mut busy {
        assert!(client.answer().expect("an answer")["error"].as_str().unwrap().contains("stopping"));
    }
}

#[test]
fn a_line_that_is_not_complete_in_time_is_answered_and_closed() {
    let card = Card::start();
    let begun = Instant::now();
    let mut silent = card.client();
    silent.write("{\"cmd\":");
    // A byte now and then does not prolong it.
    let mut slow = card.client();
    let writer = slow.0.get_ref().try_clone().unwrap();
    let dribble = std::thread::spawn(move || {
        while (&writer).write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let mut idle = card.client();
    assert_refused(silent, "not complete within 10 s");
    assert!(begun.elapsed() >= LINE_TIME_MAX);
    let answer = slow.answer().expect("an answer");
    assert!(answer["error"].as_str().unwrap().contains("not complete within 10 s"), "{answer}");
    drop(slow);
    dribble.join().unwrap();
    // Without a byte there is no line to be completed.
    assert_ok(&mut idle);
    card.end();
}

#[test]
fn a_line_that_is_too_long_is_answered_before_its_connection_is_closed() {
    let card = Card::start();
    for length in [LINE_BYTES_MAX + 1, 70_000, 1 << 20, 8 << 20] {
        let client = card.client();
        let mut line = vec![b'x'; length];
        line[length - 1] = b'\n';
        client.0.get_ref().write_all(&line).unwrap();
        assert_refused(client, "longer than 65536 bytes");
    }
    // One that reads before it has sent all, and one whose line has no end.
    let client = card.client();
    client.0.get_ref().write_all(&vec![b'x'; LINE_BYTES_MAX]).unwrap();
    assert_refused(client, "longer than 65536 bytes");
    // The longest that is not.
    let mut client = card.client();
    let mut line = "{\"cmd\":\"status\"}".to_owned();
    line += &" ".repeat(LINE_BYTES_MAX - line.len() - 1);
    assert_eq!(client.say(&line)["ok"], json!(true));
    assert_ok(&mut client);
    card.end();
}

#[test]
fn endless_lines_occupy_neither_a_thread_nor_memory() {
    let card = Card::start();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", card.running.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let senders: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut stream = connect(&card.control);
            std::thread::spawn(move || {
                let mut sent = 0_u64;
                while stream.write_all(&[b'x'; 65_536]).is_ok() {
                    sent += 65_536;
                }
                sent
            })
        })
        .collect();
    assert_ok(&mut card.client());
    for sender in senders {
        assert!(sender.join().unwrap() < 1 << 30);
    }
    assert!(resident() < before + 16 * 1024, "{} KiB, {before} before", resident());
    card.end();
}

#[test]
fn closes_a_client_that_reads_no_answers() {
    let card = Card::start();
    let mut deaf: Vec<Control> = (0..CONNECTIONS_MAX).map(|_| card.client()).collect();
    let begun = Instant::now();
    for client in &mut deaf {
        fill(client.0.get_mut(), b"{\"cmd\":\"status\"}\n");
    }
    wait_until("a client that reads is served", || {
        let mut client = card.client();
        client.0.get_ref().write_all(b"{\"cmd\":\"status\"}\n").unwrap();
        client.answer().is_some_and(|answer| answer["ok"] == json!(true))
    });
    assert!(begun.elapsed() < ANSWER_TIME_MAX + Duration::from_secs(5));
    // All of them, though no other client needs their connections.
    let threads = || std::fs::read_dir(format!("/proc/{}/task", card.running.0.id())).unwrap().count();
    let busy = threads();
    wait_until("the threads of those that do not read end", || threads() + CONNECTIONS_MAX - 1 <= busy);
    card.end();
}

#[test]
fn answers_commands_in_one_piece_in_order_and_the_last_without_an_end() {
    let card = Card::start();
    let mut client = card.client();
    client.write(&"{\"cmd\":\"dance\"}\n{\"cmd\":\"status\"}\n".repeat(200));
    client.write("{\"cmd\":\"stats\"}");
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    for _ in 0..200 {
        assert_eq!(client.answer().unwrap()["ok"], json!(false));
        assert!(client.answer().unwrap()["clock"].is_string());
    }
    assert!(client.answer().unwrap()["counters"].is_object());
    assert_eq!(client.answer(), None);
    card.end();
}

#[test]
fn help_names_the_limits() {
    let help = run(&["--help"]).1.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    for limit in [
        format!("At most {CONNECTIONS_MAX} clients"),
        format!("at most {LINE_BYTES_MAX} bytes"),
        format!("complete within {} s", LINE_TIME_MAX.as_secs()),
        format!("read within {} s", ANSWER_TIME_MAX.as_secs()),
    ] {
        assert!(help.contains(&limit), "{limit} is missing in: {help}");
    }
}
