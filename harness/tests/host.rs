//! The command line on a host that prevents runs: limits that are too low, folders that cannot be written, and what a
//! killed harness leaves behind. Card and QEMU are replaced by scripts; the harness is the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dmus::host::leftovers::Scratch;
use serde_json::{Value, json};

/// Longest wait for what takes milliseconds on a machine that is not busy.
const LIMIT: Duration = Duration::from_secs(60);

/// How the harness ends when the host prevents the run.
const HOST: Option<i32> = Some(9);

/// A project of its own, with scripts for card and QEMU.
struct Project {
    folder: Scratch,
}

impl Project {
    fn new(card: &str, qemu: &str) -> Self {
        let project = Self { folder: Scratch::new().unwrap() };
        for (name, script) in [("card", card), ("qemu", qemu)] {
            let path = project.path(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(project.path("driver"), "MZ").unwrap();
        fs::create_dir(project.path("tmp")).unwrap();
        let prepared = json!({
            "workspace": { "root": project.path(""), "target": project.path("target") },
            "provisioned": {
                "artefacts": {
                    "card": project.path("card"),
                    "qemu": project.path("qemu"),
                    "nt_host": project.path("driver"),
                    "driver": project.path("driver"),
                },
                "accelerator": { "accelerator": "tcg", "reason": "a test" },
                "firmware": "qboot",
            },
        });
        fs::write(project.path("prepared.json"), prepared.to_string()).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the command that starts the harness in this project.
    fn harness(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmus"));
        command.args(words).env("TMPDIR", self.path("tmp")).env("CARGO_TARGET_DIR", self.path("target"));
        command
    }

    fn demo(&self) -> Command {
        let mut command = self.harness(&["demo", "--json", "--prepared"]);
        command.arg(self.path("prepared.json"));
        command
    }

    fn runs(&self) -> Vec<PathBuf> {
        entries(&self.path("target/dmus/runs"))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Runs a command in a shell with a lower limit.
fn limited(limit: &str, command: &Command) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn names_a_limit_that_is_too_low_its_value_and_the_command_that_raises_it() {
    let project = Project::new("sleep 1000", "sleep 1000");
    for (limit, name, value, command) in [
        ("-n 30", "RLIMIT_NOFILE", "is 30", "ulimit -n 64"),
        ("-v 400000", "RLIMIT_AS", "is 390 MiB", "ulimit -v 2097152"),
        ("-d 400000", "RLIMIT_DATA", "is 390 MiB", "ulimit -d 2097152"),
        ("-f 100", "RLIMIT_FSIZE", "is ", "ulimit -f 262144"),
    ] {
        for verb in [&["demo"][..], &["run", "no-driver"], &["test"], &["boot"], &["bench", "nt-host"], &["driver"]] {
            let output = limited(limit, &project.harness(verb));
            let text = said(&output);
            assert_eq!(output.status.code(), HOST, "{verb:?} under {limit}: {text}");
            assert!(text.contains(name) && text.contains(value) && text.contains(command), "{limit}: {text}");
        }
    }
}

#[test]
fn doctor_finds_a_limit_that_is_too_low_and_a_folder_that_cannot_be_written() {
    let project = Project::new("sleep 1000", "sleep 1000");
    let found = |output: &Output, what: &str| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {}", said(output)));
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|finding| finding["what"] == what)
            .cloned()
            .unwrap_or_else(|| panic!("no {what} in {text}"))
    };
    let output = limited("-n 40", &project.harness(&["doctor", "--json"]));
    assert_eq!(output.status.code(), HOST, "{}", said(&output));
    let finding = found(&output, "open files");
    assert_eq!(finding["state"], "missing");
    assert!(finding["remedy"].as_str().unwrap().starts_with("ulimit -n 64"), "{finding}");

    for nowhere in ["/proc/self/fdinfo", "/no/such/folder"] {
        let output = project.harness(&["doctor", "--json"]).env("TMPDIR", nowhere).output().unwrap();
        assert_eq!(output.status.code(), HOST, "{}", said(&output));
        let finding = found(&output, "TMPDIR");
        assert_eq!(finding["state"], "missing");
        assert!(finding["detail"].as_str().unwrap().contains(nowhere), "{finding}");
    }
    let output = project.harness(&["doctor", "--json"]).env("CARGO_TARGET_DIR", "/proc/self/fdinfo/target").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), HOST, "{}", said(&output));
    assert_eq!(found(&output, "runs")["state"], "missing");
    let output = project.harness(&["doctor", "--json"]).env("CARGO_HOME", "/proc/self/fdinfo").output().unwrap();
    assert_eq!(found(&output, "cargo home")["state"], "missing");
}

#[test]
fn names_a_temporary_folder_that_cannot_be_used_and_blames_the_host() {
    let project = Project::new("sleep 1000", "sleep 1000");
    for nowhere in [Path::new("/proc/self/fdinfo"), Path::new("/no/such/folder")] {
        let output = project.demo().env("TMPDIR", nowhere).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), HOST, "{text}");
        assert!(text.contains("TMPDIR"), "{text}");
    }
}

