//! What each boot does.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use stand_in::answer::Answer;
use stand_in::behaviour::{Behaviour, FILE};
use stand_in::dump::{dump, entry_of};
use stand_in::script::{self, Line};
use stand_in::state::{OFFSET, Stage};
use uefi::runtime::{self, ResetType};
use uefi::{Status, boot, system};

use super::agent::Manner;
use super::disks::{Disk, Files, connect_all};
use super::kernel::{self, Installed};
use super::{agent, idle, line, screen};

/// The time in which a key is waited for, as the prompt of an installation disc does.
const PROMPT: Duration = Duration::from_secs(5);

/// The interval at which the keyboard is looked at.
const POLL: Duration = Duration::from_millis(50);

/// The answer file, in the root of a disk.
const ANSWER: &str = "Autounattend.xml";

/// The file that marks the disk for dumps, and the dump.
const DUMP_MARK: &str = "dmus-dump.txt";
const DUMP: &str = "MEMORY.DMP";

/// The name of the driver in the list of the dump.
const DRIVER_NAME: &str = "dmuscard.sys";

/// Runs the stage that the disk is at; from the disc, asks for a key and installs.
pub(super) fn run() -> Status {
    let behaviour = Files::started_from().and_then(|mut files| files.text(FILE));
    let behaviour = behaviour.map_or(Some(Behaviour::Good), |word| Behaviour::of(&word));
    let Some(behaviour) = behaviour else { stop(&format!("the word in {FILE} is no behaviour")) };
    let Some(mut disk) = Disk::started_from() else { stop("the device that this was started from cannot be read") };
    match disk.stage() {
        None => install(behaviour, &mut disk),
        Some(Stage::Configure) => {
            screen::clear();
            screen::show("Getting devices ready");
            if behaviour != Behaviour::RebootsForEver {
                advance(&mut disk, Stage::FirstLogon);
            }
            restart()
        }
        Some(Stage::FirstLogon) => first_logon(behaviour, &mut disk),
        Some(Stage::Installed) if behaviour == Behaviour::NoAgent => stop("Press Ctrl+Alt+Delete to unlock."),
        Some(Stage::Installed) => {
            advance(&mut disk, Stage::Used);
            agent::serve(if behaviour == Behaviour::SilentAgent { Manner::Silent } else { Manner::Good })
        }
        Some(Stage::Used) => used(behaviour),
    }
}

/// A boot of the finished image.
fn used(behaviour: Behaviour) -> Status {
    screen::clear();
    match behaviour {
        Behaviour::RunNoAgent => stop("Press Ctrl+Alt+Delete to unlock."),
        Behaviour::RunSilent => agent::serve(Manner::Silent),
        Behaviour::RunTurnsOff => agent::serve(Manner::TurnsOff),
        Behaviour::RunOtherVersion => agent::serve(Manner::OtherVersion),
        Behaviour::RunBlueScreen => {
            connect_all();
            let driver = Files::started_from().and_then(|mut files| files.read(kernel::DRIVER));
            let entry = driver.and_then(|image| entry_of(&image)).unwrap_or_default();
            let written = Files::with(DUMP_MARK).map(|mut files| files.write(DUMP, &dump(DRIVER_NAME, entry)));
            if !matches!(written, Some(Ok(()))) {
                line::send(b"\r\nstand-in: no disk takes the dump\r\n");
            }
            screen::bug_check();
            halt()
        }
        _ => {}
    }
    let installed = Files::started_from().ok_or_else(|| "the disk cannot be read".into());
    match installed.and_then(|mut files| Installed::read(&mut files)?.map_or(Ok(()), Installed::enter)) {
        Ok(()) => agent::serve(Manner::Good),
        Err(reason) => {
            line::send(format!("\r\nstand-in: {reason}\r\n").as_bytes());
            stop("The system cannot be started.")
        }
    }
}

