//! Failing recordings: replayed on a card without QEMU to the same failure, and reduced to the least that has it.
//!
//! The recordings are the card's own: what a driver gives it is written here, and recorded with its answers by a first replay.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use card_trace::{
    Act, CardStart, Head, Kind, Queue, RequestCode, SIZE_DEFAULT, Settings, Setup, Source, Writer, memory_payload,
};
use dmus::event::Silent;
use dmus::host::leftovers::Scratch;
use dmus::provision::{Artefact, Overrides, Provisioner, Workspace};
use dmus::trace::failure::{Failure, failures};
use dmus::trace::{Replayer, Trace};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The card's program, built once.
static CARD: LazyLock<PathBuf> = LazyLock::new(|| {
    let workspace = Workspace::find().unwrap();
    let provisioner = Provisioner::new(&workspace, Overrides::default(), &Silent).unwrap();
    provisioner.resolve(Artefact::Card).unwrap()
});

/// The built-in bank, made once.
static BANK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = Scratch::new().unwrap();
    let path = folder.path().join("bank.dls");
    assert!(Command::new(&*CARD).args(["bank", "build"]).arg(&path).output().unwrap().status.success());
    std::fs::read(path).unwrap()
});

const RENDER: u32 = 0;
const WAVE: u32 = 1;
const FRAMES: u32 = 480;
/// 100 ns units of a wave buffer.
const BUFFER_TIME: i64 = 100_000;

/// What a driver does, as a card would record it.
struct Script {
    writer: Writer,
    heads: [u16; 5],
    frame: i64,
}

