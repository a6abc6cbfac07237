//! The commands that a client sends over the control socket, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::fault::{InjectedFault, Trigger};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Reads the card's [`Status`](crate::status::Status).
    Status {},
    /// Reads counters and the session's [running statistics](crate::status::Statistics).
    Stats {},
    /// Renders frames, on a card whose clock is lockstep. Answered with [`Advanced`](crate::answer::Advanced).
    Advance {
        /// How many frames, at most [`ADVANCE_FRAMES_MAX`](crate::limits::ADVANCE_FRAMES_MAX).
        frames: u64,
    },
    /// Takes the events that the card has taken from the driver since the last such command. Answered with
    /// [`TakenEvents`](crate::answer::TakenEvents).
    Events {},
    /// Captures a MIDI message for the driver, as if it came in at the card's MIDI input.
    MidiIn {
        /// The message, in hexadecimal.
        data: String,
        /// The channel group, from 1.
        #[serde(default = "first_group")]
        group: u16,
        /// Master time in 100 ns units; now, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<i64>,
    },
    /// Arms a fault.
    InjectFault {
        /// Which.
        fault: InjectedFault,
        /// When it becomes live; now, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Trigger>,
    },
    /// Disarms every fault that has not struck. Answered with [`Disarmed`](crate::answer::Disarmed).
    DisarmFaults {},
    /// Reads the voices that sound. Answered with [`Voices`](crate::answer::Voices).
    Voices {},
    /// Switches the recording of the trace.
    Record {
        /// Whether the card records from now on.
        on: bool,
    },
    /// Puts a mark into the trace.
    Mark {
        /// Its text, at most [`MARK_BYTES_MAX`](crate::limits::MARK_BYTES_MAX) bytes.
        text: String,
    },
    /// Ends the card's process.
    Shutdown {},
}

const fn first_group() -> u16 {
    1
}

impl Command {
    /// Returns the command that captures `message` now, for channel group `group` (from 1).
    #[must_use]
    pub fn midi_in(message: &[u8], group: u16) -> Self {
        Self::MidiIn { data: hex::encode(message), group, time: None }
    }

    /// Encodes the command as a line, with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        // No member can fail to be written: there are numbers, strings and unit variants only.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Decodes a line.
    ///
    /// # Errors
    /// What is wrong with a line that is not a JSON object with a known `cmd` and exactly its members.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::UsedRingCorruption;

    #[test]
    fn every_command_reads_back_as_it_was_written() {
        let corrupt = InjectedFault::CorruptUsedRing { corruption: UsedRingCorruption::UsedId, queue: 3 };
        for (command, line) in [
            (Command::Status {}, r#"{"cmd":"status"}"#),
            (Command::Stats {}, r#"{"cmd":"stats"}"#),
            (Command::Advance { frames: 480 }, r#"{"cmd":"advance","frames":480}"#),
            (Command::Events {}, r#"{"cmd":"events"}"#),
            (Command::midi_in(&[0x90, 60, 100], 1), r#"{"cmd":"midi-in","data":"903c64","group":1}"#),
            (
                Command::InjectFault { fault: InjectedFault::LoseSession {}, at: None },
                r#"{"cmd":"inject-fault","fault":{"kind":"lose-session"}}"#,
            ),
            (
                Command::InjectFault { fault: corrupt, at: None },
                r#"{"cmd":"inject-fault","fault":{"kind":"corrupt-used-ring","corruption":"used-id","queue":3}}"#,
            ),
            (
                Command::InjectFault {
                    fault: InjectedFault::LostInterrupt { queue: 3 },
                    at: Some(Trigger::Frame(4800)),
                },
                r#"{"cmd":"inject-fault","fault":{"kind":"lost-interrupt","queue":3},"at":{"frame":4800}}"#,
            ),
            (Command::DisarmFaults {}, r#"{"cmd":"disarm-faults"}"#),
            (Command::Voices {}, r#"{"cmd":"voices"}"#),
            (Command::Record { on: false }, r#"{"cmd":"record","on":false}"#),
            (Command::Mark { text: "take 2".into() }, r#"{"cmd":"mark","text":"take 2"}"#),
            (Command::Shutdown {}, r#"{"cmd":"shutdown"}"#),
        ] {
            assert_eq!(command.to_line(), format!("{line}\n"));
            assert_eq!(Command::from_line(line.as_bytes()).unwrap(), command);
        }
    }

    #[test]
    fn refuses_members_that_a_command_does_not_have() {
        for line in [r#"{"cmd":"status","frames":1}"#, r#"{"cmd":"advance"}"#, r#"{"cmd":"dance"}"#, "7"] {
            assert!(Command::from_line(line.as_bytes()).is_err(), "{line}");
        }
    }
}
