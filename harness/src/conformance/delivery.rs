//! Probes deliveries that must not change the PCM: out of order, in pieces, in packages, on another channel group,
//! through the legacy MIDI pin.

use guest_protocol::Delivery;

use super::context::Context;
use super::error::ProbeError;
use super::findings::Findings;
use crate::playback::{PlaybackError, PlaybackTest, StreamOptions, run_playback};
use crate::sound::midi::{MidiEvent, Song};
use crate::sound::songs::BuiltIn;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::{QUANTUM_DEFAULT, TestBedError};

/// A song, its delivery, and the rules that show in its PCM.
struct Way {
    song: &'static str,
    text: &'static str,
    stream: StreamOptions,
    /// Frames of a request to the wave stream: events in them are delivered before.
    quantum: u32,
    rules: &'static [u16],
}

const USUAL: StreamOptions =
    StreamOptions { delivery: Delivery::InOrder, piece_bytes: 0, channel_group: 1, midi_pin: false };

/// Half a second: long enough for events of one delivery to change places.
const QUANTUM_LONG: u32 = 24_000;

/// A message in the middle of each song after which all channels begin anew, which is audible: General MIDI System On,
/// with bytes behind it that mean nothing, thirteen in all, so that pieces of three are joined from the data in events,
/// and pieces of nine from a buffer and a rest.
const BEGIN_ANEW: [u8; 13] = [0xF0, 0x7E, 0x7F, 0x09, 0x01, 0, 0, 0, 0, 0, 0, 0, 0xF7];

const WAYS: [Way; 6] = [
    Way {
        song: "siren",
        text: "the latest first",
        stream: StreamOptions { delivery: Delivery::Reversed, ..USUAL },
        quantum: QUANTUM_LONG,
        rules: &[51],
    },
    Way {
        song: "siren",
        text: "the latest first, messages in pieces of 3 bytes",
        stream: StreamOptions { delivery: Delivery::Reversed, piece_bytes: 3, ..USUAL },
        quantum: QUANTUM_LONG,
        rules: &[45, 51],
    },
    Way {
        song: "siren",
        text: "messages in pieces of 9 bytes, in buffers and in events",
        stream: StreamOptions { piece_bytes: 9, ..USUAL },
        quantum: QUANTUM_DEFAULT,
        rules: &[42, 45],
    },
    Way {
        song: "clockwork",
        text: "in packages",
        stream: StreamOptions { delivery: Delivery::Packages, ..USUAL },
        quantum: QUANTUM_DEFAULT,
        rules: &[44],
    },
    Way {
        song: "tide",
        text: "on channel group 2",
        stream: StreamOptions { channel_group: 2, ..USUAL },
        quantum: QUANTUM_DEFAULT,
        rules: &[46],
    },
    Way {
        song: "siren",
        text: "by the legacy MIDI pin, in raw pieces of 9 bytes",
        stream: StreamOptions { piece_bytes: 9, midi_pin: true, ..USUAL },
        quantum: QUANTUM_DEFAULT,
        rules: &[45],
    },
];

/// Returns the song with [`BEGIN_ANEW`] in its middle.
fn begun_anew(mut song: Song) -> Song {
    let time = song.end / 2;
    let place = song.events.partition_point(|event| event.time < time);
    let channel_group = song.events.first().map_or(1, |event| event.channel_group);
    song.events.insert(place, MidiEvent { time, channel_group, bytes: BEGIN_ANEW.to_vec() });
    song
}

/// Plays each delivery; the PCM must be the offline render's, bit for bit.
pub(super) fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    for way in &WAYS {
        let Some(song) = BuiltIn::by_name(way.song) else { continue };
        let test = PlaybackTest {
            timeout: context.timeout,
            conditions: context.conditions,
            stream: way.stream,
            quantum_frames: way.quantum,
            tail_ms: 500,
            ..PlaybackTest::of(begun_anew(song.song()?))
        };
        let reproduce = "cargo dmus run contract --case playing";
        match run_playback(&test, context.provisioned, folder, reproduce, context.observer) {
            Ok(verdict) => {
                for rule in verdict.rules {
                    match findings.rules.iter_mut().find(|known| known.number == rule.number) {
                        Some(known) => known.held = known.held.saturating_add(rule.held),
                        None => findings.rules.push(rule),
                    }
                }
                if let Some(difference) = verdict.difference
                    && !verdict.standstills.is_empty()
                {
                    return Err(PlaybackError::Differs(difference.frame).after(verdict.standstills).into());
                }
                if !verdict.bit_identical {
                    return Err(ProbeError::Violated {
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
                // A driver without that pin cannot play this delivery.
                PlaybackError::TestBed(TestBedError::NoPins { .. }) => {}
                error => return Err(error.into()),
            },
        }
    }
    Ok(())
}