impl Script {
    /// Begins a life of the device: rings, session, a stream for events and one for sound.
    fn new(path: &Path) -> Self {
        let settings = Settings { size: SIZE_DEFAULT, pcm: false, program: "a test" };
        let writer = Writer::create(path, settings).unwrap();
        let start = CardStart {
            lockstep: true,
            vfio_user: false,
            voices: 1000,
            render_block: 256,
            bank_bytes: BANK.len() as u64,
            bank_sha256: Sha256::digest(&*BANK).into(),
            bank: "built-in",
        };
        let card = Source::CARD;
        writer.record_with(card, Head::card(), &[&start.payload()]);
        writer.record(card, Head::features(0x1_3000_0000));
        writer.record_with(card, Head::memory(), &[&memory_payload(&[(0, 1 << 20)])]);
        writer.record(card, Head::reset(1));
        for (queue, base) in Queue::ALL.into_iter().zip((0x1_0000..).step_by(0x4000)) {
            let setup = Setup { size: 64, base: 0, descriptors: base, available: base + 0x1000, used: base + 0x2000 };
            writer.record_with(card, Head::queue_started(queue, 0), &[&setup.payload()]);
        }
        let mut script = Self { writer, heads: [0; 5], frame: 0 };
        script
            .request(RequestCode::OPEN, &[1, 0, 0, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        script.stream_request(RequestCode::STREAM_OPEN, [RENDER, 0, 0, 0]);
        script.stream_request(RequestCode::STREAM_OPEN, [WAVE, 2, 48_000, 2 | 16 << 16]);
        script.stream_request(RequestCode::CLOCK_SYNC, [WAVE, 1, 0, 0, 0, 0]);
        script.stream_request(RequestCode::STREAM_STATE, [RENDER, 3]);
        script.stream_request(RequestCode::STREAM_STATE, [WAVE, 3]);
        script
    }

    fn chain(&mut self, queue: Queue, bytes: &[u8], writable: u64) {
        let head = &mut self.heads[queue.index()];
        let taken = Head::chain_taken(queue, *head, writable, false);
        *head = (*head + 4) % 64;
        self.writer.record(Source::CARD, Head::kicked(queue, 1));
        self.writer.record_with(Source::CARD, taken, &[bytes]);
    }

    fn request(&mut self, code: RequestCode, payload: &[u8]) {
        let header = [code.0.to_le_bytes(), (payload.len() as u32).to_le_bytes(), [7; 4], [0; 4]];
        self.chain(Queue::CONTROL, &[header.as_flattened(), payload].concat(), 256);
        // Else what follows would be within the request.
        self.writer.record(Source::CARD, Head::chain_returned(Queue::CONTROL, 0, 0));
    }

    fn stream_request<const N: usize>(&mut self, code: RequestCode, words: [u32; N]) {
        self.request(code, words.map(u32::to_le_bytes).as_flattened());
    }

    fn events(&mut self, events: &[(i64, u16, &[u8])]) {
        let mut bytes = vec![0; 16];
        for (time, group, data) in events {
            bytes.extend(time.to_le_bytes());
            bytes.extend([group.to_le_bytes(), [0; 2], (data.len() as u16).to_le_bytes(), [0; 2]].as_flattened());
            bytes.extend(*data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let words = [RENDER, events.len() as u32, bytes.len() as u32, 0].map(u32::to_le_bytes);
        bytes[..16].copy_from_slice(words.as_flattened());
        self.chain(Queue::MIDI_OUT, &bytes, 0);
    }

    fn record(&mut self) {
        let request = [WAVE, FRAMES].map(u32::to_le_bytes);
        self.chain(Queue::WAVE, request.as_flattened(), u64::from(FRAMES) * 4 + 32);
        self.frame += i64::from(FRAMES);
        self.writer.record(Source::CARD, Head::rendered(self.frame, 0));
    }

    /// Plays notes on several channels for so many buffers.
    fn play(&mut self, buffers: i64) {
        let first = self.frame / i64::from(FRAMES);
        for buffer in first..first + buffers {
            let (time, key) = (buffer * BUFFER_TIME, 48 + (buffer % 24) as u8);
            let channel = (buffer % 5) as u8;
            self.events(&[(time, 1, &[0x90 | channel, key, 80]), (time + 70_000, 1, &[0x80 | channel, key, 0])]);
            self.record();
        }
    }

    fn inject(&mut self, fault: &str) {
        self.writer.record_with(Source::HARNESS, Head::command(), &[fault.as_bytes()]);
    }
}

/// Records what a card does about a script.
fn recording(folder: &Path, script: impl FnOnce(&mut Script)) -> PathBuf {
    let (given, recorded) = (folder.join("given.trace"), folder.join("card.trace"));
    script(&mut Script::new(&given));
    replayer().run(&given, &recorded, false).unwrap();
    recorded
}

fn replayer() -> Replayer {
    Replayer { card: CARD.clone(), bank: None }
}

/// Runs `dmus trace` with the card's program, and returns exit code, JSON and standard error.
fn trace(words: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmus"));
    let output = command.arg("trace").args(words).arg("--json").arg("--card").arg(&*CARD).output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Replays a recording to the same failure, and reduces it. Returns the reduced trace, and the scenario's text.
fn reduced(folder: &Path, recording: &Path, most_records: u64) -> (Trace, String) {
    let (code, json, error) = trace(&["replay", recording.to_str().unwrap()]);
    assert_eq!((code, &json["same"]), (0, &Value::Bool(true)), "{json:#} {error}");
    let out = folder.join("reduced.trace");
    let (code, json, error) =
        trace(&["reduce", recording.to_str().unwrap(), "--card-only", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{json:#} {error}");
    assert!(error.contains("parts are left after"), "{error}");
    let left = json["records"]["reduced"].as_u64().unwrap();
    assert!(left < most_records, "{json:#}");
    // It is a recording itself, and replays to the same.
    let (code, json, error) = trace(&["replay", out.to_str().unwrap()]);
    assert_eq!((code, &json["same"]), (0, &Value::Bool(true)), "{json:#} {error}");
    (Trace::read(&out).unwrap(), std::fs::read_to_string(out.with_extension("toml")).unwrap())
}

fn count(trace: &Trace, fits: impl Fn(&Act<'_>) -> bool) -> usize {
    trace.records.iter().filter(|record| fits(&record.act())).count()
}

#[test]
fn an_error_of_a_driver_in_ten_thousand_records_is_reduced_to_fewer_than_fifty() {
    let folder = Scratch::new().unwrap();
    let recording = recording(folder.path(), |script| {
        script.play(700);
        // Half a message, among others.
        script.events(&[(7_000_000, 1, &[0x90, 60, 80]), (7_000_000, 1, &[0x90, 61]), (7_000_000, 1, &[0x80, 60, 0])]);
        script.play(900);
    });
    let recorded = Trace::read(&recording).unwrap();
    assert!(recorded.records.len() >= 10_000, "{}", recorded.records.len());
    let (left, scenario) = reduced(folder.path(), &recording, 50);
    let found = failures(&left.records);
    assert!(matches!(&found[..], [Failure::Diagnosis { name, .. }] if name == "EVENT_MIDI"), "{found:?}");
    assert_eq!(count(&left, |act| matches!(act, Act::WaveReturned { .. })), 0, "no sound is needed");
    assert!(scenario.contains("data = \"90 3d\"") && !scenario.contains("90 3c"), "{scenario}");
    assert!(scenario.contains("expect = { no_diagnosis = true }"), "{scenario}");
}

#[test]
fn a_fault_of_the_card_is_reduced_to_the_request_that_it_strikes() {
    let folder = Scratch::new().unwrap();
    let recording = recording(folder.path(), |script| {
        script.play(50);
        script
            .inject(r#"{"cmd":"inject-fault","fault":{"kind":"stuck-command","request":"volume"},"at":{"event":60}}"#);
        script.play(50);
        script.stream_request(RequestCode::VOLUME, [0, 0]);
        script.play(20);
    });
    let (left, scenario) = reduced(folder.path(), &recording, 30);
    assert_eq!(count(&left, |act| matches!(act, Act::FaultStruck { text } if text.starts_with("stuck-command"))), 1);
    assert!(scenario.contains(r#"kind = "stuck-command""#), "{scenario}");
}

#[test]
fn sound_that_is_other_by_a_fault_keeps_the_fault_and_a_note() {
    let folder = Scratch::new().unwrap();
    let recording = recording(folder.path(), |script| {
        script.inject(r#"{"cmd":"inject-fault","fault":{"kind":"clock-jump","frames":300},"at":{"frame":9700}}"#);
        script.play(30);
    });
    let (left, scenario) = reduced(folder.path(), &recording, 50);
    assert!(count(&left, |act| matches!(act, Act::WaveReturned { .. })) > 0);
    assert!(scenario.contains(r#"kind = "clock-jump""#) && scenario.contains("data = \"9"), "{scenario}");
    assert!(scenario.contains("bit_identical = true"), "{scenario}");
}

#[test]
fn a_replay_that_does_otherwise_names_the_first_divergence() {
    let folder = Scratch::new().unwrap();
    let recording = recording(folder.path(), |script| script.play(30));
    let trace_of = Trace::read(&recording).unwrap();
    // The recorded sound of the 20th buffer is another one.
    let mut buffers = 0;
    let changed = trace_of.records.iter().map(|record| {
        buffers += usize::from(record.kind == Kind::WAVE_RETURNED);
        let (_, _, payload) = record.raw();
        let mut payload = payload.to_vec();
        match record.kind {
            Kind::WAVE_RETURNED if buffers == 20 => {
                payload[0] ^= 1;
                record.with_payload(payload).unwrap()
            }
            _ => record.clone(),
        }
    });
    let changed: Vec<_> = changed.collect();
    let path = folder.path().join("changed.trace");
    std::fs::write(&path, card_trace::copy(&trace_of.header, &changed).unwrap()).unwrap();
    let (code, json, error) = trace(&["replay", path.to_str().unwrap()]);
    assert_eq!(code, 1, "{json:#} {error}");
    assert_eq!((&json["divergence"]["lane"], &json["divergence"]["equal"]), (&"wave".into(), &19.into()), "{json:#}");
}

#[test]
fn recordings_without_a_failure_or_that_cannot_be_read_are_refused_with_a_sentence() {
    let folder = Scratch::new().unwrap();
    let recording = recording(folder.path(), |script| script.play(3));
    let out = folder.path().join("reduced.trace");
    let (code, _, error) = trace(&["reduce", recording.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(code == 1 && error.contains("no failure that the card can see"), "{code} {error}");
    assert!(!out.exists());
    let whole = std::fs::read(&recording).unwrap();
    let cut = folder.path().join("cut.trace");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (code, _, error) = trace(&["replay", cut.to_str().unwrap()]);
    assert!(code == 8 && error.contains("cut short"), "{code} {error}");
    let bank = folder.path().join("other.dls");
    let mut other = BANK.clone();
    other.extend(b"junk\x04\0\0\0????");
    let size = (other.len() as u32 - 8).to_le_bytes();
    other[4..8].copy_from_slice(&size);
    std::fs::write(&bank, other).unwrap();
    let (code, _, error) = trace(&["replay", recording.to_str().unwrap(), "--bank", bank.to_str().unwrap()]);
    assert!(code == 8 && error.contains("was made with the bank built-in"), "{code} {error}");
    let device = folder.path().join("device.trace");
    let settings = Settings { size: SIZE_DEFAULT, pcm: false, program: "my-card, vfio-user-card 1.0.0" };
    let writer = Writer::create(&device, settings).unwrap();
    writer.record_with(Source::HARNESS, Head::mark(), &[b"here"]);
    drop(writer);
    let (code, _, error) = trace(&["replay", device.to_str().unwrap()]);
    let wanted = "is of my-card, vfio-user-card 1.0.0, and only those of the project's card can be replayed";
    assert!(code == 8 && error.contains(wanted), "{code} {error}");
}
