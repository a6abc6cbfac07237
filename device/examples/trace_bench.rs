//! Measures what a trace costs: nanoseconds of a record by itself, and processor time of the card's process with and without
//! a trace, in turns, while a driver sends events one by one and in chains, and records sound. Prints a line of JSON for each figure.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use card_spec::control::Status;
use card_spec::queue::Queue;
use card_trace::{Head, Reader, SIZE_DEFAULT, SLOT_BYTES, Settings, Source, Writer};
use dmus_card::fake::{Driver, Machine, STREAM_RENDER};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tempfile::TempDir;

/// Pairs of turns: one without a trace, one with.
const PAIRS: usize = 41;

/// Rounds of a turn, and batches of a round: each round renders 10 ms.
const ROUNDS: usize = 20;
const BATCHES: usize = 64;

/// Bytes of the ring: it has been round before what counts begins, so that no page of it is touched for the first time.
const RING_BYTES: u64 = 1 << 18;

/// Frames of a round.
const FRAMES: u32 = 480;

/// Records that are timed by themselves, and times that they are.
const RECORDS: u64 = 200_000;
const TIMES: usize = 11;

/// A card in a process of its own, killed at the end.
struct Card {
    process: Child,
    driver: Driver<Machine>,
    time: i64,
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        [card] => measure(Path::new(card), PAIRS),
        [card, "--quick"] => measure(Path::new(card), 1),
        _ => Err("expected the card's program, and --quick for one pair".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "trace-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(program: &Path, pairs: usize) -> Result<(), Box<dyn Error>> {
    let folder = TempDir::new()?;
    report("trace/common-record", SLOT_BYTES as f64, "bytes", None)?;
    records(folder.path())?;
    let trace = folder.path().join("card.trace");
    for (name, events) in [("one-by-one", 1), ("chains", 16)] {
        let mut plain = Card::start(program, &folder.path().join(format!("plain-{name}")), None)?;
        let mut traced = Card::start(program, &folder.path().join(format!("traced-{name}")), Some(&trace))?;
        // Before what counts: pages of the file, caches.
        plain.turn(events)?;
        traced.turn(events)?;
        let mut without = Vec::new();
        let mut ratios = Vec::new();
        for pair in 0..pairs {
            let (one, other) = if pair % 2 == 0 {
                let one = plain.turn(events)?;
                (one, traced.turn(events)?)
            } else {
                let other = traced.turn(events)?;
                (plain.turn(events)?, other)
            };
            without.push(one);
            ratios.push(other / one);
        }
        let sent = (ROUNDS * BATCHES * events) as f64;
        let without = median(without) / sent;
        let with = without * median(ratios);
        report(&format!("trace/card-time/{name}"), with, "ns an event", Some(without))?;
        let header = Reader::open(&trace)?.header().clone();
        let bytes = header.taken as f64 * SLOT_BYTES as f64 / header.records().max(1) as f64;
        report(&format!("trace/bytes/{name}"), bytes, "bytes a record", None)?;
    }
    Ok(())
}

/// Times records by themselves: the common one, and one that carries a batch of one event.
fn records(folder: &Path) -> Result<(), Box<dyn Error>> {
    let settings = Settings { size: SIZE_DEFAULT, pcm: false, program: "trace-bench" };
    let writer = Writer::create(&folder.join("own.trace"), settings)?;
    let batch = [0_u8; 40];
    let common = || writer.record(Source::CARD, Head::chain_returned(Queue::MIDI_OUT, 3, 0));
    let payload = || writer.record_with(Source::CARD, Head::chain_taken(Queue::MIDI_OUT, 3, 0, false), &[&batch]);
    let acts: [(&str, &dyn Fn()); 2] = [("common", &common), ("batch", &payload)];
    for (name, act) in acts {
        let mut times = Vec::new();
        // The first time touches the pages of the file.
        for time in 0..=TIMES {
            let begun = processor_time();
            for _ in 0..RECORDS {
                act();
            }
            if time > 0 {
                times.push((processor_time() - begun) / RECORDS as f64);
            }
        }
        report(&format!("trace/record/{name}"), median(times), "ns", None)?;
    }
    Ok(())
}

impl Card {
    fn start(program: &Path, socket: &Path, trace: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.arg("--socket-path").arg(socket).args(["--clock", "lockstep"]);
        if let Some(trace) = trace {
            command.arg("--trace").arg(format!("{},size={RING_BYTES}", trace.display()));
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut driver = Driver::new(Machine::connect(socket));
        if driver.open().status != Status::OK {
            return Err("the card opens no session".into());
        }
        driver.play(48_000);
        Ok(Self { process, driver, time: 0 })
    }

    /// Sends batches of as many events and records what they last; returns the nanoseconds of processor time of the card.
    fn turn(&mut self, events: usize) -> Result<f64, Box<dyn Error>> {
        let begun = self.processor_time()?;
        for _ in 0..ROUNDS {
            for _ in 0..BATCHES {
                // A controller that no sound depends on: rendering costs the same on both sides, and little.
                let batch: Vec<(i64, u16, &[u8])> = (0..events).map(|_| (self.time, 1, &[0xb0, 3, 1][..])).collect();
                self.driver.send(STREAM_RENDER, &batch);
            }
            self.driver.record(FRAMES);
            self.time += i64::from(FRAMES) * 10_000_000 / 48_000;
        }
        Ok(self.processor_time()? - begun)
    }

    /// Returns the nanoseconds that the threads of the card have had a processor.
    fn processor_time(&self) -> Result<f64, Box<dyn Error>> {
        let mut sum = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split_ascii_whitespace().next().ok_or("no times in schedstat")?.parse::<f64>()?;
        }
        Ok(sum)
    }
}

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(name: &str, value: f64, unit: &str, baseline: Option<f64>) -> Result<(), Box<dyn Error>> {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some(baseline) = baseline {
        figure["baseline"] = json!(baseline);
        figure["ratio"] = json!(value / baseline);
    }
    writeln!(stdout(), "{figure}")?;
    Ok(())
}
