//! Who sounds: exclusivity, key groups, pedal and static voice priority (DLS-2.2, 1.3), predicted note by note by a
//! model that shares nothing with the synthesizer, over long random streams of messages.
//!
//! Every key has a wave of its own constant level and every channel a pan of its own, so that the two outputs say which
//! voices sound and how far each has decayed.

use std::f64::consts::FRAC_PI_2;

use crate::common::*;
use dls_synth::dls::spec::{REGION_SELF_NON_EXCLUSIVE, destination as d};
use dls_synth::dls::{Collection, Connection, Instrument, Patch, Region};
use dls_synth::{Synth, SynthConfig};

/// Frames a second.
const HERTZ: f64 = 48_000.0;
/// How long a shut-down voice takes from full level: 15 ms.
const SHUTDOWN: f64 = 0.015 * HERTZ;
/// Frames within which the synthesizer takes notice that a voice has died away.
const NOTICE: f64 = 128.0;
/// Frames after which nothing is left of a voice that was stolen or shut down.
const SETTLED: usize = 1200;

const FIRST_KEY: u8 = 60;
const KEYS: u8 = 12;

/// What the region of a key is like: two of each kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    exclusive: bool,
    key_group: u16,
    layers: usize,
    /// Seconds of release from full level.
    release: f64,
}

fn kind(key: u8) -> Kind {
    let plain = Kind { exclusive: true, key_group: 0, layers: 1, release: 40.0 };
    match (key - FIRST_KEY) / 2 {
        0 => plain,
        1 => Kind { release: 2.0, ..plain },
        2 => Kind { exclusive: false, ..plain },
        3 => Kind { key_group: 1, ..plain },
        4 => Kind { key_group: 2, exclusive: false, ..plain },
        5 => Kind { layers: 2, ..plain },
        _ => unreachable!("as many kinds as pairs of keys"),
    }
}

/// Returns the constant level of a key's wave. No sums of a few of these are alike.
fn level_of(key: u8) -> i16 {
    [401, 523, 647, 773, 911, 1049, 1187, 1321, 1453, 1597, 1733, 1871][usize::from(key - FIRST_KEY)]
}

fn bank() -> Collection {
    let region_of = |key: u8| {
        let Kind { exclusive, key_group, release, .. } = kind(key);
        Region {
            keys: (u16::from(key), u16::from(key)),
            options: if exclusive { 0 } else { REGION_SELF_NON_EXCLUSIVE },
            key_group,
            articulation: Some(vec![constant(d::EG1_RELEASE, time(release))] as Vec<Connection>),
            ..region(u32::from(key - FIRST_KEY), looped(0, 64))
        }
    };
    let keys = FIRST_KEY..FIRST_KEY + KEYS;
    let regions = keys.clone().flat_map(|key| (0..kind(key).layers).map(move |_| region_of(key))).collect();
    let waves = keys.map(|key| wave(&[level_of(key); 64])).collect();
    let mut collection = collection(regions, waves);
    let kit = Instrument { patch: Patch { drums: true, ..Patch::default() }, ..collection.instruments[0].clone() };
    collection.instruments.push(kit);
    collection
}

/// Life of a voice, from what gives way first to what gives way last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum VoiceState {
    ShutDown,
    Released,
    Sustained,
    Held,
}

#[derive(Clone, Debug)]
struct ModelVoice {
    group: u16,
    channel: u8,
    key: u8,
    serial: u64,
    state: VoiceState,
    /// Level, 1 to 0, at a frame, and what it loses each frame from then on.
    level: f64,
    since: f64,
    slope: f64,
}

impl ModelVoice {
    fn level_at(&self, frame: f64) -> f64 {
        self.level - (frame - self.since) * self.slope
    }

    fn fade(&mut self, state: VoiceState, frame: f64, time: f64) {
        (self.level, self.since, self.slope) = (self.level_at(frame), frame, 1.0 / time);
        self.state = state;
    }
}

/// What the specification, and the heuristic that the synthesizer documents, say.
struct Model {
    most: usize,
    voices: Vec<ModelVoice>,
    priority: Vec<[u32; 16]>,
    pedal: Vec<[bool; 16]>,
    static_allocation: bool,
    serial: u64,
    lost: u64,
    /// When the last voice died away.
    last_end: f64,
}

