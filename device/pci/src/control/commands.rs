//! Carries out the commands of the control socket.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::LINE_BYTES_MAX;
use crate::card::{Fault, Refusal};
use crate::diagnosis::First;
use crate::function::Function;
use crate::journal::{DriverError, Entry};
use crate::registers::RegisterValue;
use crate::tap::Act;

/// The version of the contract.
const PROTOCOL: u32 = 1;
/// What an answer needs besides its lists.
const ANSWER_FRAME_BYTES: usize = 256;
/// What the answer to `status` needs besides the driver's errors: room for a hundred counters.
const COUNTERS_BYTES: usize = 8 << 10;
/// What an entry of `bytes` needs besides its data.
const ENTRY_FRAME_BYTES: usize = 64;

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The next line.
    Go,
    /// The end of the connection.
    Disconnect,
    /// The end of the process.
    Shutdown,
}

/// Carries out the command in a line, and returns its answer.
pub(super) fn carry_out(function: &Function, line: &[u8]) -> (String, Outcome) {
    let command = match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(command) => command,
        Err(error) => return (refusal("malformed", &format!("not a JSON object: {error}")), Outcome::Go),
    };
    let Some(name) = command.get("cmd").and_then(Value::as_str) else {
        return (refusal("malformed", "the object has no string `cmd`"), Outcome::Go);
    };
    let answer = match name {
        "hello" => Ok(hello(function)),
        "status" => Ok(status(function)),
        "diagnosis" => diagnosis(function, &command),
        "mark" => mark(function, &command),
        "registers" => registers(function),
        "bytes" => bytes(function),
        "midi-in" => midi_in(function, &command),
        "inject-fault" => inject_fault(function, &command),
        "log" => Ok(log(function)),
        "shutdown" => return (r#"{"ok":true}"#.to_owned(), Outcome::Shutdown),
        other => Err(Refusal::Unsupported(format!("the command `{other}`"))),
    };
    let answer = match answer {
        Ok(answer) => answer.to_string(),
        Err(error) => refusal(code(&error), &error.to_string()),
    };
    // An answer within the limit is a promise: a client may read with a buffer of this size.
    if answer.len() < LINE_BYTES_MAX {
        (answer, Outcome::Go)
    } else {
        (refusal("failed", &format!("the answer is longer than {LINE_BYTES_MAX} bytes")), Outcome::Go)
    }
}

/// Returns the answer that refuses a command.
pub(super) fn refusal(code: &str, error: &str) -> String {
    json!({"ok": false, "code": code, "error": error}).to_string()
}

const fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unsupported(_) => "unsupported",
        Refusal::Malformed(_) => "malformed",
        Refusal::Failed(_) => "failed",
    }
}

fn hello(function: &Function) -> Value {
    let card = function.card.lock();
    let (offers, has_registers) = (card.offers(), !card.registers().is_empty());
    drop(card);
    let optional = [
        ("registers", has_registers),
        ("mark", function.shared.journal.taps.listens()),
        ("bytes", offers.bytes),
        ("midi-in", offers.midi_in),
        ("inject-fault", !offers.faults.is_empty()),
    ];
    let optional = optional.iter().filter(|(_, offered)| *offered).map(|(name, _)| *name);
    let names: Vec<&str> = ["status", "diagnosis"].into_iter().chain(optional).chain(["log", "shutdown"]).collect();
    let name = &function.shared.description.name;
    json!({"ok": true, "protocol": PROTOCOL, "name": name, "offers": names, "faults": offers.faults})
}

fn status(function: &Function) -> Value {
    let shared = &function.shared;
    let own = function.card.lock().counters();
    let (errors, error_count) = shared.journal.driver_errors();
    let mut fits = budget(COUNTERS_BYTES);
    let errors: Vec<Value> = errors
        .into_iter()
        .map(|DriverError { code, detail }| json!({"code": code, "detail": detail}))
        .take_while(|error| fits(error.to_string().len() + 1))
        .collect();
    let interrupts = shared.pci.lock().counts();
    let mut counters: Map<String, Value> = [
        ("connections", shared.connections.load(Ordering::Relaxed)),
        ("dma-reads", shared.memory.reads.load(Ordering::Relaxed)),
        ("dma-writes", shared.memory.writes.load(Ordering::Relaxed)),
        ("driver-errors", error_count),
        ("interrupts-refused", interrupts.refused),
        ("interrupts-sent", interrupts.sent),
        ("midi-bytes", shared.journal.byte_count()),
        ("register-reads", shared.reads.load(Ordering::Relaxed)),
        ("register-writes", shared.writes.load(Ordering::Relaxed)),
        ("resets", shared.resets.load(Ordering::Relaxed)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into()))
    .collect();
    counters.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    json!({"ok": true, "interrupts": interrupts.raised, "driver_errors": errors, "counters": counters})
}