#[test]
fn names_a_limit_of_card_or_qemu_from_their_logs() {
    for (words, name) in [
        ("qemu-system-x86_64: cannot set up guest memory 'mem': Cannot allocate memory", "RLIMIT_AS"),
        ("Unexpected error in fdmon_io_uring_setup(): Too many open files", "RLIMIT_NOFILE"),
        ("qemu: qemu_thread_create: Resource temporarily unavailable", "limit of processes"),
    ] {
        let project = Project::new("sleep 1000", &format!("echo \"{words}\" >&2; exit 1"));
        let output = project.demo().output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), HOST, "{text}");
        assert!(text.contains(name) && text.contains("remedy: "), "{text}");
        let project = Project::new(&format!("echo \"{words}\" >&2; exit 70"), "sleep 1000");
        let output = project.demo().output().unwrap();
        assert_eq!(output.status.code(), HOST, "{}", said(&output));
    }
    let project = Project::new("kill -XFSZ $$", "sleep 1000");
    let output = project.demo().output().unwrap();
    assert_eq!(output.status.code(), HOST, "{}", said(&output));
    assert!(said(&output).contains("RLIMIT_FSIZE"), "{}", said(&output));
}

#[test]
fn blames_a_process_that_is_killed_before_the_machine_runs_without_waiting() {
    const CARD: Option<i32> = Some(5);
    const QEMU: Option<i32> = Some(6);
    let waits = "exec sleep 1000";
    for (card, qemu, code, words) in [
        ("kill -KILL $$", waits, CARD, "the card did not start: SIGKILL from outside"),
        ("kill -TERM $$", waits, CARD, "SIGTERM from outside"),
        ("sleep 0.2; kill -SEGV $$", waits, CARD, "SIGSEGV"),
        (waits, "kill -KILL $$", QEMU, "QEMU did not start: SIGKILL from outside"),
        (waits, "kill -INT $$", QEMU, "SIGINT from outside"),
        (
            waits,
            "echo 'terminating on signal 15 from pid 7 (sh)'; exit 0",
            QEMU,
            "SIGTERM from pid 7 (sh), from outside",
        ),
        (waits, "kill -ABRT $$", QEMU, "SIGABRT"),
        // QEMU does not start without its card.
        ("kill -KILL $$", "sleep 0.3; exit 1", CARD, "SIGKILL"),
        ("exit 0", "sleep 0.3; exit 1", CARD, "exit status 0"),
    ] {
        let project = Project::new(card, qemu);
        let begun = Instant::now();
        let output = project.demo().env_remove("RUST_LOG").output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), code, "{card} | {qemu}: {text}");
        assert!(text.contains(words), "{card} | {qemu}: {text}");
        assert!(begun.elapsed() < LIMIT / 4, "{card} | {qemu} took {:?}", begun.elapsed());
    }
}

/// Ends a run that a test has started, however the test ends, with the watcher that cleans up after it in the test's folder.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let watcher = watcher_of(self.0.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
        let begun = Instant::now();
        while watcher.is_some_and(runs) && begun.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pid_in(path: &Path) -> i32 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn leaves_at_once_and_without_traces_on_a_signal_while_qemu_starts() {
    let project = Project::new("exec sleep 1000", "exec sleep 1000");
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let child = project.demo().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut run = Started(child);
        until("the run's temporary folder", || !entries(&project.path("tmp")).is_empty());
        std::thread::sleep(Duration::from_millis(100));
        let asked = Instant::now();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &run.0.id().to_string()]).status().unwrap().success()
        );
        let mut text = String::new();
        std::io::Read::read_to_string(&mut run.0.stderr.take().unwrap(), &mut text).unwrap();
        assert_eq!(run.0.wait().unwrap().code(), Some(130), "{text}");
        assert!(text.contains(name), "{text}");
        assert!(asked.elapsed() < LIMIT / 4, "it took {:?}", asked.elapsed());
        assert_eq!(entries(&project.path("tmp")), Vec::<PathBuf>::new());
    }
}

