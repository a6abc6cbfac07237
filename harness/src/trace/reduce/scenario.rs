//! Writes what is left of a recording as a scenario: the faults, the events, the downloads, and what must not come of them.

use card_control::fault::Trigger;
use card_control::{Command, InjectedFault};
use card_trace::{Act, Queue, RequestCode};
use serde_json::Value;

use super::candidate::{EventPart, Part, PartKind};
use crate::trace::failure::Failure;

/// Units of 100 ns in a millisecond, which is what scenarios have.
const UNITS_A_MS: i64 = 10_000;

/// Milliseconds that are played after the last event.
const TAIL_MS: u32 = 100;

/// Bytes of the header of a request.
const REQUEST_HEADER: usize = 16;

/// The step that opens the stream that downloads need, and that plays beside a capture stream.
const OPEN: &str = "\n[[step]]\nopen = { as = \"music\" }\n";

/// The step that opens the stream which captures what is sent.
const OPEN_CAPTURE: &str = "\n[[step]]\nopen = { as = \"in\", kind = \"capture\", state = \"run\" }\n";

/// What a scenario is made of besides the parts.
#[derive(Clone, Debug, Default)]
pub struct ScenarioParts<'s> {
    /// Its title.
    pub title: String,
    /// The lines that choose driver, card and machine.
    pub setting: &'s str,
    /// The time that the first events are played after, in units of 100 ns; that of the first of them, if absent.
    pub begins: Option<i64>,
}

/// What is left, in the order in which it happened.
enum Item<'p> {
    Play(Vec<&'p EventPart>),
    Fault(InjectedFault, Option<Trigger>),
    Download(&'p [u8]),
    /// A message that came in at the device's MIDI input, and its channel group.
    Send(String, u16),
    Disarm,
}

/// Returns the text of a scenario that does what is left of a recording, and fails as long as the failure is there; without one that the card
/// sees, it is in the guest, which stops.
#[must_use]
pub fn scenario(about: &ScenarioParts<'_>, parts: &[Part], failure: Option<&Failure>) -> String {
    let mut items = items(parts);
    let sends = items.iter().any(|item| matches!(item, Item::Send(..)));
    if !sends && !items.iter().any(|item| matches!(item, Item::Play(_) | Item::Download(_))) {
        // Streams that are opened, run and stop are all that is left.
        items.push(Item::Play(Vec::new()));
    }
    let mut text = format!("title = {}\n{}", Value::from(about.title.clone()), about.setting);
    if sends {
        text += OPEN_CAPTURE;
    }
    let opens = items.iter().any(|item| matches!(item, Item::Download(_)))
        || sends && items.iter().any(|item| matches!(item, Item::Play(_)));
    if opens {
        text += OPEN;
    }
    let mut downloads = 0;
    let mut plays = false;
    for item in &items {
        text += "\n[[step]]\n";
        match item {
            Item::Play(events) => {
                let is_first = !std::mem::replace(&mut plays, true);
                let begins = about.begins.filter(|_| is_first);
                text += &play(events, opens, begins);
            }
            Item::Send(message, group) => {
                let group = if *group > 1 { format!(", group = {group}") } else { String::new() };
                text += &format!("send = {{ messages = [\"{message}\"]{group} }}\n");
            }
            Item::Disarm => {
                text += &format!("host = {{ control = '{}' }}\n", Command::DisarmFaults {}.to_line().trim_end());
            }
            Item::Fault(fault, at) => text += &format!("fault = {}\n", fault_table(fault, at.as_ref())),
            Item::Download(data) => {
                downloads += 1;
                // The scenario goes on where the driver refuses it, to what the card found.
                let refused = if is_download(failure) { ", refused = true" } else { "" };
                text +=
                    &format!("download = {{ as = \"download {downloads}\", data = \"{}\"{refused} }}\n", spaced(data));
            }
        }
    }
    let expected = match (failure, plays) {
        (Some(Failure::Diagnosis { .. }), _) | (None, _) | (_, false) => "{ no_diagnosis = true }",
        _ => "{ bit_identical = true }",
    };
    text + &format!("\n[[step]]\nexpect = {expected}\n")
}

fn is_download(failure: Option<&Failure>) -> bool {
    matches!(failure, Some(Failure::Diagnosis { code, .. }) if *code == card_trace::Diagnosis::DOWNLOAD.0)
}

fn items(parts: &[Part]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for part in parts {
        if let PartKind::Event(event) = &part.kind {
            match items.last_mut() {
                Some(Item::Play(events)) => events.push(event),
                _ => items.push(Item::Play(vec![event])),
            }
            continue;
        }
        match part.record.act() {
            Act::Command { text } => match Command::from_line(text.as_bytes()) {
                Ok(Command::InjectFault { fault, at }) => items.push(Item::Fault(fault, at)),
                Ok(Command::DisarmFaults {}) => items.push(Item::Disarm),
                Ok(Command::MidiIn { data, group, .. }) => {
                    if let Ok(data) = hex::decode(data) {
                        items.push(Item::Send(spaced(&data), group));
                    }
                }
                _ => {}
            },
            Act::ChainTaken { queue: Queue::CONTROL, request, .. }
                if card_trace::request_code(request) == Some(RequestCode::DLS_DOWNLOAD) =>
            {
                items.push(Item::Download(request.get(REQUEST_HEADER..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    items
}

/// Returns the step that plays events, on the stream that was opened or on one of its own; a rest where there are none.
fn play(events: &[&EventPart], opened: bool, begins: Option<i64>) -> String {
    let first = begins.or_else(|| events.iter().map(|event| event.time).min()).unwrap_or(0);
    let lines = events.iter().map(|event| {
        let ms = event.time.saturating_sub(first).max(0) / UNITS_A_MS;
        let at = if ms > 0 { format!("ms = {ms}, ") } else { String::new() };
        let group = if event.group > 1 { format!(", group = {}", event.group) } else { String::new() };
        format!("    {{ {at}data = \"{}\"{group} }},\n", spaced(&event.data))
    });
    let mut lines: String = lines.collect();
    if lines.is_empty() {
        lines = "    { data = \"b0 7b 00\" },\n".into();
    }
    let stream = if opened { "stream = \"music\", " } else { "" };
    format!("play = {{ {stream}tail_ms = {TAIL_MS}, events = [\n{lines}] }}\n")
}

/// Returns bytes as the scenarios have them.
fn spaced(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Returns a fault as a table of TOML: the members of its JSON object, and those of its trigger.
fn fault_table(fault: &InjectedFault, at: Option<&Trigger>) -> String {
    let table = |value: Value| match value {
        Value::Object(members) => members.into_iter().map(|(key, value)| format!("{key} = {value}")).collect(),
        _ => Vec::new(),
    };
    let mut members: Vec<String> = table(serde_json::to_value(fault).unwrap_or_default());
    if let Some(at) = at {
        let at: Vec<String> = table(serde_json::to_value(at).unwrap_or_default());
        members.push(format!("at = {{ {} }}", at.join(", ")));
    }
    format!("{{ {} }}", members.join(", "))
}
