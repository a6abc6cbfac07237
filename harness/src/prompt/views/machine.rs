//! QEMU's monitor, and its debugger stub.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::debugger::{Debugging, Images};
use crate::host::failure::{Class, Diagnosed};
use crate::machine::stub::{StubSocket, StubSocketError, Teller};
use crate::provision::{Workspace, lldb_here, toolchain_source};

/// The folder of a debugger's files in the run folder.
const FILES: &str = "debug";

/// The file of the debugger's socket in the run folder.
const SOCKET: &str = "gdb.sock";

/// Commands that must not be executed: QEMU 11.1 crashes on the card's device.
const CRASHES: [&str; 2] = ["info virtio-status", "info virtio-queue-status"];

fn human(turn: &mut Turn<'_, '_>, line: &str) -> Result<String, Refusal> {
    let arguments = json!({ "command-line": line });
    let machine = &mut turn.guest()?.session.health.machine;
    let answer = machine.execute("human-monitor-command", Some(&arguments));
    let answer = answer.map_err(|error| Refusal::of(Class::QemuFailed, format!("QEMU's monitor: {error}")))?;
    Ok(answer.as_str().unwrap_or_default().replace('\r', "").trim_end().to_owned())
}

/// Executes a command of QEMU's human monitor.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn qemu(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let line = words.0.join(" ");
    if line.is_empty() {
        return Err(Refusal::usage("a command is missing, such as qemu info mtree"));
    }
    if CRASHES.iter().any(|command| line.starts_with(command)) {
        return Err(Refusal::usage(format!("`{line}` crashes QEMU 11.1 on this device: `queues` shows the rings")));
    }
    let text = human(turn, &line)?;
    // The monitor answers what it does not know in words, too.
    if let Some(first) =
        text.lines().next().filter(|line| line.starts_with("unknown command") || line.starts_with("Error:"))
    {
        return Err(Refusal::usage(format!("QEMU's monitor: {first}")));
    }
    Ok(Answer::of_text(if text.is_empty() { "done".into() } else { text }))
}

/// Has QEMU listen for a debugger.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn gdb(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(1)?;
    let socket = match (words.get(0), turn.run_folder()) {
        (Some(named), _) => StubSocket::named(&named),
        (None, Some(folder)) => StubSocket::Unix(folder.join(SOCKET)),
        (None, None) => return Err(Refusal::usage("the run has no folder: name a socket, or a port")),
    };
    let refused = |error: StubSocketError| Refusal::of(error.class(), error.to_string());
    let socket = socket.absolute().map_err(refused)?;
    socket.check().map_err(refused)?;
    let how_to_attach = prepare(turn, &socket)?;
    let device = match &socket {
        // A comma in a path is two for QEMU.
        StubSocket::Unix(path) => format!("unix:{},server=on,wait=off", path.to_string_lossy().replace(',', ",,")),
        StubSocket::Tcp(port) => format!("tcp:127.0.0.1:{port},server=on,wait=off"),
    };
    let said = human(turn, &format!("gdbserver {device}"))?;
    if let StubSocket::Unix(path) = &socket
        && !path.exists()
    {
        return Err(Refusal::of(Class::QemuFailed, format!("QEMU does not listen at {}: {said}", path.display())));
    }
    let lines = format!(
        "QEMU listens for a debugger, which finds the driver placed; the guest stops when it connects, and a line then waits until it runs on \
         (boot --gdb stops in DriverEntry, and has time limits wait). Run one of:{how_to_attach}"
    );
    let commands: Vec<&str> = how_to_attach.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(Answer::new(lines, json!({ "socket": socket.for_gdb(), "commands": commands })))
}

/// Writes the files for debuggers that `boot --gdb` writes, with the place of the driver. Returns how a debugger is attached.
fn prepare(turn: &mut Turn<'_, '_>, socket: &StubSocket) -> Result<String, Refusal> {
    let folder = turn.run_folder().ok_or_else(|| Refusal::usage("the run has no folder for a debugger's files"))?;
    let bed = turn.guest()?;
    let (nt_host, driver) = {
        let artefacts = &bed.provisioned().artefacts;
        (artefacts.nt_host.clone(), artefacts.driver.clone())
    };
    let mapped = bed.driver().map(|driver| driver.base);
    let workspace = Workspace::find().ok();
    let checkout = workspace.as_ref().filter(|workspace| workspace.bundle.is_none());
    let debugging = Debugging {
        attach: false,
        socket: Some(socket.clone()),
        break_at: Vec::new(),
        break_on: None,
        root: checkout.map(|workspace| workspace.root.clone()),
        library: checkout.and_then(|_| toolchain_source()),
        lldb: workspace.as_ref().and_then(lldb_here),
        teller: Teller::new(|_| {}),
    };
    let images = Images { nt_host: &nt_host, driver: &driver };
    let prepared = debugging.prepare_running(&images, &folder.join(FILES), mapped);
    prepared.map_err(|error| Refusal::of(error.class(), error.to_string()))
}