/// A process that QEMU has started in turn does not end with the harness, as a compiler that cargo has started.
const QEMU_WITH_CHILD: &str = "sleep 1000 & echo $! > \"$0.child\"; echo $$ > \"$0.pid\"; wait";

/// Starts a demo, and waits until the script for QEMU runs.
fn started(project: &Project) -> Started {
    let run = Started(project.demo().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the script for QEMU", || project.path("qemu.pid").exists());
    run
}

/// Finds the watcher of a harness that runs.
fn watcher_of(harness: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{harness}/task/{harness}/children")).ok()?;
    let is_watcher = |pid: &&str| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|command| command.contains("--watch"))
    };
    children.split_whitespace().find(is_watcher)?.parse().ok()
}

#[test]
fn leaves_nothing_where_the_harness_is_killed() {
    let project = Project::new("exec sleep 1000", QEMU_WITH_CHILD);
    let mut run = started(&project);
    let watcher = watcher_of(run.0.id()).unwrap();
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let (qemu, child) = (pid_in(&project.path("qemu.pid")), pid_in(&project.path("qemu.child")));
    until("all processes end with it", || ![qemu, child, watcher].into_iter().any(runs));
    assert_eq!(entries(&project.path("tmp")), Vec::<PathBuf>::new());
    let folder = project.runs().pop().unwrap();
    let verdict: Value = serde_json::from_slice(&fs::read(folder.join("verdict.json")).unwrap()).unwrap();
    assert_eq!(verdict["class"], "interrupted");
}

#[test]
fn removes_at_the_next_start_what_a_harness_left_that_was_killed_with_its_watcher() {
    let project = Project::new("exec sleep 1000", QEMU_WITH_CHILD);
    let mut run = started(&project);
    let watcher = watcher_of(run.0.id()).unwrap().to_string();
    assert!(Command::new("kill").args(["-KILL", &watcher]).status().unwrap().success());
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let (qemu, child) = (pid_in(&project.path("qemu.pid")), pid_in(&project.path("qemu.child")));
    until("the harness's own children end with it", || !runs(qemu));
    assert_eq!(entries(&project.path("tmp")).len(), 1, "there is nothing to sweep");
    let folder = project.runs().pop().unwrap();
    assert!(!folder.join("verdict.json").exists());
    fs::create_dir(project.path("target/dmus/qemu.partial")).unwrap();
    fs::File::create(project.path("target/dmus/lock")).unwrap();

    let output = project.harness(&["doctor", "--sweep"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    until("what the script for QEMU has started ends", || !runs(child));
    assert_eq!(entries(&project.path("tmp")), Vec::<PathBuf>::new(), "{}", said(&output));
    assert!(!project.path("target/dmus/qemu.partial").exists());
    let verdict: Value = serde_json::from_slice(&fs::read(folder.join("verdict.json")).unwrap()).unwrap();
    assert_eq!(verdict["class"], "interrupted");
    assert!(!folder.join("dmus-owner").exists());
}

#[test]
fn makes_sockets_elsewhere_where_the_folder_of_temporary_files_has_a_long_path() {
    let project = Project::new("echo \"$@\" > \"$0.words\"; exec sleep 1000", "sleep 0.5; exit 1");
    let tmp = project.path("tmp");
    let long = tmp.join("x".repeat(91 - tmp.as_os_str().len() - 1));
    fs::create_dir(&long).unwrap();
    let output = project.demo().env("TMPDIR", &long).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    let words = fs::read_to_string(project.path("card.words")).unwrap();
    let control = words.split_whitespace().skip_while(|word| *word != "--control").nth(1).unwrap();
    assert!(control.len() <= 107 && !Path::new(control).starts_with(&long), "{words}");
    assert!(!Path::new(control).parent().unwrap().exists(), "{control}");
    assert_eq!(entries(&long), Vec::<PathBuf>::new());
}

#[test]
fn fails_with_a_sentence_where_its_output_is_lost() {
    let project = Project::new("exit 1", "exit 1");
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for words in [&["doctor", "--sweep", "--json"][..], &["--version"], &["render", "--help"], &["clean"]] {
        let output = project.harness(words).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), HOST, "{words:?}: {}", said(&output));
        assert!(said(&output).contains("standard output cannot be written"), "{words:?}: {}", said(&output));
    }
    // The exit code is all that is left.
    let status = project.harness(&["render", "no-such.mid"]).stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(8));
    let status = project.harness(&["no-such-verb"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    // A reader that has gone away is no failure.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = project.harness(&["doctor", "--sweep"]).stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn takes_folders_and_files_whose_names_are_no_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let name = |bytes: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes));
    let project = Project::new("exit 1", "exec sleep 1000");
    let folder = project.folder.path().join(name(b"f\xff"));
    let temporary = folder.join(name(b"t\xfe"));
    fs::create_dir_all(&temporary).unwrap();
    fs::write(folder.join(name(b"s\xff.mid")), SONG).unwrap();
    let mut command = project.demo();
    command.arg(name(b"s\xff.mid")).arg("--run-folder").arg(folder.join(name(b"r\xff")));
    let output = command.current_dir(&folder).env("TMPDIR", &temporary).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "the card's script fails: {}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["run_folders"][0].as_str().unwrap().contains('\u{fffd}'), "{found}");
    assert!(folder.join(name(b"r\xff")).join("verdict.json").is_file());
    assert_eq!(entries(&temporary), Vec::<PathBuf>::new());
    let output = project.harness(&["render", "x.mid"]).env("CARGO_TARGET_DIR", &folder).output().unwrap();
    assert_ne!(output.status.code(), Some(70), "{}", said(&output));
    fs::write(folder.join("x.mid"), SONG).unwrap();
    let mut command = project.harness(&["render", "x.mid"]);
    let output = command.env("CARGO_TARGET_DIR", &folder).current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), HOST, "{}", said(&output));
    assert!(said(&output).contains("CARGO_TARGET_DIR") && said(&output).contains("UTF-8"), "{}", said(&output));
}

