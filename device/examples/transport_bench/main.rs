//! Measures what reaching the card costs over each transport, beside a bare back-end of that transport's framework that answers
//! the same request, and with and without the sandbox: in one run and in turns. Prints a line of JSON for each figure.
//!
//! It stands for QEMU and the driver: a read of the identity block is the message that QEMU sends for one access of a guest
//! (the whole block over vhost-user, four bytes over vfio-user), a register read is one of the register file, and an
//! interrupt is timed from the kick until the event descriptor is signalled.

mod answer;
mod bare;
mod bare_pci;
mod client;
mod side;

use std::env;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use card_spec::control::Status;
use dmus_card::fake::{Board, Driver, Machine};
use serde_json::json;

use client::Client;
use side::{Figure, Reach, Side};

/// Turns of each side, and samples of each figure in one.
const TURNS: usize = 40;
const SAMPLES: usize = 100;

/// Samples before those that count.
const WARM_UP: usize = 50;

/// The transports by the names that the card's program gives them, and the sides of each by their place in the list.
const TRANSPORTS: [&str; 2] = ["vhost-user", "vfio-user"];

/// A back-end in a process of its own, killed at the end.
pub(crate) struct BackEnd(Child);

impl Drop for BackEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["--bare", "vhost-user", path] => bare::serve(Path::new(path)),
        ["--bare", "vfio-user", path] => bare_pci::serve(Path::new(path)),
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

/// Connects to a back-end of a transport, started or not.
fn machine(transport: &str, socket: &Path) -> Result<Box<dyn Reach>, Box<dyn Error>> {
    Ok(match transport {
        "vfio-user" => Box::new(Client::connect(socket)?),
        _ => Box::new(Machine::connect(socket)),
    })
}

/// Starts the card, and opens a session.
fn card(program: &Path, transport: &str, sandbox: &str, socket: &Path) -> Result<Side, Box<dyn Error>> {
    let mut command = Command::new(program);
    command.arg("--socket-path").arg(socket).args(["--clock", "lockstep", "--transport", transport]);
    command.args(["--sandbox", sandbox]);
    if sandbox == "off" {
        // The warning is for people who choose it.
        command.stderr(Stdio::null());
    }
    let back_end = start(&mut command)?;
    let mut driver = Driver::new(machine(transport, socket)?);
    if driver.open().status != Status::OK {
        return Err("the card refuses a session".into());
    }
    Ok(Side::new(back_end, driver.machine))
}

/// Starts the bare back-end of a transport.
fn bare(transport: &str, socket: &Path) -> Result<Side, Box<dyn Error>> {
    let back_end = start(Command::new(env::current_exe()?).args(["--bare", transport]).arg(socket))?;
    let mut machine = machine(transport, socket)?;
    machine.start();
    Ok(Side::new(back_end, machine))
}

fn measure(program: &Path, turns: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let socket = |transport: &str, what: &str| folder.path().join(format!("{transport}-{what}"));
    // Of each transport in this order: the card, the bare back-end, the card without its sandbox.
    let mut sides = Vec::new();
    for transport in TRANSPORTS {
        sides.push([
            card(program, transport, "on", &socket(transport, "card"))?,
            bare(transport, &socket(transport, "bare"))?,
            card(program, transport, "off", &socket(transport, "open"))?,
        ]);
    }
    for side in sides.iter_mut().flatten() {
        side.turn(WARM_UP);
        side.forget();
    }
    for turn in 0..turns {
        // The one that goes first changes, so that none always works after the same other.
        let mut order: Vec<&mut Side> = sides.iter_mut().flatten().collect();
        let first = turn % order.len();
        order.rotate_left(first);
        order.into_iter().for_each(|side| side.turn(SAMPLES));
    }
    for figure in Figure::ALL {
        for (transport, sides) in TRANSPORTS.into_iter().zip(&mut sides) {
            let [card, bare, open] = sides;
            for (part, text) in [(0.5, "p50"), (0.99, "p99")] {
                let of = |side: &mut Side| side.quantile(figure, part);
                let (Some(card), Some(bare), Some(open)) = (of(card), of(bare), of(open)) else { continue };
                let name = format!("transport/{}/{transport}", figure.name());
                for (name, baseline) in [(format!("{name}/{text}"), bare), (format!("{name}/sandbox-on/{text}"), open)]
                {
                    let ratio = card / baseline;
                    let line = json!({"name": name, "value": card, "unit": "us", "baseline": baseline, "ratio": ratio});
                    writeln!(stdout(), "{line}")?;
                }
            }
        }
    }
    Ok(())
}
