//! A voice that sounds: one region of one note, and how its control values move from tick to tick.
//!
//! Control values are worked out for the ends of stretches of frames. A stretch ends at the next tick (a multiple of
//! [`TICK`] frames since the synthesizer was made or reset) or at a frame at which something happens to the voice,
//! never at the end of a render call. Within a stretch gains and filter move in a straight line.

use std::sync::Arc;

use super::articulation::{Articulation, Inputs, Mix, Modulation, NoteTimes};
use super::envelope::Envelope;
use super::filter::{Coefficients, Resonance};
use super::lfo::Lfo;
use super::oscillator;
use super::sample::Cursor;
use crate::channel::Channel;
use crate::dls::collection::Wave;
use crate::kernel::interpolation::UNITY;
use crate::kernel::{Group, TICK};
use crate::math;
use crate::program::{Output, Zone};

/// Greatest gain of one voice on one output: DirectMusic's +6 dB.
const GAIN_MAX: f64 = 1.995_262_314_968_879_5;

/// From the oscillator's units (a 16-bit sample times [`UNITY`]) to full scale 1.
const SCALE: f64 = 1.0 / (UNITY as f64 * 32_768.0);

/// Time from 0 dB to -96 dB of a voice that gives way to another: as short as goes without a click.
const STOLEN_SECONDS: f64 = 0.010;

/// Which part of its life a voice is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
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

/// What all voices share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) sample_rate: u32,
    /// See [`super::filter::octaves_offset`].
    pub(crate) octaves_offset: f32,
    /// What DirectMusic adds to every voice, in dB.
    pub(crate) volume: f64,
}

impl Surroundings {
    /// Half the sample rate, in cents above MIDI key 0.
    fn nyquist_cents(&self) -> f64 {
        1200.0 * (8.0 - f64::from(self.octaves_offset))
    }
}

/// What moves by itself.
#[derive(Clone, Copy, Debug)]
struct Motion {
    eg1: Envelope,
    eg2: Envelope,
    lfo: Lfo,
    vibrato: Lfo,
}

impl Motion {
    fn start(times: &NoteTimes) -> Self {
        Self {
            eg1: Envelope::start(&times.eg1),
            eg2: Envelope::start(&times.eg2),
            lfo: Lfo::start(&times.lfo),
            vibrato: Lfo::start(&times.vibrato),
        }
    }

    // Inlined, or the processor waits for what was just written to be read back in other pieces.
    #[inline(always)]
    fn advance(&self, times: &NoteTimes, frames: u32) -> Self {
        Self {
            eg1: self.eg1.advance(&times.eg1, f64::from(frames)),
            eg2: self.eg2.advance(&times.eg2, f64::from(frames)),
            lfo: self.lfo.advance(&times.lfo, frames),
            vibrato: self.vibrato.advance(&times.vibrato, frames),
        }
    }

    /// A destination's value.
    fn value(&self, mix: &Mix, times: &NoteTimes) -> f64 {
        let mut value = mix.base;
        if mix.lfo != 0.0 {
            value += mix.lfo * f64::from(self.lfo.value());
        }
        if mix.vibrato != 0.0 {
            value += mix.vibrato * f64::from(self.vibrato.value());
        }
        if mix.eg2 != 0.0 {
            value += mix.eg2 * self.eg2.value(&times.eg2);
        }
        value
    }
}

/// Why a voice's control values have to be worked out before the tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// They need not.
    No,
    /// A controller jumped: gains get a whole tick's time to follow, so that nothing clicks.
    Smoothly,
    /// An envelope went to another stage. Its level does not jump, so that its slope can change at once.
    AtOnce,
}

/// The pitch of a phase-locked region comes from its master alone (DLS-2.2, 1.10).
struct PitchMaster {
    articulation: Arc<Articulation>,
    key: i32,
}

/// One sounding region.
pub(crate) struct Voice {
    // Fixed when the note starts.
    pub(crate) group: u16,
    pub(crate) channel: u8,
    pub(crate) note: u8,
    /// Which note-on it came from; layers have the same.
    pub(crate) serial: u64,
    pub(crate) key_group: u8,
    /// Handles of the downloads that it sounds from; 0 for none.
    pub(crate) sources: [u32; 2],
    key: i32,
    velocity: u8,
    articulation: Arc<Articulation>,
    pitch_master: Option<PitchMaster>,
    times: NoteTimes,
    filter: Option<&'static Resonance>,
    output: Output,
    unity_cents: f64,
    rate: f64,
    gain: f64,
    // What the channel makes of it.
    modulation: Modulation,
    modulation_stale: bool,
    /// Gain of the four buses (left, right, reverb, chorus) by pan and sends.
    outputs: [f64; 4],
    /// The whole gain but for the envelope, when no oscillator moves it.
    steady_gain: f64,
    // Where it is.
    pub(crate) stage: Stage,
    pub(crate) step: u64,
    pub(crate) cursor: Cursor,
    now: Motion,
    now_frame: u64,
    next: Motion,
    next_frame: u64,
    due: Due,
    fresh: bool,
    /// The pitch in cents at the next tick, so that it need not be worked out again there.
    next_cents: Option<f64>,
    /// Where the gains must be at the next tick; `None` when they only get part of the way.
    target: Option<[f32; 4]>,
}

