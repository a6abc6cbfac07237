//! Measures what reaching the card costs, beside a bare back-end of the framework, in one run and in turns: a read of the
//! identity block, and from a kick to the interrupt. Prints a line of JSON for each figure.

mod bare;

use std::env;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use card_spec::control::{RequestCode, RequestHeader, Status};
use card_spec::queue::Queue;
use dmus_card::fake::{Board, Driver, Machine, Piece};
use serde_json::json;
use zerocopy::IntoBytes;

/// Turns of each side, and samples of each figure in one.
const TURNS: usize = 20;
const SAMPLES: usize = 200;

/// Samples before those that count.
const WARM_UP: usize = 50;

/// The time before each kick, in which a back-end that has just worked goes to sleep.
const PAUSE: Duration = Duration::from_micros(30);

/// A back-end in a process of its own, killed at the end.
struct BackEnd(Child);

impl Drop for BackEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One side: the machine, the request that it sends, and what was measured.
struct Side {
    machine: Machine,
    request: [Piece; 2],
    reads: Vec<f64>,
    interrupts: Vec<f64>,
    _back_end: BackEnd,
}

impl Side {
    fn new(back_end: BackEnd, machine: Machine) -> Self {
        let header = RequestHeader { code: RequestCode::LATENCY.0.into(), length: 0.into(), tag: 1.into() };
        let request = machine.ram.place(header.as_bytes());
        let response = machine.ram.allocate(256);
        let request = [Piece::readable(request, size_of::<RequestHeader>()), Piece::writable(response, 256)];
        Self { machine, request, reads: Vec::new(), interrupts: Vec::new(), _back_end: back_end }
    }

    fn read_identity(&mut self) -> Duration {
        let begun = Instant::now();
        self.machine.identity();
        begun.elapsed()
    }

    /// Returns the time from a kick until the call is signalled, which this thread polls for.
    fn interrupt(&mut self) -> Duration {
        let paused = Instant::now();
        while paused.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
        let _ = self.machine.interrupts(Queue::CONTROL);
        let request = self.request;
        let ring = self.machine.ring(Queue::CONTROL);
        ring.request_interrupt();
        ring.offer(&request);
        let begun = Instant::now();
        self.machine.kick(Queue::CONTROL);
        while self.machine.interrupts(Queue::CONTROL) == 0 {
            std::hint::spin_loop();
        }
        let time = begun.elapsed();
        self.machine.wait(Queue::CONTROL);
        time
    }

    fn turn(&mut self, samples: usize) {
        for _ in 0..samples {
            let read = self.read_identity();
            self.reads.push(read.as_secs_f64() * 1e6);
        }
        for _ in 0..samples {
            let interrupt = self.interrupt();
            self.interrupts.push(interrupt.as_secs_f64() * 1e6);
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["--bare", path] => bare::serve(Path::new(path)),
        [card] => measure(Path::new(card), TURNS),
        [card, "--quick"] => measure(Path::new(card), 1),
        _ => Err("expected the card's program, and --quick for one turn".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "transport-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: &mut Command) -> Result<BackEnd, Box<dyn Error>> {
    Ok(BackEnd(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
}

fn measure(card: &Path, turns: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("card");
    let back_end = start(Command::new(card).arg("--socket-path").arg(&socket).args(["--clock", "lockstep"]))?;
    let mut driver = Driver::new(Machine::connect(&socket));
    if driver.open().status != Status::OK {
        return Err("the card refuses a session".into());
    }
    let mut card = Side::new(back_end, driver.machine);
    let socket = folder.path().join("bare");
    let back_end = start(Command::new(env::current_exe()?).arg("--bare").arg(&socket))?;
    let mut machine = Machine::connect(&socket);
    machine.start();
    let mut bare = Side::new(back_end, machine);

    for side in [&mut card, &mut bare] {
        side.turn(WARM_UP);
        side.reads.clear();
        side.interrupts.clear();
    }
    for _ in 0..turns {
        card.turn(SAMPLES);
        bare.turn(SAMPLES);
    }
    for (name, ours, theirs) in [
        ("identity-read", &mut card.reads, &mut bare.reads),
        ("kick-to-interrupt", &mut card.interrupts, &mut bare.interrupts),
    ] {
        for (quantile, text) in [(0.5, "p50"), (0.99, "p99")] {
            let (value, baseline) = (at(ours, quantile), at(theirs, quantile));
            let name = format!("transport/{name}/vhost-user/{text}");
            let ratio = value / baseline;
            let line = json!({"name": name, "value": value, "unit": "us", "baseline": baseline, "ratio": ratio});
            writeln!(stdout(), "{line}")?;
        }
    }
    Ok(())
}

/// Returns the value below which a part of the values is.
fn at(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * part) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
