//! The control socket keeps the contract of `CONTROL.md`.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::control::Control;
use crate::common::{Bench, Call, until};
use serde_json::{Value, json};
use vfio_user_card::{Card, Description, Fault, Handle, Reset, Server, Sockets};

#[test]
fn hello_says_what_the_card_offers() {
    let bench = Bench::new();
    let hello = bench.control().ask(&json!({"cmd": "hello"}));
    let expected = json!({
        "ok": true, "protocol": 1, "name": "recorder",
        "offers": ["status", "diagnosis", "bytes", "midi-in", "inject-fault", "log", "shutdown"],
        "faults": ["none", "late"],
    });
    assert_eq!(hello, expected);
}

/// A card that offers nothing.
struct Plain;

impl Card for Plain {
    fn read(&mut self, _: vfio_user_card::Access) -> u64 {
        0
    }

    fn write(&mut self, _: vfio_user_card::Access, _: u64) {}

    fn reset(&mut self, _: Reset) {}
}

#[test]
fn what_is_not_offered_is_unsupported() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let sockets = Sockets { socket: folder.path().join("vfio"), control: Some(control.clone()) };
    let server = Server::bind(Description::new("plain", 1, 2), &sockets).unwrap();
    let stop = server.stop();
    let thread = std::thread::spawn(move || server.run(|_: Handle| Plain));
    let mut client = Control::connect(&control);
    assert_eq!(client.ask(&json!({"cmd": "hello"}))["offers"], json!(["status", "diagnosis", "log", "shutdown"]));
    for command in [
        json!({"cmd": "bytes"}),
        json!({"cmd": "midi-in", "data": "90"}),
        json!({"cmd": "inject-fault", "fault": {"kind": "none"}}),
        json!({"cmd": "mark", "text": "take 2"}),
        json!({"cmd": "dance"}),
    ] {
        let answer = client.ask(&command);
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("unsupported")), "{command}: {answer}");
    }
    stop.request();
    thread.join().unwrap().unwrap();
}

#[test]
fn status_counts_and_has_the_cards_own_counters() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(2);
    client.read(1, 0, 4).unwrap();
    client.write(1, 0, &[0; 4]).unwrap();
    bench.handle.driver_error("late", "5 ms, expected 1 ms");
    let status = bench.control().status();
    assert_eq!(status["driver_errors"], json!([{"code": "late", "detail": "5 ms, expected 1 ms"}]));
    let expected = json!({
        "connections": 1, "dma-reads": 0, "dma-writes": 0, "driver-errors": 1, "interrupts-refused": 0,
        "interrupts-sent": 0, "midi-bytes": 0, "register-reads": 1, "register-writes": 1, "resets": 0, "seven": 7,
    });
    assert_eq!(status["counters"], expected);
}

#[test]
fn bytes_are_returned_once_in_order_with_their_times() {
    let bench = Bench::new();
    let mut control = bench.control();
    bench.handle.record_bytes(&[0x90, 0x3c]);
    bench.handle.record_bytes(&[0x64]);
    std::thread::sleep(Duration::from_millis(5));
    bench.handle.record_bytes(&[0x80, 0x3c, 0]);
    let answer = control.ask(&json!({"cmd": "bytes"}));
    let entries = answer["bytes"].as_array().unwrap();
    let data: String = entries.iter().map(|entry| entry["data"].as_str().unwrap()).collect();
    assert_eq!(data, "903c64803c00");
    let times: Vec<u64> = entries.iter().map(|entry| entry["time_ns"].as_u64().unwrap()).collect();
    assert!(times.len() >= 2 && times.is_sorted(), "{times:?}");
    assert!(times.last().unwrap() - times[0] >= 5_000_000, "{times:?}");
    assert_eq!(answer["lost"], 0);
    assert_eq!(control.ask(&json!({"cmd": "bytes"})), json!({"ok": true, "bytes": [], "lost": 0}));
}

