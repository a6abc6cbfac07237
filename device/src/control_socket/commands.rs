//! Carries out the commands of the control socket.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_control::Command;
use card_control::answer::{Advanced, Disarmed, Done};
use card_control::limits::{ADVANCE_FRAMES_MAX, MARK_BYTES_MAX};
use card_control::status::Statistics;
use serde::Serialize;

use crate::card::{Link, NoAnswer, status};

/// Frames that `advance` renders between two looks at the queues, so that a driver's requests are answered meanwhile.
const ADVANCE_SLICE: u64 = 4096;

/// Carries out the command in a line, and encodes its answer. `stopping` tells whether the process is about to end;
/// `shutdown` is set when the command ends it.
pub(super) fn answer(
    link: &Link,
    line: &[u8],
    stopping: impl Fn() -> bool,
    shutdown: &mut bool,
) -> Result<Vec<u8>, String> {
    let command = Command::from_line(line).map_err(|error| format!("not a command: {error}"))?;
    let gone = |error: NoAnswer| error.to_string();
    // On the card's thread, so that it stands where it takes effect among what the driver does.
    let recorded = command.clone();
    match command {
        Command::Status {} => accepted(&link.with_card(|card| status::status(card)).map_err(gone)?),
        Command::Stats {} => {
            let statistics = link.with_card(|card| card.session().map(status::running_statistics)).map_err(gone)?;
            accepted(&Statistics { counters: status::counters(&link.registers), statistics })
        }
        Command::Voices {} => accepted(&link.with_card(|card| status::voices(card)).map_err(gone)?),
        Command::Advance { frames } => {
            if frames > ADVANCE_FRAMES_MAX {
                return Err(format!("{frames} frames are more than {ADVANCE_FRAMES_MAX} at once"));
            }
            let mut left = frames;
            loop {
                let most = left.min(ADVANCE_SLICE);
                let advanced = link.with_card(move |card| {
                    card.service();
                    card.advance(most)
                });
                let advanced = advanced.map_err(gone)?.map_err(|error| error.to_string())?;
                left = left.saturating_sub(advanced.frames);
                if left == 0 {
                    return accepted(&Advanced { position: advanced.position });
                }
                if stopping() {
                    return Err(format!("the card is stopping; {left} of {frames} frames are not rendered"));
                }
            }
        }
        Command::Events {} => accepted(&link.with_card(|card| card.take_events()).map_err(gone)?),
        Command::MidiIn { data, group, time } => {
            let data = hex::decode(&data).map_err(|_| format!("`{data}` is not a row of hexadecimal bytes"))?;
            // When the client has its answer the driver has the message, if it has posted a buffer.
            let captured = link.with_card(move |card| {
                card.registers().trace().command(&recorded);
                let captured = card.capture(group, &data, time);
                card.service();
                captured
            });
            let captured = captured.map_err(gone)?;
            captured.map_err(|error| error.to_string())?;
            accepted(&Done {})
        }
        Command::InjectFault { fault, at } => {
            let injected = link.with_card(move |card| {
                card.registers().trace().command(&recorded);
                card.inject(fault, at)
            });
            injected.map_err(gone)?.map_err(|error| error.to_string())?;
            accepted(&Done {})
        }
        Command::DisarmFaults {} => {
            let disarmed = link.with_card(move |card| {
                card.registers().trace().command(&recorded);
                card.disarm_faults()
            });
            let disarmed = disarmed.map_err(gone)?;
            accepted(&Disarmed { disarmed })
        }
        Command::Mark { text } => {
            if text.len() > MARK_BYTES_MAX {
                return Err(format!("a mark of {} bytes is longer than {MARK_BYTES_MAX}", text.len()));
            }
            match link.registers.trace().mark(&text) {
                true => accepted(&Done {}),
                false => Err("the card records no trace; start it with --trace FILE".into()),
            }
        }
        // On the card's thread, so that no act of the card's is recorded in part.
        Command::Record { on } => {
            match link.with_card(move |card| card.registers().trace().switch(on)).map_err(gone)? {
                true => accepted(&Done {}),
                false => Err("the card records no trace; start it with --trace FILE".into()),
            }
        }
        Command::Shutdown {} => {
            *shutdown = true;
            accepted(&Done {})
        }
    }
}

fn accepted(result: &impl Serialize) -> Result<Vec<u8>, String> {
    card_control::answer::accepted(result).map_err(|error| error.to_string())
}
