//! What the card found wrong with the driver, and what the guest noted without stopping.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::machine::DeviceDiagnosis;
use crate::playback::DeviceReport;

/// Shows what card or device found wrong with the driver, and what the guest noted.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(0)?;
    let mut lines = Vec::new();
    let mut data = json!({});
    match turn.card() {
        Ok(_) => {
            let status = turn.status()?;
            let found = status.diagnosis;
            lines.push(format!("the card found {} errors of the driver in this session", found.count));
            if let Some(first) = &found.first {
                let queue = first.queue.as_deref().map_or_else(String::new, |queue| format!(" on queue {queue}"));
                lines.push(format!(
                    "first: {}{queue}, at {:.3} ms: expected {}, got {}: {}",
                    first.code,
                    first.card_time as f64 / 1e4,
                    first.expected,
                    first.got,
                    first.text
                ));
            }
            lines.extend(found.by_code.iter().map(|(code, count)| format!("  {count} x {code}")));
            let faults = &status.faults;
            lines.extend(faults.struck.iter().map(|struck| {
                format!("fault struck: {} at event {}, frame {}", struck.fault, struck.event, struck.frame)
            }));
            data["card"] = json!(found);
            data["faults"] = json!(faults);
        }
        Err(_) => of_device(turn, &mut lines, &mut data),
    }
    let findings = turn.bed().findings();
    let of_guest = findings.lines();
    lines.push(format!("the guest noted {} violations and notes without stopping", of_guest.len()));
    data["guest"] = json!(of_guest);
    lines.extend(of_guest);
    Ok(Answer::new(lines.join("\n"), data))
}

/// Adds what another device says, where it says something.
fn of_device(turn: &mut Turn<'_, '_>, lines: &mut Vec<String>, data: &mut serde_json::Value) {
    let name = turn.bed().device_name();
    match turn.bed().device_control().map(DeviceReport::of) {
        None => lines.push(format!("{name} has no control socket, and says nothing")),
        Some(Err(error)) => lines.push(error.to_string()),
        Some(Ok(None)) => lines.push(format!("{name} does not offer `status`, and says nothing")),
        Some(Ok(Some(report))) => {
            let DeviceDiagnosis { count, first, codes } = &report.diagnosis;
            lines.push(format!("{name} found {count} errors of the driver"));
            lines.extend(first.as_ref().map(|first| format!("first: {}", first.text())));
            lines.extend(codes.iter().map(|(code, count)| format!("  {count} x {code}")));
            lines.extend(report.counters.iter().map(|(name, value)| format!("  {name} = {value}")));
            data["device"] = json!(report);
        }
    }
}