#[test]
fn bytes_come_in_answers_of_a_lines_length_and_what_is_lost_is_counted() {
    let bench = Bench::new();
    let mut control = bench.control();
    let sent: Vec<u8> = (0..(1 << 20) + 1000).map(|index: u32| (index % 251) as u8).collect();
    sent.chunks(1000).for_each(|part| bench.handle.record_bytes(part));
    let (mut got, mut lost, mut answers) = (String::new(), 0, 0);
    loop {
        let answer = control.ask(&json!({"cmd": "bytes"}));
        lost += answer["lost"].as_u64().unwrap();
        let entries = answer["bytes"].as_array().unwrap();
        if entries.is_empty() {
            break;
        }
        answers += 1;
        got.extend(entries.iter().map(|entry| entry["data"].as_str().unwrap()));
    }
    assert_eq!((got, lost), (hex::encode(&sent[..1 << 20]), 1000), "the newest are lost");
    assert!(answers > 30, "{answers} answers");
    bench.handle.record_bytes(&[1]);
    assert_eq!(control.ask(&json!({"cmd": "bytes"}))["bytes"][0]["data"], "01", "there is room again");
}

#[test]
fn midi_input_and_faults_reach_the_card() {
    let bench = Bench::new();
    let mut control = bench.control();
    assert_eq!(control.ask(&json!({"cmd": "midi-in", "data": "903C64"})), json!({"ok": true}));
    let fault = json!({"kind": "late", "by_ms": 7});
    assert_eq!(control.ask(&json!({"cmd": "inject-fault", "fault": fault})), json!({"ok": true}));
    let members = fault.as_object().unwrap().clone();
    let calls = [Call::MidiIn(vec![0x90, 0x3c, 0x64]), Call::Fault(Fault { kind: "late".into(), members })];
    assert_eq!(bench.calls(), calls);
    let refused = control.ask(&json!({"cmd": "midi-in", "data": ""}));
    assert_eq!(refused, json!({"ok": false, "code": "failed", "error": "no bytes"}));
    let unknown = control.ask(&json!({"cmd": "inject-fault", "fault": {"kind": "early"}}));
    assert_eq!(unknown["code"], "unsupported");
    assert!(unknown["error"].as_str().unwrap().contains("none, late"), "{unknown}");
}

#[test]
fn a_malformed_command_is_refused_and_the_next_one_works() {
    let bench = Bench::new();
    let mut control = bench.control();
    for line in [
        "",
        " ",
        "7",
        "[]",
        "null",
        "{",
        "{\"cmd\":7}",
        "{\"command\":\"hello\"}",
        "{\"cmd\":\"midi-in\"}",
        "{\"cmd\":\"midi-in\",\"data\":[1]}",
        "{\"cmd\":\"midi-in\",\"data\":\"9\"}",
        "{\"cmd\":\"midi-in\",\"data\":\"xx\"}",
        "{\"cmd\":\"inject-fault\"}",
        "{\"cmd\":\"inject-fault\",\"fault\":\"late\"}",
        "{\"cmd\":\"inject-fault\",\"fault\":{}}",
        "{\"cmd\":\"inject-fault\",\"fault\":{\"kind\":1}}",
        &"[".repeat(60_000),
        "\u{0}",
    ] {
        control.send(format!("{line}\n").as_bytes());
        let answer = control.answer().unwrap();
        let shown = &line[..line.floor_char_boundary(60)];
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("malformed")), "{shown}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
    control.send(b"\xff\xfe\n");
    assert_eq!(control.answer().unwrap()["code"], "malformed");
    // A command with a huge name comes back in a sentence that is shorter than a line.
    control.send(
        format!("{{\"cmd\":\"{}\"}}\n", "\u{1}".repeat(1000).escape_default().to_string().replace("\\u{1}", "\\u0001"))
            .as_bytes(),
    );
    assert_eq!(control.answer().unwrap()["ok"], false);
    control.send(format!("{{\"cmd\":\"{}\"}}\n", "\\u0001".repeat(10_900)).as_bytes());
    assert_eq!(control.answer().unwrap()["ok"], false);
    assert_eq!(control.status()["ok"], true);
    assert_eq!(bench.calls(), []);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_connection_closed() {
    let bench = Bench::new();
    let mut longest = bench.control();
    let command = b"{\"cmd\":\"status\"}";
    let mut line = command.to_vec();
    line.resize(65535, b' ');
    line.push(b'\n');
    longest.send(&line);
    assert_eq!(longest.answer().unwrap()["ok"], true, "64 KiB with its end");
    let mut longer = bench.control();
    line.insert(0, b' ');
    longer.send(&line);
    let answer = longer.answer().unwrap();
    assert_eq!(answer["code"], "malformed", "{answer}");
    assert_eq!(longer.answer(), None);
    assert_eq!(longest.status()["ok"], true, "the other client stays");
}

#[test]
fn commands_may_come_in_pieces_and_many_at_once() {
    let bench = Bench::new();
    let mut control = bench.control();
    for byte in b"{\"cmd\":\"status\"}\n" {
        control.send(&[*byte]);
    }
    assert_eq!(control.answer().unwrap()["ok"], true);
    control.send(&b"{\"cmd\":\"hello\"}\n".repeat(50));
    for _ in 0..50 {
        assert_eq!(control.answer().unwrap()["name"], "recorder");
    }
    // The last line may end with the connection.
    control.send(b"{\"cmd\":\"status\"}");
    control.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(control.answer().unwrap()["ok"], true);
    assert_eq!(control.answer(), None);
}

#[test]
fn a_slow_client_is_disconnected_and_the_others_are_served() {
    let bench = Bench::new();
    let begun = Instant::now();
    let mut partial = bench.control();
    partial.send(b"{\"cmd\":");
    // Its answers fill both sockets' buffers; it reads none of them.
    let unread = bench.control();
    unread.reader.get_ref().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let flood = b"{\"cmd\":\"status\"}\n".repeat(4096);
    while unread.reader.get_ref().write(&flood).is_ok() {}
    assert_eq!(bench.control().status()["ok"], true);
    let answer = partial.answer().unwrap();
    assert_eq!(answer["code"], "malformed", "{answer}");
    assert_eq!(partial.answer(), None);
    assert!(begun.elapsed() >= Duration::from_secs(5));
    until("the client that does not read is gone", || {
        let sent = unread.reader.get_ref().write(b" ");
        sent.is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe).then_some(())
    });
}

