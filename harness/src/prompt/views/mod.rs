//! Views of driver, guest, card and machine, and what is said behind a step.

pub(super) mod counters;
pub(super) mod diag;
pub(super) mod filters;
pub(super) mod guest;
pub(super) mod live;
pub(super) mod machine;
pub(super) mod memory;
pub(super) mod pci;
mod place;
pub(super) mod queues;
pub(super) mod regs;
pub(super) mod trace;
pub(super) mod voices;

use serde_json::{Value, json};

use super::answer::Answer;
use super::properties;
use super::turn::Turn;
use super::words::{Words, text};
use crate::steps::document::CodedStatus;
use crate::steps::plan::Act;

/// Returns whether a view changes something, so that `again` does it again.
pub(super) fn changes(verb: &str) -> bool {
    matches!(verb, "poke" | "mw" | "qemu" | "mark")
}

/// Returns the step that a view is, where it is one.
pub(super) fn step_of(verb: &str, words: &Words) -> Option<String> {
    let line = words.0.join(" ");
    match verb {
        "qemu" => Some(format!(
            "host = {{ qmp = \"human-monitor-command\", arguments = {{ command-line = {} }} }}",
            text(&line)
        )),
        "mark" => {
            let command = json!({ "cmd": "mark", "text": words.0.join(" ") }).to_string();
            Some(format!("host = {{ control = {} }}", text(&command)))
        }
        _ => None,
    }
}

/// Returns what is said of a step that did what it says.
pub(super) fn after(turn: &mut Turn<'_, '_>, act: &Act, found: String) -> Answer {
    match act {
        Act::Load => loaded(turn, found),
        Act::Start | Act::Restart => started(turn, found),
        Act::Property(property) => {
            let Some((status, value)) = turn.steps.answered() else { return Answer::of_text(found) };
            let (status, bytes) = (CodedStatus(*status), hex::encode(value));
            let decoded = properties::decode_stored(&property.set.0, property.id, value);
            let words = match &decoded {
                None => String::new(),
                Some(Value::Object(members)) => {
                    members.iter().map(|(name, value)| format!("\n  {name} = {value}")).collect()
                }
                Some(value) => format!("\n  = {value}"),
            };
            let data =
                json!({ "status": status.0, "status_name": status.to_string(), "value": bytes, "decoded": decoded });
            Answer::new(format!("{status}, {} bytes: {bytes}{words}", bytes.len() / 2), data)
        }
        _ if found.is_empty() => Answer { text: "done".into(), data: Value::Null },
        _ => Answer::of_text(found),
    }
}

fn loaded(turn: &mut Turn<'_, '_>, found: String) -> Answer {
    let Some(driver) = turn.bed().driver() else { return Answer::of_text(found) };
    let imports: Vec<String> =
        driver.imports.iter().map(|import| format!("{}!{}", import.module, import.name)).collect();
    let text = format!(
        "the driver is loaded: {} bytes at {:#x}, {} imports, {}",
        driver.file_bytes,
        driver.base,
        imports.len(),
        found.trim_start_matches("the driver ")
    );
    let data = json!({
        "base": driver.base, "image_bytes": driver.image_bytes, "file_bytes": driver.file_bytes,
        "sha256": hex::encode(driver.sha256), "imports": imports,
    });
    Answer::new(text, data)
}

fn started(turn: &mut Turn<'_, '_>, found: String) -> Answer {
    let Some(device) = turn.bed().device() else { return Answer::of_text(found) };
    let resources: String = device.resources.iter().map(|resource| format!("  {resource}\n")).collect();
    let subdevices = device.subdevices.join(", ");
    let data = json!({ "device": device.device, "resources": device.resources, "subdevices": device.subdevices });
    Answer::new(format!("the device is started: {}\n{resources}subdevices: {subdevices}", device.device), data)
}

/// Returns an answer of the form that every book has: the words for people, and a list for programs.
fn listed(title: &str, rows: Vec<(String, Value)>) -> Answer {
    let (lines, data): (Vec<String>, Vec<Value>) = rows.into_iter().unzip();
    let text = if lines.is_empty() { format!("no {title}") } else { lines.join("\n") };
    Answer::new(text, json!({ title.replace(' ', "_"): data }))
}
