//! `render` and `bank` as users start them: their output, and their errors for bad input. Takes seven seconds.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vhost-device-dmus"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end in a folder, and returns exit code, standard output and standard error.
fn run(folder: &TempDir, words: &[&str]) -> (i32, String, String) {
    let output = program().args(words).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("an exit, not a signal"), text(output.stdout), text(output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns a folder with a short song on two channels, and with good and broken banks.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let song = "# dmus event list 1\n0 1 c0 00\n0 1 90 3c 64\n0 1 99 26 70\n2000000 1 80 3c 40\n";
    let built_in = dls_synth::builtin::FILE;
    // A wave link that leads to no wave.
    let link = built_in.windows(4).position(|id| id == b"wlnk").unwrap();
    let mut wrong_link = built_in.to_vec();
    wrong_link[link + 16..link + 20].copy_from_slice(&99_999_u32.to_le_bytes());
    // An unknown chunk, at the end of the file.
    let mut junk = built_in.to_vec();
    junk.extend(b"junk\x04\0\0\0????");
    let size = (junk.len() as u32 - 8).to_le_bytes();
    junk[4..8].copy_from_slice(&size);
    for (name, bytes) in [
        ("song", song.as_bytes()),
        ("text.dls", b"this is no bank"),
        ("empty.dls", b""),
        ("cut.dls", &built_in[..built_in.len() / 2]),
        ("link.dls", &wrong_link),
        ("junk.dls", &junk),
        ("good.dls", built_in),
        ("bad-song", b"# dmus event list 1\n0 1 90 3c\n"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn bad_input_ends_with_its_exit_code_and_a_reason_and_leaves_no_file() {
    let folder = folder();
    fs::write(folder.path().join("old.wav"), "old").unwrap();
    fs::create_dir(folder.path().join("folder.wav")).unwrap();
    let before = names(folder.path());
    let render = ["render", "--events", "song", "--out", "old.wav", "--frames", "9600"];
    let with = |more: &[&'static str]| [render.as_slice(), more].concat();
    let table: Vec<(Vec<&str>, i32, &str)> = vec![
        (with(&["--bank", "text.dls"]), 3, "byte 0"),
        (with(&["--bank", "empty.dls"]), 3, "empty.dls"),
        (with(&["--bank", "cut.dls"]), 3, "byte"),
        (with(&["--bank", "link.dls"]), 3, "wlnk"),
        (with(&["--bank", "none.dls"]), 3, "cannot read the instrument bank none.dls"),
        (with(&["--bank", "."]), 3, "cannot read"),
        (with(&["--kernel", "abacus"]), 2, "abacus"),
        (with(&["--threads", "0"]), 2, "0"),
        (with(&["--stems", "no/such"]), 5, "no/such"),
        (with(&["--stems", "song"]), 5, "song"),
        (vec!["render", "--events", "song", "--out", "no/such/x.wav"], 5, "no/such/x.wav"),
        (vec!["render", "--events", "song", "--out", "folder.wav"], 5, "folder.wav"),
        (vec!["render", "--events", "bad-song", "--out", "x.wav"], 6, "bad-song:2"),
        (vec!["render", "--events", "none", "--out", "x.wav"], 6, "none"),
        (vec!["bank", "info", "cut.dls"], 3, "byte"),
        (vec!["bank", "info", "none.dls"], 3, "none.dls"),
        (vec!["bank", "convert", "link.dls", "x.dls"], 3, "wlnk"),
        (vec!["bank", "convert", "good.dls", "no/such/x.dls"], 5, "no/such/x.dls"),
        (vec!["bank", "build", "no/such/x.dls"], 5, "no/such/x.dls"),
        (vec!["bank", "melt"], 2, "melt"),
    ];
    for (words, expected, log) in table {
        let (code, out, error) = run(&folder, &words);
        assert_eq!(code, expected, "{words:?}: {error}");
        assert!(error.contains(log), "{words:?}: {error}");
        assert_eq!(out, "", "{words:?}");
        assert_eq!(names(folder.path()), before, "{words:?} left something");
    }
    assert_eq!(fs::read(folder.path().join("old.wav")).unwrap(), b"old", "the old file stays");
}

#[test]
fn a_file_that_may_not_be_written_is_not_replaced() {
    let folder = folder();
    let path = folder.path().join("kept.wav");
    fs::write(&path, "kept").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::File::options().write(true).open(&path).is_ok() {
        eprintln!("root may write to everything: nothing to see here");
        return;
    }
    let (code, _, error) = run(&folder, &["render", "--events", "song", "--out", "kept.wav", "--frames", "100"]);
    assert_eq!(code, 5, "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"kept");
}

#[test]
fn plays_a_bank_with_an_unknown_chunk_and_warns() {
    let folder = folder();
    let words = ["render", "--events", "song", "--out", "x.wav", "--frames", "9600", "--json"];
    let (code, plain, _) = run(&folder, &words);
    assert_eq!(code, 0);
    let (code, out, error) = run(&folder, &[words.as_slice(), &["--bank", "junk.dls"]].concat());
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("unknown chunk"), "{error}");
    assert_eq!(json(&out)["pcm_sha256"], json(&plain)["pcm_sha256"]);
}

#[test]
fn progress_comes_before_the_result_one_object_a_line() {
    let folder = folder();
    let words = ["render", "--events", "song", "--out", "x.wav", "--frames", "400000", "--json", "--progress"];
    let (code, out, error) = run(&folder, &words);
    assert_eq!(code, 0, "{error}");
    let mut lines: Vec<Value> = out.lines().map(json).collect();
    let result = lines.pop().unwrap();
    assert_eq!(result["frames"], 400_000);
    let done: Vec<u64> = lines.iter().map(|line| line["progress"]["frames"].as_u64().unwrap()).collect();
    assert!(done.len() >= 3 && done.is_sorted(), "{done:?}");
}

#[test]
fn stems_are_written_one_a_channel() {
    let folder = folder();
    let words = ["render", "--events", "song", "--out", "x.wav", "--frames", "9600", "--json", "--stems", "stems"];
    let (code, out, error) = run(&folder, &words);
    assert_eq!(code, 0, "{error}");
    let files = ["effects.wav", "group-1-channel-01.wav", "group-1-channel-10.wav"];
    assert_eq!(names(&folder.path().join("stems")), files);
    assert_eq!(json(&out)["stems"]["stems"].as_array().unwrap().len(), 3);
}

#[test]
fn an_interrupted_or_killed_render_leaves_no_file() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = folder();
    let before = names(folder.path());
    for signal in [Signal::TERM, Signal::KILL] {
        // Hours of silence: it does not end by itself within this test.
        let mut child = program()
            .args(["render", "--events", "song", "--out", "x.wav", "--frames", "9000000000", "--progress"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("progress"), "{line}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (signal == Signal::TERM).then_some(130));
        // A file system without nameless files keeps what a kill leaves.
        let named = names(folder.path()).iter().any(|name| name.ends_with(".partial"));
        assert!(names(folder.path()) == before || named && signal == Signal::KILL, "{:?}", names(folder.path()));
    }
}

#[test]
fn fails_where_its_result_is_lost() {
    let folder = folder();
    for words in [&["bank", "info", "good.dls"][..], &["--print-capabilities"], &["bank", "build", "b.dls", "--json"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = program().args(words).current_dir(&folder).stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{words:?}: {error}");
        assert!(error.contains("standard output cannot be written"), "{words:?}: {error}");
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = program().args(["bank", "info", "no-such.dls"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(3), "no panic where standard error is lost");
}

#[test]
fn takes_the_song_out_of_the_file_that_carries_it() {
    let folder = folder();
    let song = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0";
    let data = [&b"data"[..], &(song.len() as u32).to_le_bytes(), song].concat();
    let file = [&b"RIFF"[..], &(4 + data.len() as u32).to_le_bytes(), b"RMID", &data].concat();
    fs::write(folder.path().join("song.rmi"), file).unwrap();
    let (code, out, error) = run(&folder, &["bank", "song", "song.rmi", "song.mid", "--json"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(
        (json(&out)["has_bank"].as_bool(), json(&out)["bytes"].as_u64()),
        (Some(false), Some(song.len() as u64))
    );
    assert_eq!(fs::read(folder.path().join("song.mid")).unwrap(), song);
    let (code, _, error) = run(&folder, &["bank", "song", "good.dls", "song.mid"]);
    assert_eq!(code, 3, "{error}");
}

#[test]
fn a_bank_is_listed_in_musical_units() {
    let folder = folder();
    let (code, text, _) = run(&folder, &["bank", "info", "good.dls"]);
    assert_eq!(code, 0);
    for part in ["129 instruments", "keys ", "unity ", " dB", " Hz"] {
        assert!(text.contains(part), "{part:?} is missing");
    }
    let (_, brief, _) = run(&folder, &["bank", "info", "good.dls", "--brief"]);
    assert_eq!(brief.lines().count(), 130);
    let (_, out, _) = run(&folder, &["bank", "info", "junk.dls", "--json"]);
    let object = json(&out);
    assert_eq!(object["instruments"].as_array().unwrap().len(), 129);
    assert!(object["instruments"][0]["regions"][0]["keys"][0].is_u64());
    assert!(object["warnings"][0].as_str().unwrap().contains("unknown chunk"));
}

#[test]
fn builds_the_built_in_bank_byte_for_byte_and_converts_it_without_changing_a_sample() {
    let folder = folder();
    let (code, out, error) = run(&folder, &["bank", "build", "built.dls", "--json"]);
    assert_eq!(code, 0, "{error}");
    let built = fs::read(folder.path().join("built.dls")).unwrap();
    assert!(built == dls_synth::builtin::FILE, "{out}");
    let (code, _, error) = run(&folder, &["bank", "convert", "built.dls", "again.dls"]);
    assert_eq!(code, 0, "{error}");
    let hash = |bank: &str| {
        let words = ["render", "--events", "song", "--out", "x.wav", "--frames", "9600", "--json", "--bank", bank];
        json(&run(&folder, &words).1)["pcm_sha256"].clone()
    };
    assert_eq!(hash("again.dls"), hash("built.dls"));
}