#[test]
fn more_clients_than_there_is_room_for_are_refused() {
    let bench = Bench::new();
    let mut clients: Vec<Control> = (0..8).map(|_| bench.control()).collect();
    assert!(clients.iter_mut().all(|client| client.status()["ok"] == true));
    let mut ninth = bench.control();
    assert_eq!(ninth.answer().unwrap()["code"], "failed");
    assert_eq!(ninth.answer(), None);
    clients.pop();
    until("there is room again", || {
        let mut next = bench.control();
        // One that is refused may find the connection closed.
        next.reader.get_ref().write_all(b"{\"cmd\":\"status\"}\n").ok()?;
        (next.answer()?["ok"] == true).then_some(())
    });
}

#[test]
fn the_log_has_what_happened_and_says_what_it_lost() {
    let bench = Bench::new();
    let mut control = bench.control();
    bench.handle.log(&"é".repeat(2000));
    let answer = control.ask(&json!({"cmd": "log"}));
    assert_eq!(answer, json!({"ok": true, "lines": ["é".repeat(512)], "lost": 0}), "a line is cut");
    for line in 0..1500 {
        bench.handle.log(&format!("\u{1}line {line}"));
    }
    let (mut lines, mut lost) = (Vec::<Value>::new(), 0);
    loop {
        let answer = control.ask(&json!({"cmd": "log"}));
        lost += answer["lost"].as_u64().unwrap();
        match answer["lines"].as_array().unwrap() {
            none if none.is_empty() => break,
            some => lines.extend(some.iter().cloned()),
        }
    }
    assert_eq!((lines.len(), lost, &lines[0]), (1024, 476, &json!("\u{1}line 476")), "the oldest are lost");
}

#[test]
fn driver_errors_are_kept_as_far_as_they_help() {
    let bench = Bench::new();
    for index in 0..100 {
        bench.handle.driver_error("numbered", &format!("error {index} {}", "x".repeat(2000)));
    }
    let status = bench.control().status();
    assert_eq!(status["ok"], true, "{status}");
    assert_eq!(status["counters"]["driver-errors"], 100);
    let errors = status["driver_errors"].as_array().unwrap();
    assert!((16..=64).contains(&errors.len()), "{}", errors.len());
    assert!(errors[0]["detail"].as_str().unwrap().starts_with("error 0 "), "the first ones");
}

#[test]
fn shutdown_ends_the_server_after_its_answer() {
    let bench = Bench::new();
    let (_machine, mut other) = (bench.client(), bench.control());
    assert_eq!(bench.control().ask(&json!({"cmd": "shutdown"})), json!({"ok": true}));
    assert_eq!(other.answer(), None);
    assert!(bench.ended().unwrap().is_ok());
}