/// Who plays a note, and from which download.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) group: u16,
    pub(crate) channel: u8,
    pub(crate) note: u8,
    pub(crate) velocity: u8,
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
        let mut times = zone.articulation.note_times(&inputs(key), rate);
        let pitch_zone = master.map_or(zone, |(master, _)| master);
        if let Some((master, key)) = master {
            let lead = master.articulation.note_times(&inputs(key), rate);
            (times.lfo, times.vibrato, times.eg2) = (lead.lfo, lead.vibrato, lead.eg2);
        }
        let modulation = zone.articulation.modulation(&inputs(key));
        let open = !zone.articulation.cutoff_moves && modulation.cutoff.base >= surroundings.nyquist_cents();
        let filtered = zone.articulation.filtered && !open;
        let motion = Motion::start(&times);
        Self {
            group: note.group,
            channel: note.channel,
            note: note.note,
            serial: note.serial,
            key_group: zone.key_group,
            sources: [note.instrument_handle, wave_handle],
            key,
            velocity: note.velocity,
            articulation: zone.articulation.clone(),
            pitch_master: master.map(|(zone, key)| PitchMaster { articulation: zone.articulation.clone(), key }),
            filter: filtered.then(|| Resonance::of(times.resonance)),
            times,
            output: zone.output,
            unity_cents: pitch_zone.unity_cents,
            rate: f64::from(pitch_zone.wave_rate) / f64::from(rate),
            gain: zone.gain,
            modulation,
            modulation_stale: true,
            outputs: [0.0; 4],
            steady_gain: 0.0,
            stage: Stage::Held,
            step: 0,
            cursor: Cursor::new(wave, zone.sample_loop.clone()),
            now: motion,
            now_frame: frame,
            next: motion,
            next_frame: frame,
            due: Due::AtOnce,
            fresh: true,
            next_cents: None,
            target: None,
        }
    }

    /// Brings what moves by itself to a frame.
    fn sync(&mut self, frame: u64) {
        if frame == self.now_frame {
            return;
        }
        if frame == self.next_frame {
            self.now = self.next;
        } else {
            self.now = self.now.advance(&self.times, (frame - self.now_frame) as u32);
        }
        self.now_frame = frame;
    }

    /// Something that the voice's connections may depend on has changed.
    pub(crate) fn channel_changed(&mut self) {
        self.modulation_stale = true;
        self.due = self.due.max(Due::Smoothly);
    }

    /// Note-off: envelopes go to release, a loop until release ends.
    pub(crate) fn release(&mut self, frame: u64) {
        if self.stage <= Stage::Released {
            return;
        }
        self.stage = Stage::Released;
        self.cursor.release();
        let (eg1, eg2) = (self.times.eg1.release, self.times.eg2.release);
        self.fade(frame, eg1);
        let level = self.now.eg2.level_for_release(&self.times.eg2, false);
        self.now.eg2.release(level, eg2);
    }

    /// Ends the voice in its shutdown time.
    pub(crate) fn shut_down(&mut self, frame: u64) {
        if self.stage > Stage::ShutDown {
            self.stage = Stage::ShutDown;
            self.fade(frame, self.times.shutdown);
        }
    }

    /// Ends the voice as fast as goes without a click, and gives its place in the count away.
    pub(crate) fn steal(&mut self, frame: u64, sample_rate: u32) {
        self.stage = Stage::Stolen;
        self.fade(frame, STOLEN_SECONDS * f64::from(sample_rate));
    }

    fn fade(&mut self, frame: u64, time: f64) {
        self.sync(frame);
        let level = self.now.eg1.level_for_release(&self.times.eg1, true);
        self.now.eg1.release(level, time);
        self.due = Due::AtOnce;
    }

    /// How loud it is, for the choice of a voice to steal: the envelope's level.
    pub(crate) fn level(&self) -> f64 {
        self.next.eg1.value(&self.times.eg1)
    }

    /// Whether nothing is left to hear. Asked at ticks only.
    pub(crate) fn is_over(&self) -> bool {
        self.now.eg1.is_done(&self.times.eg1) || self.cursor.ended()
    }

    /// Whether the mix needs the filter for it.
    pub(crate) fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether control values must be worked out before the next frame.
    pub(crate) fn is_due(&self) -> bool {
        self.due != Due::No
    }

    /// Arrives at a tick: gains are where they had to be.
    pub(crate) fn arrive(&mut self, frame: u64, group: &mut Group, lane: usize) {
        self.sync(frame);
        if let Some(target) = self.target.take() {
            set_gains(group, lane, target);
        }
        for y in [&mut group.y1.0[lane], &mut group.y2.0[lane]] {
            // Far below what a 16-bit sample can say; keeps the filter from running into denormal numbers.
            if y.abs() < 1e-6 {
                *y = 0.0;
            }
        }
    }

    /// Works out the stretch from `frame` to the next tick.
    pub(crate) fn aim(
        &mut self,
        frame: u64,
        channel: &Channel,
        surroundings: &Surroundings,
        (group, lane): (&mut Group, usize),
    ) {
        let arrived = frame == self.next_frame;
        self.sync(frame);
        let left = TICK as u32 - (frame % TICK as u64) as u32;
        self.next = self.now.advance(&self.times, left);
        self.next_frame = frame + u64::from(left);
        let stale = self.modulation_stale;
        if stale {
            self.modulate(channel, surroundings);
        }
        if stale || self.modulation.pitch.moves() {
            let now = self.next_cents.filter(|_| arrived && !stale);
            self.step = self.pitch(now);
        }
        if self.fresh {
            set_gains(group, lane, self.gains(&self.now, surroundings));
        }
        let target = self.gains(&self.next, surroundings);
        let follows = self.due == Due::Smoothly && !self.fresh && left < TICK as u32;
        let over = if follows { 1.0 / TICK as f32 } else { 1.0 / left as f32 };
        aim_gains(group, lane, target, over);
        self.target = (!follows).then_some(target);
        if let Some(resonance) = self.filter {
            let coefficients = |motion: &Motion| self.coefficients(resonance, motion, surroundings);
            if self.fresh {
                group.set_filter(lane, coefficients(&self.now));
            }
            group.aim_filter(lane, coefficients(&self.next), over);
        }
        (self.due, self.fresh) = (Due::No, false);
    }

    fn modulate(&mut self, channel: &Channel, surroundings: &Surroundings) {
        self.modulation_stale = false;
        let inputs = |key| Inputs { channel, note: self.note, key, velocity: self.velocity };
        self.modulation = self.articulation.modulation(&inputs(self.key));
        if let Some(master) = &self.pitch_master {
            self.modulation.pitch = master.articulation.modulation(&inputs(master.key)).pitch;
        }
        let angle = core::f64::consts::FRAC_PI_2 * (self.modulation.pan + 0.5);
        let (left, right) = (libm::cos(angle), libm::sin(angle));
        let (left, right) = match self.output {
            Output::Panned => (left, right),
            Output::Left => (left, 0.0),
            Output::Right => (0.0, right),
        };
        self.outputs = [left, right, self.modulation.reverb, self.modulation.chorus];
        self.steady_gain = self.total_gain(self.modulation.gain.base, surroundings);
    }

    /// The voice's gain but for the envelope, from the gain connections' sum in dB.
    fn total_gain(&self, connections: f64, surroundings: &Surroundings) -> f64 {
        // DLS: what is connected never amplifies. DirectMusic's own gains come after.
        math::amplitude((connections + self.gain).min(0.0) + surroundings.volume)
    }

    /// The step for the stretch: pitch half way between its ends. `now` is the pitch at its beginning, if known.
    fn pitch(&mut self, now: Option<f64>) -> u64 {
        let mix = &self.modulation.pitch;
        let cents = if mix.moves() {
            let now = now.unwrap_or_else(|| self.now.value(mix, &self.times));
            let next = self.next.value(mix, &self.times);
            self.next_cents = Some(next);
            0.5 * (now + next)
        } else {
            mix.base
        };
        oscillator::step(cents - self.unity_cents, self.rate)
    }

    fn gains(&self, motion: &Motion, surroundings: &Surroundings) -> [f32; 4] {
        let mix = &self.modulation.gain;
        let steady =
            if mix.moves() { self.total_gain(motion.value(mix, &self.times), surroundings) } else { self.steady_gain };
        let amplitude = steady * motion.eg1.amplitude(&self.times.eg1);
        self.outputs.map(|output| ((output * amplitude).min(GAIN_MAX) * SCALE) as f32)
    }

    fn coefficients(&self, resonance: &Resonance, motion: &Motion, surroundings: &Surroundings) -> Coefficients {
        let cents = motion.value(&self.modulation.cutoff, &self.times);
        resonance.at((cents * (1.0 / 1200.0)) as f32 + surroundings.octaves_offset)
    }
}

fn set_gains(group: &mut Group, lane: usize, gains: [f32; 4]) {
    for (ramp, gain) in [&mut group.left, &mut group.right, &mut group.reverb, &mut group.chorus].into_iter().zip(gains)
    {
        ramp.value.0[lane] = gain;
        ramp.step.0[lane] = 0.0;
    }
}

fn aim_gains(group: &mut Group, lane: usize, gains: [f32; 4], over: f32) {
    for (ramp, gain) in [&mut group.left, &mut group.right, &mut group.reverb, &mut group.chorus].into_iter().zip(gains)
    {
        ramp.step.0[lane] = (gain - ramp.value.0[lane]) * over;
    }
}

/// Empties a lane.
pub(crate) fn clear_lane(group: &mut Group, lane: usize) {
    set_gains(group, lane, [0.0; 4]);
    group.set_filter(lane, Coefficients::OPEN);
    (group.y1.0[lane], group.y2.0[lane]) = (0.0, 0.0);
}
