//! `dmus boot`: a guest to talk to.

use std::io::{IsTerminal, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use dmus::event::{Event, Observer};
use dmus::failure::Error;
use dmus::host::failure::Class;
use dmus::host::interrupt;
use dmus::host::leftovers::Scratch;
use dmus::machine::{Boot, Card, CardOptions, CardSockets, GuestMemory, MachineOptions, Processes};
use dmus::playback::leave;
use dmus::report::{Terminal, error_line, out};
use dmus::testbed::bug_check;
use dmus::testbed::session::{Health, Session, SessionError};
use guest_protocol::Request;

use super::Outcome;
use super::args::BootArguments;
use super::setup::{provisioned, workspace_of};

/// Guest memory, in bytes.
const MEMORY: u64 = 128 << 20;

const HELP: &str = "load          load the driver: DriverEntry
start         start the device: AddDevice, IRP_MN_START_DEVICE
open NAME     open a subdevice's filter and show its pins
counters      show what was counted since boot
stop          stop and remove the device
unload        unload the driver, look for what it left behind
quit          shut the guest down";

/// How often a silent keyboard makes us look whether the user wants to leave, or the guest has left.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// Says everything that the guest says, a line each: a prompt and a terminal's moving line do not go together.
struct Verbose;

impl Observer for Verbose {
    fn event(&self, event: &Event) {
        match event {
            Event::Guest { level, target, text } => error_line(&format!("[{level:5} {target}] {text}")),
            Event::Console { text } => error_line(text.trim_end()),
            Event::Warning { text } | Event::Note { text } => error_line(text),
            _ => {}
        }
    }
}

pub(super) fn boot(arguments: &BootArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let provisioned = provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?;
    drop(terminal);
    let scratch = Scratch::new()?;
    let sockets = CardSockets::in_folder(scratch.path());
    let card =
        Card::start(&provisioned.artefacts.card, &CardOptions::default(), &sockets, &scratch.path().join("card.log"))?;
    let options = MachineOptions {
        processors: 1,
        qemu: provisioned.artefacts.qemu.clone(),
        accelerator: provisioned.accelerator.accelerator,
        firmware: provisioned.firmware,
        kernel: provisioned.artefacts.nt_host.clone(),
        driver: Some(provisioned.artefacts.driver.clone()),
        guest_options: format!("log={}\n", arguments.guest_log),
        card_socket: Some(sockets.machine),
    };
    let log = scratch.path().join("qemu.log");
    let boot = Boot { log: &log, scratch: scratch.path() };
    let processes = Processes::start(&options, GuestMemory::new(MEMORY)?, &boot, card)?;
    error_line(&format!("QEMU {}, {}", processes.machine.version(), provisioned.accelerator.accelerator.name()));
    let observer = Verbose;
    let line = processes.machine.line.try_clone().map_err(SessionError::Line)?;
    let limit = Duration::from_secs(arguments.machine.timeout);
    let mut session = Session::new(line, processes, limit, None, &observer).map_err(SessionError::Line)?;
    let hello = session.ready().and_then(|_| session.hello());
    let hello = hello.map_err(|error| session.cause("boot the guest", error.into()))?;
    out(&format!("{} with {} MiB; `help` says what can be said", hello.guest, hello.memory >> 20));
    let lines = input();
    loop {
        if stdin().is_terminal() {
            let _ = write!(stdout(), "dmus> ").and_then(|()| stdout().flush());
        }
        let done = next_line(&lines, &mut session)
            .and_then(|line| converse(&mut session, &line.split_whitespace().collect::<Vec<_>>()));
        match done {
            Ok(true) => {}
            Ok(false) => break,
            // The guest is still there: its refusal is an answer.
            Err(Error::Session(error @ SessionError::Refused { .. })) => error_line(&error.to_string()),
            Err(error) => {
                let error = session.cause("the prompt", error);
                if let Error::Session(SessionError::BugCheck(found)) = &error {
                    let places = bug_check::places(
                        &found.stack,
                        Some(&provisioned.artefacts.driver),
                        Some(&provisioned.artefacts.nt_host),
                    );
                    error_line(bug_check::report(found, &places).trim_end());
                }
                return Err(error);
            }
        }
    }
    leave(&mut session, limit).map_err(|error| session.cause("shut down", error))?;
    Ok(None::<Class>)
}

/// The lines of standard input, read by a thread of their own: a read cannot be waited for with a time limit.
fn input() -> Receiver<String> {
    let (sender, lines) = channel();
    // Ends with its input or with the process.
    std::thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Waits for the next line; the end of input is a farewell.
fn next_line(lines: &Receiver<String>, session: &mut Session<'_, Processes>) -> Result<String, Error> {
    loop {
        match lines.recv_timeout(LOOK_AROUND) {
            Ok(line) => return Ok(line),
            Err(RecvTimeoutError::Disconnected) => return Ok("quit".into()),
            Err(RecvTimeoutError::Timeout) if interrupt::asked() => {
                return Err(SessionError::Interrupted("wait for a command".into()).into());
            }
            Err(RecvTimeoutError::Timeout) => {
                if session.health.death().is_some()
                    && let Some(found) = session.post_mortem("wait for a command")
                {
                    return Err(found.into());
                }
            }
        }
    }
}

/// Does one line; false when the guest has left.
fn converse(session: &mut Session<'_, Processes>, words: &[&str]) -> Result<bool, Error> {
    match words {
        [] => {}
        ["load"] => {
            let driver = session.load_driver()?;
            out(&format!("{} bytes at {:#x}, {} imports", driver.file_bytes, driver.base, driver.imports.len()));
        }
        ["start"] => {
            let device = session.start_device()?;
            out(&device.device);
            for resource in device.resources {
                out(&format!("  {resource}"));
            }
            out(&format!("subdevices: {}", device.subdevices.join(", ")));
        }
        ["open", name @ ..] => {
            let filter = session.open_filter(&name.join(" "))?;
            for (number, pin) in filter.pins.iter().enumerate() {
                let flow = if pin.flow_in { "in" } else { "out" };
                out(&format!("  pin {number}: {flow}, {} at most, carries {:?}", pin.instances, pin.carries));
            }
            session.done("close the filter", Request::Close(filter.handle))?;
        }
        ["counters"] => out(&format!("{:#?}", session.statistics()?)),
        ["stop"] => session.done("stop the device", Request::StopDevice)?,
        ["unload"] => session.unload_driver()?,
        ["quit"] => {
            session.done("shut down", Request::Shutdown)?;
            return Ok(false);
        }
        _ => out(HELP),
    }
    Ok(true)
}
