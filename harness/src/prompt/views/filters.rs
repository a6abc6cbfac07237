//! The driver's filters: pins, data ranges, nodes.

use guest_protocol::{DataRange, PinFactory, Request};
use serde_json::{Value, json};

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::document::nearest;

fn range(range: &DataRange) -> String {
    match *range {
        DataRange::DirectMusic => "DirectMusic".into(),
        DataRange::Midi => "MIDI".into(),
        DataRange::Pcm { sample_rate_min, sample_rate_max, channels, bits, bits_min } => {
            let bits = if bits == bits_min { format!("{bits}") } else { format!("{bits_min} to {bits}") };
            format!("PCM {sample_rate_min} to {sample_rate_max} Hz, {channels} channels, {bits} bits")
        }
        DataRange::Other => "another format".into(),
    }
}

const fn communication(value: u32) -> &'static str {
    match value {
        0 => "none",
        1 => "sink",
        2 => "source",
        3 => "both",
        4 => "bridge",
        _ => "unknown",
    }
}

fn pin(number: usize, pin: &PinFactory) -> (String, Value) {
    let flow = if pin.flow_in { "in" } else { "out" };
    let ranges: Vec<String> = pin.data_ranges.iter().map(range).collect();
    let kind = communication(pin.communication);
    let text = format!("  pin {number}: {flow}, {kind}, {} at most, carries {}", pin.instances, ranges.join("; "));
    let data = json!({
        "pin": number, "flow": flow, "communication": kind, "instances": pin.instances, "data_ranges": ranges,
    });
    (text, data)
}

/// Writes a GUID as people do.
fn guid(stored: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, i, j, rest @ ..] = *stored;
    format!(
        "{:08X}-{:04X}-{:04X}-{i:02X}{j:02X}-{}",
        u32::from_le_bytes([a, b, c, d]),
        u16::from_le_bytes([e, f]),
        u16::from_le_bytes([g, h]),
        hex::encode_upper(rest)
    )
}

/// Shows all filters, or one.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(1)?;
    let device = turn.guest()?.device().cloned();
    let device = device.ok_or_else(|| Refusal::usage("the device is not started: `start` it first"))?;
    let names = match words.get(0) {
        None => device.subdevices.clone(),
        Some(name) if device.subdevices.contains(&name) => vec![name],
        Some(name) => {
            let hint = nearest(&name, device.subdevices.iter().map(String::as_str)).map_or_else(
                || format!("there is {}", device.subdevices.join(", ")),
                |word| format!("did you mean `{word}`?"),
            );
            return Err(Refusal::usage(format!("no subdevice is called `{name}`: {hint}")));
        }
    };
    let (mut lines, mut data) = (Vec::new(), Vec::new());
    for name in names {
        let opened = turn.bed().session.open_filter(&name);
        let opened = opened.map_err(|error| turn.steps.explain("open a filter", error.into()))?;
        let path = if opened.data_path { "" } else { " (the guest has no data path for its streams)" };
        lines.push(format!("{name}{path}"));
        let (texts, pins): (Vec<_>, Vec<_>) =
            opened.pins.iter().enumerate().map(|(number, of)| pin(number, of)).unzip();
        lines.extend(texts);
        let nodes: Vec<String> = opened.nodes.iter().map(guid).collect();
        lines.extend(nodes.iter().enumerate().map(|(number, kind)| format!("  node {number}: {kind}")));
        data.push(json!({ "name": name, "pins": pins, "nodes": nodes, "data_path": opened.data_path }));
        turn.ask("close a filter", Request::Close(opened.handle))?;
    }
    Ok(Answer::new(lines.join("\n"), json!({ "filters": data })))
}
