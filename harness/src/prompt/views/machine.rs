//! QEMU's monitor, and its debugger stub.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::host::failure::Class;

/// The longest path of a socket (`sun_path` of unix(7)), without its end.
const SOCKET_MAX: usize = 107;

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
    let path = match words.get(0) {
        Some(path) => std::path::absolute(path).map_err(|error| Refusal::usage(error.to_string()))?,
        None => match turn.run_folder() {
            Some(folder) => folder.join(SOCKET),
            None => return Err(Refusal::usage("the run has no folder: name a socket")),
        },
    };
    let text = path.to_string_lossy().into_owned();
    if text.len() > SOCKET_MAX {
        let length = text.len();
        return Err(Refusal::usage(format!(
            "`{text}` has {length} bytes, and a socket's path at most {SOCKET_MAX}: name another"
        )));
    }
    if path.exists() {
        return Err(Refusal::usage(format!("`{text}` exists: name another socket, or remove it")));
    }
    // A comma in a path is two for QEMU.
    let said = human(turn, &format!("gdbserver unix:{},server=on,wait=off", text.replace(',', ",,")))?;
    if !path.exists() {
        return Err(Refusal::of(Class::QemuFailed, format!("QEMU does not listen at {text}: {said}")));
    }
    let commands =
        [format!("lldb -o 'process connect unix-connect://{text}'"), format!("gdb -ex 'target remote {text}'")];
    let lines = format!(
        "QEMU listens for a debugger; the guest stops when one connects, and a line then waits until it runs on:\n  {}\n  {}",
        commands[0], commands[1]
    );
    Ok(Answer::new(lines, json!({ "socket": text, "commands": commands })))
}
