//! QEMU's monitor, and its debugger stub.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::stub::{StubSocket, StubSocketError};

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
    let commands = [
        format!("lldb -o 'process connect {}'", socket.for_lldb()),
        format!("gdb -ex 'target remote {}'", socket.for_gdb()),
    ];
    let lines = format!(
        "QEMU listens for a debugger; the guest stops when one connects, and a line then waits until it runs on (boot --gdb stops in \
         DriverEntry, and has time limits wait):\n  {}\n  {}",
        commands[0], commands[1]
    );
    Ok(Answer::new(lines, json!({ "socket": socket.for_gdb(), "commands": commands })))
}
