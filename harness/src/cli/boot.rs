//! `dmus boot`: a prompt for a booted guest.

use std::io::{IsTerminal, stdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use dmus::event::{Event, Observer};
use dmus::host::failure::Class;
use dmus::host::interrupt;
use dmus::machine::Health;
use dmus::report::{Terminal, error_line, out, out_part};
use dmus::testbed::session::SessionError;
use dmus::testbed::{TestBed, TestBedBuilder, TestBedError};
use guest_protocol::Request;
use guest_protocol::options::LOG;

use super::args::BootArguments;
use super::error::Outcome;
use super::setup::{provisioned_with, workspace_of};

/// The commands of the prompt.
const HELP: &str = "help          list the commands
load          load the driver: DriverEntry
start         start the device: AddDevice, IRP_MN_START_DEVICE
open NAME     open the filter of a subdevice that `start` has listed, and show its pins
counters      show what was counted since boot
stop          stop and remove the device
unload        unload the driver, check that it has left nothing behind
quit          shut the guest down";

/// The interval at which the prompt checks, while it waits for a line, whether the user has interrupted it or the guest
/// has left.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// Prints everything that the guest says, a line each: a prompt and a terminal's moving line do not go together.
struct Verbose;

impl Observer for Verbose {
    fn event(&self, event: &Event) {
        match event {
            Event::Guest { level, target, text } => error_line(&format!("[{level:5} {target}] {text}")),
            Event::Console { text } => error_line(text.trim_end()),
            Event::Warning { text } | Event::Note { text } => error_line(text),
            Event::Finding { kind, rule, function, irql, message } => {
                let rule = rule.map_or_else(String::new, |rule| format!(" rule {rule}"));
                error_line(&format!("{kind}{rule}: {message} (in {function}, at IRQL {irql})"));
            }
            _ => {}
        }
    }
}

/// Boots the guest, and serves the prompt until it is left.
pub(super) fn boot(arguments: &BootArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let device = arguments.device.device(arguments.driver.as_deref(), &terminal)?;
    let mut provisioned =
        provisioned_with(&workspace, &arguments.machine, &arguments.debugger, arguments.driver.as_deref(), &terminal)?;
    provisioned.device = device;
    drop(terminal);
    let accelerator = provisioned.accelerator.accelerator;
    let observer = Verbose;
    let mut bed = TestBedBuilder::new()
        .provisioned(provisioned)
        .temporary_logs()
        .guest_options(format!("{LOG}={}\n", arguments.guest_log))
        .violation_policy(&arguments.violations.policy())
        .timeout(Duration::from_secs(arguments.machine.timeout))
        .observer(&observer)
        .start()?;
    error_line(&format!("QEMU {}, {}", bed.session.health.machine.version(), accelerator.name()));
    let hello = bed.session.ready().and_then(|_| bed.session.hello());
    let hello = hello.map_err(|error| bed.cause("boot the guest", TestBedError::from(error)))?;
    out(&format!("{} with {} MiB; `help` lists the commands", hello.guest, hello.memory >> 20));
    let lines = input();
    loop {
        if stdin().is_terminal() {
            out_part("dmus> ");
        }
        let done = next_line(&lines, &mut bed)
            .and_then(|line| execute(&mut bed, &line.split_whitespace().collect::<Vec<_>>()));
        match done {
            Ok(true) => {}
            Ok(false) => break,
            // The guest is still there: its refusal is an answer.
            Err(error @ SessionError::Refused { .. }) => error_line(&error.to_string()),
            Err(error) => {
                let error = bed.cause("the prompt", TestBedError::from(error));
                if let TestBedError::Session(SessionError::BugCheck(found)) = &error {
                    error_line(bed.bug_check_report(found).trim_end());
                }
                bed.findings().lines().iter().for_each(|line| error_line(line));
                return Err(error.into());
            }
        }
    }
    bed.leave().map_err(|error| bed.cause("shut down", error))?;
    let findings = bed.findings();
    findings.lines().iter().for_each(|line| out(line));
    out("the guest has shut down");
    Ok((!findings.violations.is_empty()).then_some(Class::GuestCrashed))
}

/// Reads the lines of standard input on a thread of its own: a read cannot be waited for with a time limit.
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

/// Waits for the next line; the end of input means `quit`.
fn next_line(lines: &Receiver<String>, bed: &mut TestBed<'_>) -> Result<String, SessionError> {
    loop {
        match lines.recv_timeout(LOOK_AROUND) {
            Ok(line) => return Ok(line),
            Err(RecvTimeoutError::Disconnected) => return Ok("quit".into()),
            Err(RecvTimeoutError::Timeout) if interrupt::requested() => {
                return Err(SessionError::Interrupted("wait for a command".into()));
            }
            Err(RecvTimeoutError::Timeout) => {
                if bed.session.health.death().is_some()
                    && let Some(found) = bed.session.post_mortem("wait for a command")
                {
                    return Err(found);
                }
            }
        }
    }
}

/// Executes one command. Returns false when the guest has left.
fn execute(bed: &mut TestBed<'_>, words: &[&str]) -> Result<bool, SessionError> {
    let session = &mut bed.session;
    match words {
        [] => {}
        ["load"] => {
            let driver = session.load_driver()?;
            out(&format!(
                "the driver is loaded: {} bytes at {:#x}, {} imports",
                driver.file_bytes,
                driver.base,
                driver.imports.len()
            ));
        }
        ["start"] => {
            let device = session.start_device()?;
            out(&format!("the device is started: {}", device.device));
            for resource in &device.resources {
                out(&format!("  {resource}"));
            }
            out(&format!("subdevices: {}", device.subdevices.join(", ")));
            bed.compare_interfaces(&device);
        }
        ["open", name @ ..] => {
            let filter = session.open_filter(&name.join(" "))?;
            for (number, pin) in filter.pins.iter().enumerate() {
                let flow = if pin.flow_in { "in" } else { "out" };
                out(&format!("  pin {number}: {flow}, {} at most, carries {:?}", pin.instances, pin.data_ranges));
            }
            session.done("close the filter", Request::Close(filter.handle))?;
        }
        ["counters"] => out(&format!("{:#?}", session.statistics()?)),
        ["stop"] => {
            session.done("stop the device", Request::StopDevice)?;
            out("the device is stopped and removed");
        }
        ["unload"] => {
            // The guest stops with a bug check where the driver has left something.
            session.unload_driver()?;
            out("the driver is unloaded, and has left nothing behind");
        }
        ["quit"] => {
            session.done("shut down", Request::Shutdown)?;
            return Ok(false);
        }
        ["help"] => out(HELP),
        unknown => error_line(&format!("unknown command `{}`; `help` lists the commands", unknown.join(" "))),
    }
    Ok(true)
}
