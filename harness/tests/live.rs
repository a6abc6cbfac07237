//! Live MIDI at a device's input: a player writes to a FIFO, closes it, opens it again, and sends what is no message; all that is one comes
//! out of the driver's capture pin.
//!
//! Without mingw-w64 or QEMU the test is skipped.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dmus::host::failure::Class;
use dmus::host::leftovers::Scratch;
use dmus::provision::{Workspace, cpp_driver};
use serde_json::Value;

/// What plays: notes with running status cut in two, a system-exclusive message with a clock within, garbage before and between, and a
/// writer that goes and comes back.
const PLAYER: &str = r#"set -eu
printf '\074\220\074\144\076' >"$1"
sleep 0.3
{ printf '\144\360\175\001'; sleep 0.1; printf '\370\002\367'; sleep 0.1; printf '\220\100\200\074\000'; sleep 0.1; } >"$1"
printf '\300\005' >"$1"
"#;

/// Returns the driver of the mailbox card; `None` without the tools for it.
fn driver() -> Option<PathBuf> {
    let workspace = Workspace::find().expect("the tests run in the checkout");
    let script = workspace.root.join("guest-driver/fixture/build.sh");
    match cpp_driver::build(&script, Some("mailbox"), None, &workspace) {
        Ok(driver) => Some(driver),
        Err(cpp_driver::CppDriverError::ToolMissing(reason)) => {
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs `demo` with a device that captures live; `None` where an artefact is missing.
fn demo(driver: &Path, options: &[&str]) -> Option<Output> {
    let mut dmus = Command::new(env!("CARGO_BIN_EXE_dmus"));
    dmus.args(["demo", "--json", "--device", "example:mailbox", "--driver"]).arg(driver).args(options);
    let done = dmus.output().expect("dmus runs");
    if done.status.code() == Some(i32::from(Class::MissingArtefact.exit_code())) {
        println!("skipped: {}", String::from_utf8_lossy(&done.stderr));
        return None;
    }
    Some(done)
}

fn object(done: &Output) -> Value {
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"))
}

#[test]
fn what_a_player_writes_to_a_fifo_comes_out_of_the_capture_pin() {
    let Some(driver) = driver() else { return };
    let folder = Scratch::new().expect("a folder");
    let fifo = folder.path().join("keys");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    // It waits for the reader.
    let mut player = Command::new("sh").args(["-c", PLAYER, "player"]).arg(&fifo).spawn().expect("a player");
    let source = fifo.to_str().expect("a path of text");
    let done = demo(&driver, &["--clock", "realtime", "--midi-in", source, "--midi-in-for", "8"]);
    if done.is_none() {
        player.kill().expect("the player is there");
    }
    player.wait().expect("the player ends");
    let Some(done) = done else { return };
    let found = object(&done);
    assert!(done.status.success(), "{found:#}");
    let live = &found["verdict"]["live"];
    // 90 3c 64; f8; f0 7d 01 02 f7; 80 3c 00; c0 05. The note that is cut by the end of its writer is none, nor is its rest.
    assert_eq!(live["messages"], 5, "{live:#}");
    let named = live["garbage"]["named"].to_string();
    for part in
        ["byte 0: 3c belongs to no message", "the stream ends within a message of 2 bytes so far", "9040 is cut short"]
    {
        assert!(named.contains(part), "{named}");
    }
    assert_eq!(live["latency"]["count"], 5, "{live:#}");
    let us = |name: &str| live["latency"][name].as_u64().expect("a latency");
    assert!(us("min_us") <= us("median_us") && us("median_us") <= us("max_us"), "{live:#}");
}

#[test]
fn a_file_of_bytes_ends_the_test_and_what_cannot_be_is_refused_before_anything_runs() {
    let Some(driver) = driver() else { return };
    let folder = Scratch::new().expect("a folder");
    let bytes = folder.path().join("bytes");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&bytes).expect("a file");
    (0..50_u8).for_each(|key| file.write_all(&[0x90, key + 30, 100, key + 30, 0]).expect("bytes are written"));
    let source = bytes.to_str().expect("a path of text");
    let Some(done) = demo(&driver, &["--clock", "realtime", "--midi-in", source]) else { return };
    let found = object(&done);
    assert!(done.status.success(), "{found:#}");
    assert_eq!(
        (&found["verdict"]["live"]["messages"], &found["verdict"]["live"]["garbage"]["bytes"]),
        (&100.into(), &0.into()),
        "{found:#}"
    );

    let refused = |options: &[&str]| {
        let done = demo(&driver, options).expect("it is refused before anything is provisioned");
        assert_eq!(done.status.code(), Some(i32::from(Class::Usage.exit_code())));
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let text = refused(&["--midi-in", source]);
    assert!(text.contains("--midi-in plays in the time of the host: add --clock realtime"), "{text}");
    let text = refused(&["--clock", "realtime", "--midi-in", folder.path().to_str().expect("a path of text")]);
    assert!(text.contains("is a folder, and live MIDI comes from a file, a FIFO or a MIDI device"), "{text}");
    fs::remove_file(&bytes).expect("the file goes");
}
