//! A voice that sounds: one region of one note. How its control values move is [`super::control`]'s business.

use std::sync::Arc;

use super::aim::Aim;
use super::articulation::{Articulation, Inputs, Mix, NoteTimes};
use super::lead::Lead;
use super::oscillator::{self, Tables};
use super::sample::Cursor;
use super::zone::{Output, Zone};
use crate::channel::Channel;
use crate::dls::collection::{Patch, Wave};

/// Time from 0 dB to -96 dB of a voice that gives way to another: as short as goes without a click.
const STOLEN_SECONDS: f32 = 0.010;

/// Powers of 2 of an amplitude in a decibel.
const OCTAVES_PER_DECIBEL: f64 = core::f64::consts::LOG2_10 / 20.0;

/// The stage of a voice's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum VoiceState {
    /// Cut off for want of voices; not counted any more.
    Stolen,
    /// Ended by a note of its key or key group, or by All Sound Off.
    ShutDown,
    /// After note-off.
    Released,
    /// After note-off, held by the pedal.
    Sustained,
    /// Its key is down.
    Held,
}

/// The values that all voices share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) sample_rate: u32,
    /// See [`super::filter::octaves_offset`].
    pub(crate) octaves_offset: f64,
    /// DirectMusic's gain of every voice, in powers of 2 of the amplitude.
    pub(crate) volume: f32,
}

impl Surroundings {
    /// Sets DirectMusic's gain of every voice, in dB.
    pub(crate) fn set_volume(&mut self, decibels: f64) {
        self.volume = (decibels * OCTAVES_PER_DECIBEL) as f32;
    }

    /// Returns half the sample rate, in cents above MIDI key 0.
    fn nyquist_cents(&self) -> f64 {
        1200.0 * (8.0 - self.octaves_offset)
    }
}

/// The pitch of a phase-locked region comes from its master alone (DLS-2.2, 1.10).
struct PitchMaster {
    articulation: Arc<Articulation>,
    key: i32,
}

/// How the volume envelope goes to release.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fade {
    /// In the voice's release time.
    Release,
    /// In so many frames from level 1 to level 0.
    Within(f32),
}

/// The changes of a voice since its control values were last computed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    /// The volume envelope goes to release.
    pub(crate) fade: Option<Fade>,
    /// The modulation envelope goes to release.
    pub(crate) released: bool,
    /// Something that the voice's connections may depend on has changed.
    pub(crate) channel: bool,
}

/// One sounding region.
pub(crate) struct Voice {
    // Fixed when the note starts.
    pub(crate) group: u16,
    pub(crate) channel: u8,
    pub(crate) note: u8,
    pub(crate) patch: Patch,
    /// The number of the note-on that started it; layers have the same.
    pub(crate) serial: u64,
    pub(crate) key_group: u16,
    /// Handles of the downloads that it sounds from; 0 for none.
    pub(crate) sources: [u32; 2],
    /// The frame at which it starts.
    pub(crate) started: u64,
    pub(crate) times: NoteTimes,
    /// The master's times that move its pitch, if it is phase-locked to a master with other ones.
    pub(crate) lead: Option<Lead>,
    /// Whether it needs a filter.
    pub(crate) filtered: bool,
    key: i32,
    pub(crate) velocity: u8,
    articulation: Arc<Articulation>,
    pitch_master: Option<PitchMaster>,
    output: Output,
    unity_cents: f64,
    rate: f64,
    gain: f64,
    // Where it is.
    pub(crate) state: VoiceState,
    pub(crate) cursor: Cursor,
    /// The interpolator's tables. `None`: no frame has been rendered yet.
    pub(crate) tables: Option<Tables>,
    /// Whether it has not sounded yet.
    pub(crate) fresh: bool,
    changes: Changes,
    due: bool,
}

/// A note: its channel, key and velocity, and the download that it plays from.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) group: u16,
    pub(crate) channel: u8,
    pub(crate) note: u8,
    pub(crate) velocity: u8,
    /// What the channel had selected.
    pub(crate) patch: Patch,
    pub(crate) serial: u64,
    pub(crate) instrument_handle: u32,
}