/// One note of half a second.
const SONG: &[u8] = b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x0d\0\x90\x3c\x64\x83\x60\x80\x3c\0\0\xff\x2f\0";

#[test]
fn refuses_a_song_that_cannot_be_read_with_byte_and_rule() {
    let project = Project::new("exit 1", "exit 1");
    let with = |at: usize, byte: u8| {
        let mut song = SONG.to_vec();
        song[at] = byte;
        song
    };
    let no_division = [&SONG[..12], &[0, 0], &SONG[14..]].concat();
    for (song, byte, rule) in [
        (no_division, 12, "the division is 0"),
        (with(23, 0xf5), 23, "0xf5"),
        (SONG[..30].to_vec(), 18, "the file ends"),
    ] {
        fs::write(project.path("song.mid"), song).unwrap();
        let output = project.demo().arg(project.path("song.mid")).output().unwrap();
        assert_eq!(output.status.code(), Some(8), "{}", said(&output));
        assert!(said(&output).contains(&format!("byte {byte}: ")) && said(&output).contains(rule), "{}", said(&output));
    }
}

#[test]
fn plays_a_song_with_the_bank_that_its_file_brings() {
    let take = "if [ \"$1 $2\" = \"bank song\" ]; then cp \"$(dirname \"$0\")/song.mid\" \"$4\"; \
                echo '{\"bytes\":35,\"has_bank\":true}'; exit 0; fi; echo \"$@\" > \"$0.words\"; exit 1";
    let project = Project::new(take, "exec sleep 1000");
    fs::write(project.path("song.mid"), SONG).unwrap();
    for (name, start) in [("song.rmi", &b"RIFF\0\0\0\0RMID"[..]), ("song.xmf", b"XMF_1.00")] {
        fs::write(project.path(name), start).unwrap();
        let output = project.demo().arg(project.path(name)).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", said(&output));
        let words = fs::read_to_string(project.path("card.words")).unwrap();
        assert!(words.contains(&format!("--bank {}", project.path(name).display())), "{words}");
    }
    fs::write(project.path("my.dls"), "").unwrap();
    let mut command = project.demo();
    command.arg(project.path("song.rmi")).arg("--bank").arg(project.path("my.dls"));
    let output = command.output().unwrap();
    assert!(said(&output).contains("the song's own instruments are not used"), "{}", said(&output));
}

