//! One record as a line.

use card_trace::{Detail, Record, describe, queue_name};
use serde_json::{Value, json};

/// Returns a record as a line for people; with [`Detail::Full`] more lines may follow, indented.
#[must_use]
pub fn text_line(record: &Record, detail: Detail) -> String {
    let source = record.source.name().unwrap_or("?");
    let text = describe(&record.act(), detail).replace('\n', "\n                                ");
    format!("{:>10} {:>12.6} ms {source:<7} {text}", record.number, record.time as f64 / 1e6)
}

/// Returns a record as a JSON object.
#[must_use]
pub fn json_line(record: &Record, detail: Detail) -> Value {
    json!({
        "number": record.number,
        "time_ns": record.time,
        "source": record.source.name(),
        "kind": record.kind.name(),
        "queue": record.act().queue().map(queue_name),
        "text": describe(&record.act(), detail),
    })
}