fn diagnosis(function: &Function, command: &Map<String, Value>) -> Result<Value, Refusal> {
    let clear = match command.get("clear") {
        None => false,
        Some(Value::Bool(clear)) => *clear,
        Some(_) => return Err(Refusal::Malformed("`clear` is true or false".into())),
    };
    let (first, counts) = function.shared.journal.diagnosis(clear);
    let first = first.map(|First { code, detail, during, time, resets }| {
        json!({"code": code, "detail": detail, "during": during, "time_ns": time, "resets": resets})
    });
    Ok(json!({"ok": true, "count": counts.values().sum::<u64>(), "first": first, "codes": counts}))
}

fn mark(function: &Function, command: &Map<String, Value>) -> Result<Value, Refusal> {
    let taps = &function.shared.journal.taps;
    if !taps.listens() {
        return Err(Refusal::Unsupported("a trace, which marks are put into; start it with --trace".into()));
    }
    let text = command.get("text").and_then(Value::as_str);
    let text = text.ok_or_else(|| Refusal::Malformed("`mark` needs a string `text`".into()))?;
    taps.act(&Act::Mark(text));
    Ok(json!({"ok": true}))
}

/// Returns a test of what still fits into an answer besides its frame, by its bytes.
fn budget(frame: usize) -> impl FnMut(usize) -> bool {
    let mut left = LINE_BYTES_MAX - frame;
    move |bytes| {
        let fits = bytes <= left;
        left -= if fits { bytes } else { 0 };
        fits
    }
}

fn registers(function: &Function) -> Result<Value, Refusal> {
    let values = function.card.lock().registers();
    if values.is_empty() {
        return Err(Refusal::Unsupported("its registers".into()));
    }
    let write = |RegisterValue { bar, register, value }: &RegisterValue| {
        let decoded = register.decode(*value);
        json!({"bar": bar, "offset": register.offset, "bytes": register.bytes, "value": value, "decoded": decoded})
    };
    let values: Vec<Value> = values.iter().map(write).collect();
    Ok(json!({"ok": true, "registers": values}))
}

fn bytes(function: &Function) -> Result<Value, Refusal> {
    if !function.card.lock().offers().bytes {
        return Err(Refusal::Unsupported("the bytes that the driver sends".into()));
    }
    let mut fits = budget(ANSWER_FRAME_BYTES);
    let (entries, lost) = function.shared.journal.take_entries(|entry| fits(ENTRY_FRAME_BYTES + 2 * entry.bytes.len()));
    let write = |Entry { time, bytes }| json!({"time_ns": time, "data": hex::encode(bytes)});
    let entries: Vec<Value> = entries.into_iter().map(write).collect();
    Ok(json!({"ok": true, "bytes": entries, "lost": lost}))
}

fn log(function: &Function) -> Value {
    let mut fits = budget(ANSWER_FRAME_BYTES);
    let (lines, lost) = function.shared.journal.take_lines(|line| fits(Value::from(line).to_string().len() + 1));
    json!({"ok": true, "lines": lines, "lost": lost})
}

fn midi_in(function: &Function, command: &Map<String, Value>) -> Result<Value, Refusal> {
    let mut card = function.card.lock();
    if !card.offers().midi_in {
        return Err(Refusal::Unsupported("a MIDI input".into()));
    }
    let data = command.get("data").and_then(Value::as_str);
    let data = data.ok_or_else(|| Refusal::Malformed("`midi-in` needs a string `data`".into()))?;
    let bytes = hex::decode(data)
        .map_err(|error| Refusal::Malformed(format!("`data` is not a row of hexadecimal bytes: {error}")))?;
    let journal = &function.shared.journal;
    // Before what follows from it.
    journal.taps.act(&Act::Received(&bytes));
    card.midi_in(&bytes).inspect_err(|refusal| journal.log(&format!("MIDI input is not taken: {refusal}")))?;
    Ok(json!({"ok": true}))
}

fn inject_fault(function: &Function, command: &Map<String, Value>) -> Result<Value, Refusal> {
    let mut card = function.card.lock();
    let offers = card.offers();
    if offers.faults.is_empty() {
        return Err(Refusal::Unsupported("injected faults".into()));
    }
    let members = command.get("fault").and_then(Value::as_object);
    let kind = members.and_then(|fault| fault.get("kind")).and_then(Value::as_str);
    let (Some(members), Some(kind)) = (members, kind) else {
        return Err(Refusal::Malformed("`inject-fault` needs an object `fault` with a string `kind`".into()));
    };
    if !offers.faults.contains(&kind) {
        let known = offers.faults.join(", ");
        return Err(Refusal::Unsupported(format!("the fault `{kind}`; it offers {known}")));
    }
    let fault = Fault { kind: kind.to_owned(), members: members.clone() };
    function.shared.journal.log(&format!("injected fault: {kind}"));
    card.inject_fault(&fault)?;
    Ok(json!({"ok": true}))
}