/// The first boot, from the disc.
fn install(behaviour: Behaviour, disc: &mut Disk) -> Status {
    screen::clear();
    if behaviour == Behaviour::NeverPrompts {
        stop("No bootable option or device was found.");
    }
    screen::show("Press any key to boot from CD or DVD...");
    if !key_pressed() {
        // The firmware goes on with the next device.
        return Status::ABORTED;
    }
    screen::show("Loading files...");
    connect_all();
    if let Err(error) = disc.read_all() {
        stop(&format!("A file could not be read from the disc ({error})."));
    }
    let answer = match answer(behaviour) {
        Ok(answer) => answer,
        Err(reason) => {
            // Setup ignores an answer file that it cannot take, and asks a person; why is said for the test's log only.
            line::send(format!("\r\nstand-in: the answer file is ignored: {reason}\r\n").as_bytes());
            stop("Language to install: English (United States)   Time and currency format:   Next")
        }
    };
    let Some(mut disk) = Disk::empty() else { stop("Where do you want to install? There is no disk.") };
    if behaviour == Behaviour::DiskFull || disk.bytes() <= 2 * OFFSET {
        stop("Windows needs more space than this disk has. Choose another disk.");
    }
    let text = format!("Installing image {} on disk {}, partition {}", answer.index, answer.disk, answer.partition);
    screen::show(&text);
    if behaviour == Behaviour::Hangs {
        stop("Copying files (17%)");
    }
    if let Err(error) = disk.copy_from(disc) {
        stop(&format!("A file could not be copied to the disk ({error})."));
    }
    advance(&mut disk, Stage::Configure);
    restart()
}

/// Reads the answer file, and checks that its commands start the script.
fn answer(behaviour: Behaviour) -> Result<Answer, String> {
    if behaviour == Behaviour::WrongAnswer {
        return Err("on purpose".into());
    }
    let mut files = Files::with(ANSWER).ok_or_else(|| format!("no disk has {ANSWER}"))?;
    let text = files.text(ANSWER).ok_or("it cannot be read as text")?;
    let answer = Answer::read(&text).map_err(|error| format!("{error}"))?;
    if !answer.commands.iter().any(|command| command.contains("setup.cmd")) {
        return Err("no command of the first logon starts setup.cmd".into());
    }
    Ok(answer)
}

/// The boot that runs the script of the first logon.
fn first_logon(behaviour: Behaviour, disk: &mut Disk) -> Status {
    screen::clear();
    screen::show("First logon");
    connect_all();
    let Some(mut files) = Files::with(ANSWER) else { stop("The disk with setup.cmd is not there.") };
    let Some(script) = files.text("setup.cmd") else { stop("setup.cmd cannot be read.") };
    for step in script::read(&script) {
        match step {
            Line::Say(words) if words.starts_with("step ") && behaviour == Behaviour::SecureBoot => {
                line::say("failed secure-boot 1");
                stop("setup.cmd has ended.");
            }
            Line::Say(words) => {
                line::say(&words);
                screen::show(&words);
                if words == "step driver" && behaviour == Behaviour::BlueScreen {
                    screen::bug_check();
                    halt();
                }
                if words == "step driver" && behaviour == Behaviour::StepFails {
                    line::say("failed driver -536870333");
                    stop("setup.cmd has ended.");
                }
            }
            Line::Needs(name) if !files.has(&name) => {
                line::say(&format!("failed missing-file {name}"));
                stop("setup.cmd has ended.");
            }
            Line::Needs(_) => {}
        }
    }
    if let Err(reason) = install_driver(&mut files) {
        line::say(&format!("failed driver {reason}"));
        stop("setup.cmd has ended.");
    }
    advance(disk, Stage::Installed);
    restart()
}

/// Puts the image of the driver's package beside the kernel, if there is a kernel.
fn install_driver(payload: &mut Files) -> Result<(), String> {
    let mut own = Files::started_from().ok_or("the disk cannot be read")?;
    if !own.has(kernel::KERNEL) {
        return Ok(());
    }
    let path = payload.find("driver", ".sys").ok_or("the package has no driver image")?;
    own.write(kernel::DRIVER, &payload.read(&path).ok_or("the driver image cannot be read")?)
}

/// Waits for a key as long as a disc does.
fn key_pressed() -> bool {
    let mut waited = Duration::ZERO;
    while waited < PROMPT {
        if system::with_stdin(|keyboard| keyboard.read_key().ok().flatten()).is_some() {
            return true;
        }
        boot::stall(POLL);
        waited += POLL;
    }
    false
}

fn advance(disk: &mut Disk, stage: Stage) {
    if disk.set_stage(stage).is_err() {
        stop("The disk cannot be written.");
    }
}

fn restart() -> ! {
    runtime::reset(ResetType::COLD, Status::SUCCESS, None)
}

/// Shows a text and waits for ever, as an installer does that asks a person.
fn stop(text: &str) -> ! {
    screen::show(text);
    halt()
}

/// Waits for ever without the firmware.
pub(super) fn stand_still() -> ! {
    loop {
        idle::halt();
    }
}

fn halt() -> ! {
    // The firmware would start the machine again after five minutes.
    let _ = boot::set_watchdog_timer(0, 0x1_0000, None);
    loop {
        idle::halt();
    }
}