impl Voice {
    /// Starts a region at a frame. `master` is the region, and its key, that rules the pitch when it is not the region
    /// itself.
    pub(crate) fn start(
        note: Note,
        (zone, key): (&Zone, i32),
        master: Option<(&Zone, i32)>,
        (wave, wave_handle): (Arc<Wave>, u32),
        channel: &Channel,
        (surroundings, frame): (&Surroundings, u64),
    ) -> Self {
        let inputs = |key| Inputs { channel, note: note.note, key, velocity: note.velocity };
        let rate = surroundings.sample_rate;
        let times = zone.articulation.note_times(&inputs(key), rate);
        let pitch_zone = master.map_or(zone, |(master, _)| master);
        let lead_of = |times: NoteTimes| Lead { eg2: times.eg2, lfo: times.lfo, vibrato: times.vibrato };
        let lead = master.map(|(master, key)| lead_of(master.articulation.note_times(&inputs(key), rate)));
        let open = zone.articulation.stays_open(&inputs(key), surroundings.nyquist_cents());
        Self {
            group: note.group,
            channel: note.channel,
            note: note.note,
            patch: note.patch,
            serial: note.serial,
            key_group: zone.key_group,
            sources: [note.instrument_handle, wave_handle],
            started: frame,
            times,
            lead: lead.filter(|lead| *lead != lead_of(times)),
            filtered: !open,
            key,
            velocity: note.velocity,
            articulation: zone.articulation.clone(),
            pitch_master: master.map(|(zone, key)| PitchMaster { articulation: zone.articulation.clone(), key }),
            output: zone.output,
            unity_cents: pitch_zone.unity_cents,
            rate: f64::from(pitch_zone.wave_rate) / f64::from(rate),
            gain: zone.gain,
            state: VoiceState::Held,
            cursor: Cursor::new(wave, zone.sample_loop.clone()),
            tables: None,
            fresh: true,
            changes: Changes { channel: true, ..Changes::default() },
            due: true,
        }
    }

    /// Notes that an input of the voice's connections has changed.
    pub(crate) fn channel_changed(&mut self) {
        self.changes.channel = true;
        self.due = true;
    }

    /// Handles a note-off: envelopes go to release, and a loop until release ends.
    pub(crate) fn release(&mut self) {
        if self.state <= VoiceState::Released {
            return;
        }
        self.state = VoiceState::Released;
        self.cursor.release();
        self.changes.released = true;
        self.fade(Fade::Release);
    }

    /// Ends the voice in its shutdown time.
    pub(crate) fn shut_down(&mut self) {
        if self.state > VoiceState::ShutDown {
            self.state = VoiceState::ShutDown;
            self.fade(Fade::Within(self.times.shutdown));
        }
    }

    /// Ends the voice as fast as goes without a click, and gives its place in the count away.
    pub(crate) fn steal(&mut self, sample_rate: u32) {
        self.state = VoiceState::Stolen;
        self.fade(Fade::Within(STOLEN_SECONDS * sample_rate as f32));
    }

    fn fade(&mut self, fade: Fade) {
        self.changes.fade = Some(fade);
        self.due = true;
    }

    /// Returns whether its control values must be worked out before the next frame.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// Takes the changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        self.due = false;
        core::mem::take(&mut self.changes)
    }

    /// Evaluates the voice's times for its channel, where the channel has a part in them. Returns whether it has.
    pub(crate) fn retime(&mut self, channel: &Channel, surroundings: &Surroundings) -> bool {
        if !self.articulation.times_move() {
            return false;
        }
        let inputs = Inputs { channel, note: self.note, key: self.key, velocity: self.velocity };
        self.times = self.articulation.note_times(&inputs, surroundings.sample_rate);
        true
    }

    /// Evaluates the voice's connections for its channel.
    pub(crate) fn aim(&self, channel: &Channel, surroundings: &Surroundings) -> Aim {
        let inputs = |key| Inputs { channel, note: self.note, key, velocity: self.velocity };
        let modulation = self.articulation.modulation(&inputs(self.key));
        let pitch = match &self.pitch_master {
            Some(master) => master.articulation.modulation(&inputs(master.key)).pitch,
            None => modulation.pitch,
        };
        let octaves = |mix: &Mix, unit: f64| [mix.lfo, mix.vibrato, mix.eg2].map(|part| (part * unit) as f32);
        let based = |base: f64, [lfo, vibrato, eg2]: [f32; 3]| [base as f32, lfo, vibrato, eg2];
        let cutoff = modulation.cutoff.base / 1200.0 + surroundings.octaves_offset;
        let angle = core::f64::consts::FRAC_PI_2 * (modulation.pan + 0.5);
        let (left, right) = match self.output {
            Output::Panned => (libm::cos(angle), libm::sin(angle)),
            Output::Left => (libm::cos(angle), 0.0),
            Output::Right => (0.0, libm::sin(angle)),
        };
        let outputs = [left, right, modulation.reverb, modulation.chorus];
        Aim {
            pitch: octaves(&pitch, 1.0 / 1200.0),
            step: oscillator::unbent_step(pitch.base + channel.master_cents() - self.unity_cents, self.rate),
            gain: based(
                (modulation.gain.base + self.gain) * OCTAVES_PER_DECIBEL,
                octaves(&modulation.gain, OCTAVES_PER_DECIBEL),
            ),
            volume: surroundings.volume + (channel.master.volume * OCTAVES_PER_DECIBEL) as f32,
            cutoff: based(cutoff, octaves(&modulation.cutoff, 1.0 / 1200.0)),
            outputs: outputs.map(|output| (output * oscillator::SCALE) as f32),
        }
    }
}
