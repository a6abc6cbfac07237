//! Probes deliveries that must not change the PCM: out of order, in pieces, in packages, on another channel group,
//! through the legacy MIDI pin.

use std::collections::BTreeMap;

use guest_protocol::{CheckMethod, Delivery, RuleState};

use super::context::Context;
use super::error::ProbeError;
use super::findings::Findings;
use crate::host::invocation;
use crate::playback::judge::{Judge, Judgement};
use crate::playback::{PlaybackError, PlaybackTest, StreamOptions, Verdict, run_playback};
use crate::sound::midi::{MidiEvent, Song};
use crate::sound::songs::BuiltIn;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::{MusicFormat, QUANTUM_DEFAULT, TestBedError};

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
    StreamOptions { delivery: Delivery::InOrder, piece_bytes: 0, channel_group: 1, music: None };

/// The rule of channel groups, which a synthesizer may have one of.
const CHANNEL_GROUPS: u16 = 46;

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
        rules: &[CHANNEL_GROUPS],
    },
    Way {
        song: "siren",
        text: "by the legacy MIDI pin, in raw pieces of 9 bytes",
        stream: StreamOptions { piece_bytes: 9, music: Some(MusicFormat::Midi), ..USUAL },
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

/// The command that repeats the probe.
const REPRODUCE: &str = "run contract --case playing";

/// Plays each delivery; what comes out must be what the song is, as the judge of the device has it.
pub(super) fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    // What fits another device than the project's card is found when it runs.
    let of_card = context.provisioned.device.is_card().then_some(&Judge::Offline);
    let judge = context.judge.or(of_card);
    let mut own = OwnPcm::default();
    for way in &WAYS {
        if way.rules.iter().all(|rule| is_inapplicable(*rule, findings)) {
            continue;
        }
        let Some(song) = BuiltIn::by_name(way.song) else { continue };
        let mut test = PlaybackTest {
            timeout: context.timeout,
            conditions: context.conditions,
            policy: context.policy.clone(),
            sample_rate: context.sample_rate,
            // A reference is that of one song, and these are others.
            judge: judge.map(|judge| match judge {
                Judge::Offline | Judge::MidiBytes { .. } => judge.clone(),
                Judge::Reference { .. } | Judge::Plays => Judge::Plays,
            }),
            stream: way.stream,
            quantum_frames: way.quantum,
            tail_ms: 500,
            ..PlaybackTest::of(begun_anew(song.song()?))
        };
        if test.judge != Some(Judge::Offline) && way.stream.music == Some(MusicFormat::Midi) {
            // So that its own PCM is that of the same times.
            test.song = test.song.in_whole_milliseconds();
        }
        let Some(verdict) = play(&test, context, folder, findings)? else { continue };
        let wrong = match (&verdict.judgement, &verdict.pcm_sha256) {
            (Judgement::Offline { difference: Some(difference), .. }, _) if !verdict.standstills.is_empty() => {
                return Err(PlaybackError::Differs(difference.frame).after(verdict.standstills).into());
            }
            (Judgement::Plays, None) => {
                let reason = "the driver gives no PCM, and the device does not say which bytes it received";
                way.rules.iter().for_each(|rule| findings.not_exercised(*rule, reason));
                continue;
            }
            (Judgement::Plays, Some(hash)) => match own.of(&test, context, folder, findings)? {
                Some(expected) => (expected != *hash).then(|| "the same song in order does".to_owned()),
                None => {
                    let reason =
                        "two playbacks of one song have different PCM, so that there is nothing to compare with";
                    way.rules.iter().for_each(|rule| findings.not_exercised(*rule, reason));
                    continue;
                }
            },
            (judgement, _) => (!judgement.passed()).then(|| format!("the song does: {}", judgement.text())),
        };
        if let Some(wrong) = wrong {
            return Err(ProbeError::Violated {
                rule: way.rules[0],
                what: format!(
                    "{} handed over {} does not come out as {wrong}; take the events' own times, flags and groups as what they \
                     are; {}",
                    way.song,
                    way.text,
                    folder.path().display()
                ),
            });
        }
        way.rules.iter().for_each(|rule| findings.held(*rule));
    }
    Ok(())
}

/// Returns whether the guest has said that a rule does not apply to the driver. It knows when a device has been started.
fn is_inapplicable(rule: u16, findings: &Findings) -> bool {
    let says = |state: &RuleState| state.number == rule && matches!(state.how, CheckMethod::NotApplicable(_));
    findings.rules.iter().any(says)
}

/// Plays, and notes what the guest found and how often rules held. `None` for a driver without the pin, or without as many
/// channel groups.
fn play(
    test: &PlaybackTest,
    context: &Context<'_>,
    folder: &RunFolder,
    findings: &mut Findings,
) -> Result<Option<Verdict>, ProbeError> {
    match run_playback(test, context.provisioned, folder, &invocation::command(REPRODUCE), context.observer) {
        Ok(mut verdict) => {
            for rule in std::mem::take(&mut verdict.rules) {
                match findings.rules.iter_mut().find(|known| known.number == rule.number) {
                    Some(known) => known.held = known.held.saturating_add(rule.held),
                    None => findings.rules.push(rule),
                }
            }
            findings.report.add(verdict.findings.clone());
            Ok(Some(verdict))
        }
        Err(failure) => {
            findings.report.add(failure.findings.clone());
            match failure.error {
                // A driver without that pin cannot play this delivery.
                PlaybackError::TestBed(TestBedError::NoPins { .. }) => Ok(None),
                PlaybackError::TestBed(TestBedError::ChannelGroups { has, .. }) => {
                    findings
                        .inapplicable(CHANNEL_GROUPS, &format!("the synthesizer has {has} channel group (SYNTHCAPS)"));
                    Ok(None)
                }
                error => Err(error.into()),
            }
        }
    }
}

/// The PCM that a driver gives of songs in order: what its other deliveries are compared with where there is no offline render.
#[derive(Default)]
struct OwnPcm(BTreeMap<(String, u32, bool), Option<String>>);

impl OwnPcm {
    /// Returns the hash of a test's song in order, on the DirectMusic pin; `None` if two playbacks differ.
    fn of(
        &mut self,
        test: &PlaybackTest,
        context: &Context<'_>,
        folder: &RunFolder,
        findings: &mut Findings,
    ) -> Result<Option<String>, ProbeError> {
        let key = (test.song.name.clone(), test.quantum_frames, test.stream.music == Some(MusicFormat::Midi));
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let in_order = PlaybackTest { stream: USUAL, ..test.clone() };
        let mut hash = || Ok::<_, ProbeError>(play(&in_order, context, folder, findings)?.and_then(|it| it.pcm_sha256));
        let (first, second) = (hash()?, hash()?);
        let same = first.filter(|first| second.as_ref() == Some(first));
        self.0.insert(key, same.clone());
        Ok(same)
    }
}
