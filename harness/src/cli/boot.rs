//! `dmus boot`: a guest to talk to.

use std::io::{BufRead, IsTerminal, Write, stdin, stdout};
use std::time::Duration;

use dmus::event::{Event, Observer};
use dmus::failure::{Class, Error, FileError};
use dmus::machine::{Boot, Card, CardOptions, CardSockets, GuestMemory, Machine, MachineOptions, Rig};
use dmus::provision::Workspace;
use dmus::session::{Session, SessionError};
use guest_protocol::Request;

use super::Outcome;
use super::args::BootArguments;
use super::print::{error_line, out};
use super::terminal::Terminal;
use super::verbs::stage;

/// Guest memory, in bytes.
const MEMORY: u64 = 128 << 20;

const HELP: &str = "load          load the driver: DriverEntry
start         start the device: AddDevice, IRP_MN_START_DEVICE
open NAME     open a subdevice's filter and show its pins
counters      show what was counted since boot
stop          stop and remove the device
unload        unload the driver, look for what it left behind
quit          shut the guest down";

/// Says everything that the guest says.
struct Verbose(Terminal);

impl Observer for Verbose {
    fn event(&self, event: &Event) {
        match event {
            Event::Guest { level, target, text } => error_line(&format!("[{level:5} {target}] {text}")),
            Event::Console { text } => error_line(text.trim_end()),
            other => self.0.event(other),
        }
    }
}

pub(super) fn boot(arguments: &BootArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = Workspace::find()?;
    let stage = stage(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?;
    drop(terminal);
    let scratch = tempfile::tempdir().map_err(FileError::own("create", std::env::temp_dir()))?;
    let sockets = CardSockets::in_folder(scratch.path());
    let card = Card::start(&stage.kit.card, &CardOptions::default(), &sockets, &scratch.path().join("card.log"))?;
    let options = MachineOptions {
        qemu: stage.kit.qemu.clone(),
        accelerator: stage.accelerator.accelerator,
        firmware: stage.firmware,
        kernel: stage.kit.nt_host.clone(),
        driver: Some(stage.kit.driver.clone()),
        guest_options: format!("log={}\n", arguments.guest_log),
        card_socket: Some(sockets.machine),
    };
    let log = scratch.path().join("qemu.log");
    let boot = Boot { log: &log, scratch: scratch.path() };
    let machine = Machine::start(&options, GuestMemory::new(MEMORY)?, &boot)?;
    error_line(&format!("QEMU {}, {}", machine.version(), stage.accelerator.accelerator.name()));
    let observer = Verbose(Terminal::new());
    let line = machine.line.try_clone().map_err(SessionError::Line)?;
    let limit = Duration::from_secs(arguments.machine.timeout);
    let mut session = Session::new(line, Rig { machine, card }, limit, None, &observer).map_err(SessionError::Line)?;
    session.ready()?;
    let hello = session.hello()?;
    out(&format!("{} with {} MiB; `help` says what can be said", hello.guest, hello.memory >> 20));
    loop {
        if stdin().is_terminal() {
            let _ = write!(stdout(), "dmus> ").and_then(|()| stdout().flush());
        }
        let mut line = String::new();
        // The end of input is a farewell.
        let words = match stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => vec!["quit"],
            Ok(_) => line.split_whitespace().collect(),
        };
        match converse(&mut session, &words) {
            Ok(true) => {}
            Ok(false) => break,
            // The guest is still there: its refusal is an answer.
            Err(Error::Session(error @ SessionError::Refused { .. })) => error_line(&error.to_string()),
            Err(error) => {
                error_line(&session.health.card.tail());
                return Err(error);
            }
        }
    }
    session.health.machine.wait(limit);
    Ok(None::<Class>)
}

/// Does one line; false when the guest has left.
fn converse(session: &mut Session<'_, Rig>, words: &[&str]) -> Result<bool, Error> {
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
