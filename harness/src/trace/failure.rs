//! What went wrong in a recording, as the card can see it.

use std::fmt;

use card_trace::{Act, Diagnosis, Queue, Record, Status, queue_name};
use serde::Serialize;

/// A failure that the card can see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// The card found an error of the driver.
    Diagnosis {
        /// Its code.
        code: u16,
        /// The name of the code.
        name: String,
        /// The queue, if it is on one.
        queue: Option<String>,
    },
    /// A request was answered with the status for a defect of the card, and no injected fault has done it.
    CardFailed {
        /// The name of the request.
        request: String,
    },
    /// An injected fault has struck, and what is in the wave buffers is not what it is without it.
    Sound,
    /// An injected fault has struck.
    Fault {
        /// The fault.
        fault: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diagnosis { name, queue: Some(queue), .. } => write!(f, "driver error {name} on {queue}"),
            Self::Diagnosis { name, queue: None, .. } => write!(f, "driver error {name}"),
            Self::CardFailed { request } => write!(f, "the card failed at {request}"),
            Self::Sound => f.write_str("sound that is other than without the injected faults"),
            Self::Fault { fault } => write!(f, "injected fault {fault}"),
        }
    }
}

/// Returns whether an error is found by the transport: a replay finds it again where the accesses to registers are recorded, and else reports what was
/// recorded.
#[must_use]
pub fn is_of_the_transport(code: u16) -> bool {
    matches!(
        Diagnosis(code),
        Diagnosis::CONFIG_WRITE
            | Diagnosis::REGISTER_ACCESS
            | Diagnosis::REGISTER_VALUE
            | Diagnosis::REGISTER_READ_ONLY
            | Diagnosis::BUS_MASTER_OFF
            | Diagnosis::QUEUE_NOT_READY
            | Diagnosis::MEMORY_LOST
    )
}

/// Returns the failure of an error.
fn diagnosis(code: u16, queue: Option<Queue>) -> Failure {
    Failure::Diagnosis { code, name: Diagnosis(code).to_string(), queue: queue.map(queue_name) }
}

/// Returns the failures in records, each once, in the order in which they are seen first; whether the sound is other takes two replays to tell.
#[must_use]
pub fn failures(records: &[Record]) -> Vec<Failure> {
    seen(records).into_iter().map(|(failure, _)| failure).collect()
}

/// Returns the failures as [`failures`] does, with the number of the record at which each is seen first.
#[must_use]
pub fn seen(records: &[Record]) -> Vec<(Failure, u64)> {
    let mut found: Vec<(Failure, u64)> = Vec::new();
    let mut asked = String::new();
    let mut excused = false;
    for record in records {
        let failure = match record.act() {
            Act::DriverError { code, queue, .. } => diagnosis(code, queue),
            Act::FaultStruck { text } => {
                excused |= text.starts_with("failing-command");
                Failure::Fault { fault: text.to_owned() }
            }
            Act::ChainTaken { queue: Queue::CONTROL, request, .. } => {
                asked = card_trace::request_code(request).map_or_else(String::new, |code| code.to_string());
                continue;
            }
            Act::ChainReturned { queue: Queue::CONTROL, answer, .. } => {
                let failed = card_trace::answer_status(answer) == Some(Status::CARD_FAILED);
                if !failed || std::mem::take(&mut excused) {
                    continue;
                }
                Failure::CardFailed { request: asked.clone() }
            }
            _ => continue,
        };
        if !found.iter().any(|(known, _)| *known == failure) {
            found.push((failure, record.number));
        }
    }
    found
}

/// Returns the failure that a recording is about: the first error of the driver or of the card, else the first injected fault.
#[must_use]
pub fn main_failure(found: &[Failure]) -> Option<&Failure> {
    found.iter().find(|failure| !matches!(failure, Failure::Fault { .. })).or_else(|| found.first())
}

/// Returns the number of the first record of a wave buffer that is other than in `plain`; a buffer that only one of them has is none.
#[must_use]
pub fn sound_differs_at(records: &[Record], plain: &[Record]) -> Option<u64> {
    buffers(records)
        .zip(buffers(plain))
        .find(|((_, buffer), (_, other))| buffer != other)
        .map(|((number, _), _)| number)
}

/// Returns the record, the frames and the hash of each wave buffer that is returned with sound. Where it is on the sample clock is no sound.
fn buffers(records: &[Record]) -> impl Iterator<Item = (u64, (u32, u64))> {
    records.iter().filter_map(|record| match record.act() {
        Act::WaveReturned { header, hash, .. } => {
            card_trace::wave_span(header).map(|span| (record.number, (span.frames, hash)))
        }
        _ => None,
    })
}
