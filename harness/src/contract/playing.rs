//! Songs handed over in ways that nobody must hear: out of order, in pieces, in packages, on another channel group, by the
//! legacy pin.

use guest_protocol::Manner;

use super::{Context, Findings, Setback};
use crate::artefacts::RunFolder;
use crate::failure::Error;
use crate::perform::{Delivery, Performance, PerformanceError, perform};
use crate::songs::BuiltIn;

/// A song, how it is handed over, and the rules that show in its sound.
struct Way {
    song: &'static str,
    text: &'static str,
    delivery: Delivery,
    rules: &'static [u16],
}

const USUAL: Delivery = Delivery { manner: Manner::InOrder, piece_bytes: 0, channel_group: 1, midi_pin: false };

/// Master volume is a message of eight bytes, so pieces of three put it together from what lies in events; what is longer
/// than nine comes in a buffer and a rest.
const WAYS: [Way; 5] = [
    Way {
        song: "siren",
        text: "the latest first, messages in pieces of 3 bytes",
        delivery: Delivery { manner: Manner::Reversed, piece_bytes: 3, ..USUAL },
        rules: &[45, 51],
    },
    Way {
        song: "siren",
        text: "messages in pieces of 9 bytes, in buffers and in events",
        delivery: Delivery { piece_bytes: 9, ..USUAL },
        rules: &[42, 45],
    },
    Way {
        song: "clockwork",
        text: "in packages",
        delivery: Delivery { manner: Manner::Packages, ..USUAL },
        rules: &[44],
    },
    Way { song: "tide", text: "on channel group 2", delivery: Delivery { channel_group: 2, ..USUAL }, rules: &[46] },
    Way {
        song: "siren",
        text: "by the legacy MIDI pin, in raw pieces of 9 bytes",
        delivery: Delivery { piece_bytes: 9, midi_pin: true, ..USUAL },
        rules: &[45],
    },
];

/// Plays each way; the sound must be the offline render's, bit for bit.
pub(super) fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), Setback> {
    for way in &WAYS {
        let Some(song) = BuiltIn::by_name(way.song) else { continue };
        let performance = Performance {
            timeout: context.timeout,
            conditions: context.conditions,
            delivery: way.delivery,
            tail_ms: 500,
            ..Performance::of(song.song()?)
        };
        let reproduce = "cargo dmus run contract --case playing";
        match perform(&performance, context.stage, folder, reproduce, context.observer) {
            Ok(verdict) => {
                for rule in verdict.rules {
                    match findings.rules.iter_mut().find(|known| known.number == rule.number) {
                        Some(known) => known.held = known.held.saturating_add(rule.held),
                        None => findings.rules.push(rule),
                    }
                }
                if !verdict.bit_identical {
                    return Err(Setback::Broken {
                        rule: way.rules[0],
                        what: format!(
                            "{} handed over {} sounds other than the offline render, from frame {} on: take the events' own times, \
                             flags and groups as what they are; {}",
                            way.song,
                            way.text,
                            verdict.difference.map_or(0, |difference| difference.frame),
                            folder.path().display()
                        ),
                    });
                }
                way.rules.iter().for_each(|rule| findings.held(*rule));
            }
            Err(failure) => match failure.error {
                // A driver without that pin cannot play that way.
                Error::Performance(PerformanceError::NoPins { .. }) => {}
                error => return Err(Setback::Failed(error)),
            },
        }
    }
    Ok(())
}