impl Model {
    fn new(most: usize, groups: usize) -> Self {
        let order = [10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16];
        let mut priority = [0; 16];
        for (place, channel) in order.iter().enumerate() {
            priority[channel - 1] = 0x8000_000F - place as u32;
        }
        Self {
            most,
            voices: Vec::new(),
            priority: vec![priority; groups],
            pedal: vec![[false; 16]; groups],
            static_allocation: true,
            serial: 0,
            lost: 0,
            last_end: f64::NEG_INFINITY,
        }
    }

    /// Forgets what has died away.
    fn pass(&mut self, frame: f64) {
        let count = self.voices.len();
        self.voices.retain(|voice| voice.level_at(frame) > 0.0);
        if self.voices.len() < count {
            self.last_end = frame;
        }
    }

    /// Returns whether a voice ends so near to a frame that it may or may not be counted there.
    fn is_unsure(&self, frame: f64) -> bool {
        self.last_end + NOTICE > frame || self.voices.iter().any(|v| v.level_at(frame + NOTICE) <= 0.0)
    }

    fn priority_of(&self, group: u16, channel: u8) -> u32 {
        if self.static_allocation { self.priority[usize::from(group)][usize::from(channel)] } else { 0 }
    }

    /// Returns which voice gives way to a note: never one of a channel that is more important; of the rest the least
    /// important channel's, there the one that is nearest to its end, the quietest, the oldest.
    fn stolen(&self, priority: u32, frame: f64) -> Option<usize> {
        let rank = |v: &ModelVoice| (self.priority_of(v.group, v.channel), v.state);
        let may = |v: &ModelVoice| v.serial != self.serial && self.priority_of(v.group, v.channel) <= priority;
        let candidates = self.voices.iter().enumerate().filter(|(_, v)| may(v));
        let least = candidates.min_by(|(_, a), (_, b)| {
            let by_level = a.level_at(frame).total_cmp(&b.level_at(frame));
            rank(a).cmp(&rank(b)).then(by_level).then(a.serial.cmp(&b.serial))
        });
        least.map(|(index, _)| index)
    }

    fn note_on(&mut self, group: u16, channel: u8, key: u8, frame: f64) {
        let kind = kind(key);
        self.serial += 1;
        for voice in self.voices.iter_mut().filter(|v| (v.group, v.channel) == (group, channel)) {
            let same_key = kind.exclusive && voice.key == key && voice.state >= VoiceState::Sustained;
            let same_group = kind.key_group != 0 && self::kind(voice.key).key_group == kind.key_group;
            if (same_key || same_group) && voice.state > VoiceState::ShutDown {
                voice.fade(VoiceState::ShutDown, frame, SHUTDOWN);
            }
        }
        let priority = self.priority_of(group, channel);
        let mut lost = false;
        for _ in 0..kind.layers {
            if self.voices.len() >= self.most {
                let Some(stolen) = self.stolen(priority, frame) else {
                    lost = true;
                    continue;
                };
                lost |= self.voices.remove(stolen).state >= VoiceState::Sustained;
            }
            let new = ModelVoice {
                group,
                channel,
                key,
                serial: self.serial,
                state: VoiceState::Held,
                level: 1.0,
                since: frame,
                slope: 0.0,
            };
            self.voices.push(new);
        }
        self.lost += u64::from(lost);
    }

    /// Returns whether the choice of a voice to steal depends on levels that cross within a few frames.
    fn is_close(&self, group: u16, channel: u8, frame: f64) -> bool {
        let priority = self.priority_of(group, channel);
        self.stolen(priority, frame) != self.stolen(priority, frame + NOTICE)
    }

    fn note_off(&mut self, group: u16, channel: u8, key: Option<u8>, frame: f64) {
        let pedal = self.pedal[usize::from(group)][usize::from(channel)];
        let here = |v: &&mut ModelVoice| (v.group, v.channel) == (group, channel) && v.state == VoiceState::Held;
        for voice in self.voices.iter_mut().filter(here).filter(|v| key.is_none_or(|key| v.key == key)) {
            if pedal {
                voice.state = VoiceState::Sustained;
            } else {
                voice.fade(VoiceState::Released, frame, kind(voice.key).release * HERTZ);
            }
        }
    }

