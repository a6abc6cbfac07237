//! The answers of the control socket, one JSON object a line: `{"ok":true, ...}` or `{"ok":false,"error":"..."}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Answers a command that has nothing to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Answers `advance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advanced {
    /// The next frame to render.
    pub position: i64,
}

/// Answers `disarm-faults`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarmed {
    /// How many faults were armed.
    pub disarmed: usize,
}

/// A voice that sounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Voice {
    /// Its lane, which no other voice has while it sounds.
    pub lane: usize,
    /// The channel group, from 0.
    pub group: u16,
    /// The channel, 0 to 15.
    pub channel: u8,
    /// The key, 0 to 127.
    pub note: u8,
    /// The velocity of its note-on.
    pub velocity: u8,
    /// The program, 0 to 127.
    pub program: u8,
    /// The bank: CC0 and CC32.
    pub bank: (u8, u8),
    /// Whether the program is a drum kit.
    pub drums: bool,
    /// Whether its note has not ended.
    pub held: bool,
    /// The frame at which it has started.
    pub frame: i64,
}

/// Answers `voices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Voices {
    /// The frame that is rendered next; `None` where the driver has no session.
    pub position: Option<i64>,
    /// The voices, in the order of their lanes.
    pub voices: Vec<Voice>,
}

/// An event that the card has taken from the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenEvent {
    /// The driver's time stamp: master time in 100 ns units.
    pub time: i64,
    /// The stream.
    pub stream: u32,
    /// The channel group, from 1; 0 is all of them.
    pub group: u16,
    /// The message in hexadecimal, or the fragment of a system-exclusive message that the driver sent in one record.
    pub data: String,
}

/// Answers `events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenEvents {
    /// The events, in the order in which the card took them: at most [`EVENTS_AN_ANSWER_MAX`](crate::limits::EVENTS_AN_ANSWER_MAX).
    pub events: Vec<TakenEvent>,
    /// Bytes of events that were dropped since the last answer, because more came than are kept.
    pub lost: u64,
    /// Another `events` gives more.
    pub more: bool,
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The card refused the command, or failed at it.
    #[error("the card refuses: {0}")]
    Refused(String),
    /// The line is not an answer to this command.
    #[error("the card's answer `{line}` is not understood: {source}")]
    Malformed {
        /// The line.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[derive(Serialize)]
struct Accepted<'a, T> {
    ok: bool,
    #[serde(flatten)]
    result: &'a T,
}

#[derive(Serialize)]
struct Refused<'a> {
    ok: bool,
    error: &'a str,
}

/// Encodes the answer to a command that was carried out, as a line with its end.
///
/// # Errors
/// The result cannot be written as a JSON object: it is no struct, or one of its members is a map with other keys than
/// strings.
pub fn accepted<T: Serialize>(result: &T) -> Result<Vec<u8>, serde_json::Error> {
    line(&Accepted { ok: true, result })
}

/// Encodes the answer to a command that was not carried out, as a line with its end.
///
/// # Errors
/// None in practice: the answer has two members that can always be written.
pub fn refused(error: &str) -> Result<Vec<u8>, serde_json::Error> {
    line(&Refused { ok: false, error })
}

fn line(answer: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    Ok(text)
}

/// Decodes an answer: `T` is the result of the command that was sent.
///
/// # Errors
/// [`AnswerError::Refused`] when the card says that it did not carry out the command, [`AnswerError::Malformed`] when the
/// line is no answer, or has no `T`.
pub fn from_line<T: DeserializeOwned>(line: &str) -> Result<T, AnswerError> {
    #[derive(Deserialize)]
    struct Outcome {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    let malformed = |source| AnswerError::Malformed { line: line.trim_end().to_owned(), source };
    let outcome: Outcome = serde_json::from_str(line).map_err(malformed)?;
    if outcome.ok { serde_json::from_str(line).map_err(malformed) } else { Err(AnswerError::Refused(outcome.error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_reads_back_as_it_was_written() {
        let line = String::from_utf8(accepted(&Advanced { position: 960 }).unwrap()).unwrap();
        assert_eq!(line, "{\"ok\":true,\"position\":960}\n");
        assert_eq!(from_line::<Advanced>(&line).unwrap(), Advanced { position: 960 });
        assert_eq!(accepted(&Done {}).unwrap(), b"{\"ok\":true}\n");
        assert_eq!(from_line::<Done>(&line).unwrap(), Done {}, "members that a client does not know are passed over");
    }

    #[test]
    fn a_refusal_is_an_error_with_the_cards_reason() {
        let line = String::from_utf8(refused("there is no session").unwrap()).unwrap();
        assert_eq!(line, "{\"ok\":false,\"error\":\"there is no session\"}\n");
        match from_line::<Advanced>(&line) {
            Err(AnswerError::Refused(error)) => assert_eq!(error, "there is no session"),
            other => panic!("{other:?}"),
        }
        for line in ["", "7", r#"{"position":960}"#, r#"{"ok":true}"#] {
            assert!(matches!(from_line::<Advanced>(line), Err(AnswerError::Malformed { .. })), "{line}");
        }
    }
}