#[test]
fn plays_the_sound_of_a_run_by_the_player_on_path() {
    let project = Project::new("exit 1", "cp \"$2\" \"$0.heard\"");
    fs::rename(project.path("qemu"), project.path("aplay")).unwrap();
    let play = |path: &str, of: &Path| {
        let mut command = project.harness(&["play"]);
        command.arg(of).env("PATH", path).env_remove("DMUS_PLAYER").output().unwrap()
    };
    let own = format!("{}:/usr/bin:/bin", project.path("").display());
    let folder = project.path("tmp");
    fs::write(folder.join("guest.wav"), "the sound").unwrap();
    let output = play(&own, &folder);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(project.path("aplay.heard")).unwrap(), b"the sound");
    let output = play("/nowhere", &folder);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(said(&output).contains("aplay") && said(&output).contains("apt-get install"), "{}", said(&output));
    fs::remove_file(folder.join("guest.wav")).unwrap();
    let output = play(&own, &folder);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--keep"), "{}", said(&output));
}

#[test]
fn keeps_what_belongs_to_a_living_run_at_another_start() {
    let project = Project::new("exec sleep 1000", "echo $$ > \"$0.pid\"; exec sleep 1000");
    let mut run = Started(project.demo().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the script for QEMU", || project.path("qemu.pid").exists());
    let output = project.harness(&["doctor", "--sweep"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(entries(&project.path("tmp")).len(), 1, "{}", said(&output));
    assert!(runs(pid_in(&project.path("qemu.pid"))), "{}", said(&output));
    assert!(run.0.try_wait().unwrap().is_none());
    assert!(!project.runs().pop().unwrap().join("verdict.json").exists());
}

#[test]
fn refuses_a_report_that_cannot_be_written_before_anything_runs() {
    let project = Project::new("sleep 1000", "sleep 1000");
    let prepared = project.path("prepared.json");
    let run = |option: &str, path: &Path| {
        let mut command = project.harness(&["run", "songs", "--json", "--prepared"]);
        command.arg(&prepared).arg(option).arg(path).output().unwrap()
    };
    for (option, name) in [("--junit", "driver/a.xml"), ("--ctrf", "driver/a.json"), ("--html", "driver/a.html")] {
        let output = run(option, &project.path(name));
        let text = said(&output);
        assert_eq!(output.status.code(), HOST, "{option}: {text}");
        assert!(text.contains("error (host)") && text.contains("driver"), "{option}: {text}");
    }
    let output = run("--html", &project.path("tmp"));
    assert_eq!(output.status.code(), Some(2), "a folder is no file: {}", said(&output));
    let shared = project.path("report.xml");
    let claim = dmus::report::ReportFile::claim(&shared).unwrap();
    let output = run("--junit", &shared);
    assert_eq!(output.status.code(), HOST);
    assert!(said(&output).contains("is written by another run"), "{}", said(&output));
    drop(claim);
    assert_eq!(project.runs(), Vec::<PathBuf>::new(), "nothing has run");
    assert!(!shared.exists());
}

#[test]
fn a_report_that_fails_at_the_end_costs_neither_the_results_nor_their_exit_code() {
    let project = Project::new("exit 1", "exec sleep 1000");
    let report = project.path("report.xml");
    let scenario = project.path("one.toml");
    fs::write(&scenario, "title = \"A song plays\"\nsong = \"tide\"\n").unwrap();
    let mut command = project.harness(&["run", "--json", "--ctrf", "/dev/full", "--junit"]);
    command.arg(&report).arg("--prepared").arg(project.path("prepared.json")).arg(&scenario);
    let output = command.env("DMUS_RUN_ID", "the run").output().unwrap();
    let text = said(&output);
    // The card's, which has died: the full disk is said, and changes nothing.
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("cannot write /dev/full") && text.contains("the results above"), "{text}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(
        (&object["failed"], &object["run_id"], &object["schema_version"]),
        (&json!(1), &json!("the run"), &json!(1))
    );
    let junit = fs::read_to_string(&report).unwrap();
    assert!(junit.contains("type=\"card-died\""), "{junit}");
    assert!(junit.contains("line=\"1\""), "the case has its place: {junit}");
    let timeline = fs::read_to_string(project.runs()[0].join("timeline.jsonl")).unwrap();
    let head: Value = serde_json::from_str(timeline.lines().next().unwrap()).unwrap();
    assert_eq!((&head["event"], &head["run_id"]), (&json!("timeline"), &json!("the run")));
}