    fn pedal(&mut self, group: u16, channel: u8, down: bool, frame: f64) {
        self.pedal[usize::from(group)][usize::from(channel)] = down;
        let here = |v: &&mut ModelVoice| (v.group, v.channel) == (group, channel) && v.state == VoiceState::Sustained;
        for voice in self.voices.iter_mut().filter(here).filter(|_| !down) {
            voice.fade(VoiceState::Released, frame, kind(voice.key).release * HERTZ);
        }
    }

    fn all_sound_off(&mut self, group: u16, channel: u8, frame: f64) {
        for voice in self.voices.iter_mut().filter(|v| (v.group, v.channel) == (group, channel)) {
            if voice.state > VoiceState::ShutDown {
                voice.fade(VoiceState::ShutDown, frame, SHUTDOWN);
            }
        }
    }

    /// Returns the expected values of the two outputs.
    fn outputs(&self, frame: f64) -> [f64; 2] {
        let mut sum = [0.0; 2];
        for voice in &self.voices {
            let amplitude =
                f64::from(level_of(voice.key)) / 32_768.0 * 10f64.powf(-96.0 / 20.0 * (1.0 - voice.level_at(frame)));
            let position = (f64::from(pan_of(voice.channel)) / 64.0 - 1.0) * 0.508;
            let (right, left) = (FRAC_PI_2 * (position + 0.5)).sin_cos();
            sum = [sum[0] + amplitude * left, sum[1] + amplitude * right];
        }
        sum
    }
}

fn pan_of(channel: u8) -> u8 {
    4 + 7 * channel
}

/// A run of the synthesizer beside the model.
struct Run {
    synth: Synth,
    model: Model,
    frame: usize,
    story: Vec<String>,
}

impl Run {
    fn new(voices: u16, channel_groups: u16) -> Self {
        let mut synth = plain_synth(SynthConfig { voices, channel_groups, ..dry() }, &bank());
        for group in 0..channel_groups {
            for channel in 0..16 {
                let status = 0xB0 | channel;
                for message in [[status, 7, FULL], [status, 91, 0], [status, 10, pan_of(channel)]] {
                    synth.midi(group, &message);
                }
            }
        }
        Self { synth, model: Model::new(voices.into(), channel_groups.into()), frame: 0, story: Vec::new() }
    }

    fn now(&self) -> f64 {
        self.frame as f64
    }

    fn wait(&mut self, frames: usize) -> [f32; 2] {
        let last = *render(&mut self.synth, frames).last().unwrap();
        self.frame += frames;
        self.model.pass(self.now());
        last
    }

    fn tell(&mut self, what: String) {
        self.story.push(format!("{}: {what}", self.frame));
    }

    /// Sends one random message to both.
    fn step(&mut self, random: &mut Random, layers: bool) {
        while self.model.is_unsure(self.now()) {
            self.wait(2 * NOTICE as usize);
        }
        let group = random.below(self.model.pedal.len()) as u16;
        // Few channels, so that they get in each other's way; the first and the last among them.
        let channel = [0, 1, 8, 9, 10, 15][random.below(6)];
        let key = FIRST_KEY + random.below(usize::from(KEYS) - if layers { 0 } else { 2 }) as u8;
        let now = self.now();
        match random.below(40) {
            0..=17 => {
                if self.model.is_close(group, channel, now) {
                    return;
                }
                self.tell(format!("on {group} {channel} {key}"));
                self.synth.midi(group, &[0x90 | channel, key, FULL]);
                self.model.note_on(group, channel, key, now);
            }
            18..=30 => {
                self.tell(format!("off {group} {channel} {key}"));
                self.synth.midi(group, &[0x80 | channel, key, 0]);
                self.model.note_off(group, channel, Some(key), now);
            }
            31..=34 => {
                let down = random.below(2) == 0;
                self.tell(format!("pedal {group} {channel} {down}"));
                self.synth.midi(group, &[0xB0 | channel, 64, if down { 64 } else { 63 }]);
                self.model.pedal(group, channel, down, now);
            }
            35 => {
                self.tell(format!("all sound off {group} {channel}"));
                self.synth.midi(group, &[0xB0 | channel, 120, 0]);
                self.model.all_sound_off(group, channel, now);
            }
            36 => {
                let mode = 123 + random.below(5) as u8;
                self.tell(format!("mode {mode} {group} {channel}"));
                self.synth.midi(group, &[0xB0 | channel, mode, 0]);
                self.model.note_off(group, channel, None, now);
            }
            37 => {
                let priority = [0x4000_0000, 0x8000_0007, 0x8000_000B, 0xC000_0000][random.below(4)];
                self.tell(format!("priority {group} {channel} {priority:x}"));
                self.synth.set_voice_priority(group, channel, priority).unwrap();
                self.model.priority[usize::from(group)][usize::from(channel)] = priority;
            }
            38 => {
                let on = random.below(2) == 0;
                self.tell(format!("static allocation {on}"));
                self.synth.midi(0, &[0xF0, 0x7E, 0x7F, 0x0A, if on { 4 } else { 3 }, 0xF7]);
                self.model.static_allocation = on;
            }
            // Nothing: a pause, in which some die away.
            _ => _ = self.wait(20_000),
        }
        let pause = [1, 5, 64, 300, 1500][random.below(5)];
        self.wait(pause);
    }

    /// Waits until what is on its way out is gone, and compares.
    fn compare(&mut self, lost: bool) {
        self.wait(SETTLED);
        while self.model.is_unsure(self.now()) {
            self.wait(2 * NOTICE as usize);
        }
        let found = self.wait(1);
        let expected = self.model.outputs(self.now() - 1.0);
        let recent = &self.story[self.story.len().saturating_sub(60)..];
        let about = || format!("{found:?} {expected:?}\n{:#?}\nafter\n{}", self.model.voices, recent.join("\n"));
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-5, "other voices sound than should: {}", about());
        }
        assert_eq!(self.synth.active_voices(), self.model.voices.len() as u32, "voices: {}", about());
        if lost {
            assert_eq!(self.synth.notes_lost(), self.model.lost, "lost notes: {}", about());
        }
    }
}

fn rounds(seed: u64, voices: u16, groups: u16, layers: bool) -> (u64, usize) {
    let mut random = Random(seed);
    let mut run = Run::new(voices, groups);
    for _ in 0..40 {
        for _ in 0..=random.below(40) {
            run.step(&mut random, layers);
        }
        // A note that takes two voices may cut two others short, and counts once.
        run.compare(!layers);
    }
    (run.model.lost, run.story.len())
}

#[test]
fn the_model_predicts_the_sounding_notes() {
    let (mut lost, mut messages) = (0, 0);
    for (seed, voices, groups) in [(1, 3, 1), (2, 5, 1), (3, 8, 1), (4, 4, 2), (5, 9, 3), (6, 1, 1), (7, 32, 2)] {
        let (l, m) = rounds(0x9E37_79B9 * seed, voices, groups, false);
        (lost, messages) = (lost + l, messages + m);
    }
    assert!(lost > 200 && messages > 4000, "the streams must be tight: {lost} of {messages} lost");
}

#[test]
fn the_model_predicts_the_sounding_notes_with_layers() {
    for (seed, voices, groups) in [(11, 3, 1), (12, 6, 2), (13, 10, 1)] {
        rounds(0x9E37_79B9 * seed, voices, groups, true);
    }
}

#[test]
fn drops_a_note_instead_of_stealing_from_a_higher_priority() {
    // Each channel in turn, from the most important to the least, meets a synthesizer full of the one before.
    let order = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15u8];
    for pair in order.windows(2) {
        for released in [false, true] {
            let mut run = Run::new(4, 1);
            for key in [60, 61, 62, 63] {
                run.synth.midi(0, &[0x90 | pair[0], key, FULL]);
                run.model.note_on(0, pair[0], key, 0.0);
            }
            run.wait(100);
            if released {
                run.synth.midi(0, &[0x80 | pair[0], 60, 0]);
                run.model.note_off(0, pair[0], Some(60), 100.0);
                run.wait(100);
            }
            run.synth.midi(0, &[0x90 | pair[1], 64, FULL]);
            run.compare(false);
            assert_eq!(run.synth.notes_lost(), 1, "channel {} after {}", pair[1] + 1, pair[0] + 1);
            // The other way round it is played at once.
            run.synth.midi(0, &[0x90 | 9, 65, FULL]);
            let now = run.now();
            run.model.note_on(0, 9, 65, now);
            run.compare(false);
        }
    }
}
