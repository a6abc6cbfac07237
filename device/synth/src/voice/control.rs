//! The control values of a group of voices, side by side, from tick to tick.
//!
//! Control values are worked out for the ends of stretches of frames. A stretch ends at the next tick (a multiple of
//! [`TICK`] frames since the synthesizer was made or reset) or at a frame at which something happens to the voice,
//! never at the end of a render call. Within a stretch gains and filter move in a straight line.
//!
//! Each lane's numbers are computed from its own by additions and multiplications in a written order, so that a voice
//! sounds the same in any lane, beside any other, and with any instruction set. Work that only few lanes have at a time
//! (an envelope's next stage, a controller's move) is done lane by lane.

use super::active::{Fade, Surroundings, Voice, VoiceState};
use super::aim::Aim;
use super::envelope::{Envelope, Envelopes, Kind};
use super::filter::{self, Resonance};
use super::leads::Leads;
use super::lfo::Lfos;
use super::oscillator;
use crate::channel::{CHANNELS, Channel};
use crate::lanes::{Filtering, Group, LANES, Lane, LaneSet, OPEN_COEFFICIENTS, Sends, TICK, blend, lanes_of};
use crate::math::{exp2_single, least};

/// Greatest gain of one voice on one output: DirectMusic's +6 dB, from the oscillator's units.
const GAIN_MAX: f32 = (1.995_262_314_968_879_5 * oscillator::SCALE) as f32;

/// Below this a filter's output is silence, far below one step of a 16-bit sample; in the oscillator's units. Keeps
/// the filter from running into denormal numbers.
const SILENCE: f32 = 1e-6;

/// One destination's value as a function of what moves by itself, in powers of 2.
#[derive(Clone, Copy, Debug, Default)]
struct Mixes {
    base: Lane,
    lfo: Lane,
    vibrato: Lane,
    eg2: Lane,
}

impl Mixes {
    #[inline(always)]
    fn values(&self, sources: &Sources) -> Lane {
        let mut values = Lane::default();
        for i in 0..LANES {
            let oscillators = self.lfo.0[i] * sources.lfo.0[i] + self.vibrato.0[i] * sources.vibrato.0[i];
            values.0[i] = self.base.0[i] + (oscillators + self.eg2.0[i] * sources.eg2.0[i]);
        }
        values
    }
}

/// The values of the moving sources at one frame.
#[derive(Clone, Copy)]
struct Sources {
    lfo: Lane,
    vibrato: Lane,
    eg2: Lane,
    eg1: Lane,
    /// See [`Envelopes::levels`].
    range: Lane,
}

/// The frame that voices are brought to, and their surroundings.
pub(crate) struct Moment<'a> {
    pub(crate) frame: u64,
    /// Whether `frame` is a tick that is come to now.
    pub(crate) arrives: bool,
    pub(crate) channels: &'a [[Channel; CHANNELS]],
    pub(crate) surroundings: &'a Surroundings,
}

/// The control values of one group of voices.
pub(crate) struct Control {
    /// The frame at which each lane's state is, its lower 32 bits.
    now: [u32; LANES],
    eg1: Envelopes,
    eg2: Envelopes,
    lfo: Lfos,
    vibrato: Lfos,
    /// For lanes whose pitch another's oscillators and envelope move.
    leads: Leads,
    pitch: Mixes,
    gain: Mixes,
    cutoff: Mixes,
    /// Gains that are added to what the connections come to.
    volumes: Lane,
    /// Steps without what moves by itself.
    unbent: [f64; LANES],
    /// The moving sources' part of the pitch at the end of the stretch.
    bend: Lane,
    outputs: [Lane; 4],
    /// Gains at the next tick, for lanes that get there.
    gain_targets: [Lane; 4],
    /// Filter coefficients at the next tick, for lanes that get there.
    filter_targets: [Lane; 3],
    /// Lanes that get to their targets at the next tick, and not only part of the way.
    arriving: LaneSet,
    resonances: [&'static Resonance; LANES],
    /// Lanes whose cutoff moves by itself.
    sweeping: LaneSet,
    /// Lanes that have a filter.
    filtered: LaneSet,
    /// Lanes with a connection from an oscillator.
    swinging: LaneSet,
    /// Lanes that have a voice.
    pub(crate) taken: LaneSet,
    /// Lanes whose wave has come to its end.
    pub(crate) ended: LaneSet,
    /// Steps for the stretch, in 1/2^32 samples a frame.
    pub(crate) steps: [u64; LANES],
}

impl Control {
    /// Makes the control values of a group without voices.
    pub(crate) fn new() -> Self {
        let zero = Lane::default();
        let mut control = Self {
            now: [0; LANES],
            eg1: Envelopes::done(),
            eg2: Envelopes::done(),
            lfo: Lfos::default(),
            vibrato: Lfos::default(),
            leads: Leads::new(),
            pitch: Mixes::default(),
            gain: Mixes::default(),
            cutoff: Mixes::default(),
            volumes: zero,
            unbent: [0.0; LANES],
            bend: zero,
            outputs: [zero; 4],
            gain_targets: [zero; 4],
            filter_targets: [zero; 3],
            arriving: 0,
            resonances: [Resonance::of(0.0); LANES],
            sweeping: 0,
            filtered: 0,
            swinging: 0,
            taken: 0,
            ended: 0,
            steps: [0; LANES],
        };
        (0..LANES).for_each(|lane| control.clear(lane));
        control
    }

    /// Puts a new voice in a lane.
    pub(crate) fn start(&mut self, lane: usize, voice: &Voice) {
        let (times, bit) = (&voice.times, 1 << lane);
        self.now[lane] = voice.started as u32;
        self.eg1.set(lane, Envelope::start(&times.eg1), &times.eg1);
        self.eg2.set(lane, Envelope::start(&times.eg2), &times.eg2);
        self.lfo.start(lane, &times.lfo);
        self.vibrato.start(lane, &times.vibrato);
        self.taken |= bit;
        if let Some(lead) = &voice.lead {
            self.leads.start(lane, lead);
        }
        if voice.filtered {
            self.resonances[lane] = times.resonance.table();
            self.filtered |= bit;
        }
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.eg1.clear(lane);
        self.eg2.clear(lane);
        self.leads.clear(lane);
        self.aim_at(lane, &Aim { cutoff: [filter::OPEN, 0.0, 0.0, 0.0], ..Aim::default() });
        self.resonances[lane] = Resonance::of(0.0);
        self.gain_targets.iter_mut().for_each(|target| target.0[lane] = 0.0);
        // A voice without a filter does not change these, and may be beside one that has a filter.
        self.filter_targets.iter_mut().zip(OPEN_COEFFICIENTS).for_each(|(target, c)| target.0[lane] = c);
        for set in [&mut self.taken, &mut self.ended, &mut self.filtered, &mut self.arriving] {
            *set &= !(1 << lane);
        }
    }

    /// Returns how loud a lane's voice is at a frame, by its volume envelope, for the choice of a voice to steal.
    pub(crate) fn level(&self, lane: usize, voice: &Voice, frame: u64) -> f32 {
        let ahead = (frame as u32).wrapping_sub(self.now[lane]);
        self.eg1.get(lane).advance(&voice.times.eg1, ahead as f32).level()
    }

    /// Returns whether a lane's voice has a filter.
    fn is_filtered(&self, lane: usize) -> bool {
        self.filtered & (1 << lane) != 0
    }

    fn aim_at(&mut self, lane: usize, aim: &Aim) {
        let cutoff = if self.is_filtered(lane) { aim.cutoff } else { [filter::OPEN, 0.0, 0.0, 0.0] };
        let pitch = [0.0, aim.pitch[0], aim.pitch[1], aim.pitch[2]];
        for (mixes, values) in [(&mut self.pitch, pitch), (&mut self.gain, aim.gain), (&mut self.cutoff, cutoff)] {
            mixes.base.0[lane] = values[0];
            mixes.lfo.0[lane] = values[1];
            mixes.vibrato.0[lane] = values[2];
            mixes.eg2.0[lane] = values[3];
        }
        self.volumes.0[lane] = aim.volume;
        self.unbent[lane] = aim.step;
        for (outputs, output) in self.outputs.iter_mut().zip(aim.outputs) {
            outputs.0[lane] = output;
        }
        let bit = 1 << lane;
        let put = |set: &mut LaneSet, holds: bool| *set = if holds { *set | bit } else { *set & !bit };
        put(&mut self.sweeping, cutoff[1..] != [0.0; 3]);
        let swings = |values: &[f32; 4]| values[1] != 0.0 || values[2] != 0.0;
        put(&mut self.swinging, [pitch, aim.gain, cutoff].iter().any(swings));
    }

    /// Brings the lanes of `due`, or at a tick all, to a frame, and works out the stretch from there to the next tick.
    /// Returns the lanes whose voice is over, at ticks only.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        group: &mut Group,
        voices: &mut [Option<Voice>],
        due: LaneSet,
        moment: &Moment<'_>,
    ) -> LaneSet {
        let concerned = if moment.arrives { LaneSet::MAX } else { due };
        self.come_to(moment.frame as u32, voices, concerned);
        let mut over = 0;
        if moment.arrives {
            self.arrive(group);
            over = self.taken & (self.ended | self.eg1.done);
        }
        let left = TICK as u32 - (moment.frame % TICK as u64) as u32;
        let mut over_frames = Lane([1.0 / left as f32; LANES]);
        let mut arriving = concerned;
        let mut fresh = 0;
        if due != 0 {
            for lane in lanes_of(due & !over) {
                let Some(voice) = &mut voices[lane] else { continue };
                let follows = self.apply_changes(lane, voice, moment) && left < TICK as u32;
                if voice.fresh {
                    fresh |= 1 << lane;
                } else if follows {
                    over_frames.0[lane] = 1.0 / TICK as f32;
                    arriving &= !(1 << lane);
                }
                voice.fresh = false;
            }
            let sources = self.sources(voices, due, 0);
            self.bend = blend(due, &self.pitches(&sources, 0, voices), &self.bend);
            if fresh != 0 {
                let gains = self.gains(&sources);
                let coefficients = self.coefficients(&sources);
                for (ramp, value) in
                    group.gains.iter_mut().zip(&gains).chain(group.filter.iter_mut().zip(&coefficients))
                {
                    ramp.value = blend(fresh, value, &ramp.value);
                }
            }
        }
        self.arriving = (self.arriving & !concerned) | arriving;

        let sources = self.sources(voices, concerned, left);
        self.bend_to(&self.pitches(&sources, left, voices), concerned);
        let gains = self.gains(&sources);
        for ((ramp, target), gain) in group.gains.iter_mut().zip(&mut self.gain_targets).zip(&gains) {
            ramp.aim(gain, &over_frames, concerned);
            *target = blend(concerned, gain, target);
        }
        if self.filtered & self.taken == 0 {
            group.filtering = Filtering::Open;
        } else if due != 0 || self.sweeping != 0 || group.filtering != Filtering::Steady {
            let coefficients = self.coefficients(&sources);
            for ((ramp, target), value) in group.filter.iter_mut().zip(&mut self.filter_targets).zip(&coefficients) {
                ramp.aim(value, &over_frames, concerned);
                *target = blend(concerned, value, target);
            }
            let steady = group.filter.iter().all(|ramp| !ramp.moves());
            group.filtering = if steady { Filtering::Steady } else { Filtering::Moving };
        }
        group.sends = match (group.gains[2].is_heard(), group.gains[3].is_heard()) {
            (false, false) => Sends::None,
            (true, false) => Sends::Reverb,
            _ => Sends::Both,
        };
        over
    }

    /// Brings lanes to a frame.
    #[inline(always)]
    fn come_to(&mut self, frame: u32, voices: &[Option<Voice>], concerned: LaneSet) {
        let mut frames = [0; LANES];
        for (i, frames) in frames.iter_mut().enumerate() {
            *frames = if concerned & (1 << i) != 0 { frame.wrapping_sub(self.now[i]) } else { 0 };
            self.now[i] = self.now[i].wrapping_add(*frames);
        }
        self.lfo.advance(&frames);
        self.vibrato.advance(&frames);
        let late = self.eg1.advance(&frames) | self.eg2.advance(&frames);
        if late {
            self.next_stages(voices);
        }
        if self.leads.lanes != 0 {
            self.leads.advance(&frames, voices);
        }
    }

    #[cold]
    fn next_stages(&mut self, voices: &[Option<Voice>]) {
        for (lane, voice) in voices.iter().enumerate() {
            let Some(voice) = voice else { continue };
            for (envelopes, times) in [(&mut self.eg1, &voice.times.eg1), (&mut self.eg2, &voice.times.eg2)] {
                if envelopes.is_late(lane, 0.0) {
                    envelopes.set(lane, envelopes.get(lane).advance(times, 0.0), times);
                }
            }
        }
    }

    /// Sets ramps to their targets, at a tick.
    #[inline(always)]
    fn arrive(&mut self, group: &mut Group) {
        for (ramp, target) in group.gains.iter_mut().zip(&self.gain_targets) {
            ramp.value = blend(self.arriving, target, &ramp.value);
        }
        if group.filtering != Filtering::Open {
            for (ramp, target) in group.filter.iter_mut().zip(&self.filter_targets) {
                ramp.value = blend(self.arriving, target, &ramp.value);
            }
            for y in [&mut group.y1, &mut group.y2] {
                for y in &mut y.0 {
                    *y = if y.abs() < SILENCE { 0.0 } else { *y };
                }
            }
        }
    }

    /// Applies the changes of a voice. Returns whether its gains get a whole tick's time to follow.
    fn apply_changes(&mut self, lane: usize, voice: &mut Voice, moment: &Moment<'_>) -> bool {
        let changes = voice.take_changes();
        if changes.channel {
            let channel = &moment.channels[usize::from(voice.group)][usize::from(voice.channel)];
            if voice.retime(channel, moment.surroundings) {
                self.retime(lane, voice);
            }
        }
        let times = &voice.times;
        if let Some(fade) = changes.fade {
            let time = match fade {
                Fade::Release => times.eg1.release,
                Fade::Within(time) => time,
            };
            self.eg1.set(lane, self.eg1.get(lane).release(&times.eg1, Kind::Volume, time), &times.eg1);
        }
        if changes.released {
            let time = times.eg2.release;
            self.eg2.set(lane, self.eg2.get(lane).release(&times.eg2, Kind::Modulation, time), &times.eg2);
            if let Some(lead) = &voice.lead {
                self.leads.release(lane, lead);
            }
        }
        if changes.channel {
            let channel = &moment.channels[usize::from(voice.group)][usize::from(voice.channel)];
            self.aim_at(lane, &voice.aim(channel, moment.surroundings));
        }
        changes.fade.is_none() && !changes.released
    }

    /// Lets a lane go on with its voice's new times.
    #[cold]
    fn retime(&mut self, lane: usize, voice: &Voice) {
        let times = &voice.times;
        // What fades out for another reason than its release keeps its pace.
        if voice.state >= VoiceState::Released {
            self.eg1.set(lane, self.eg1.get(lane).retime(&times.eg1), &times.eg1);
        }
        self.eg2.set(lane, self.eg2.get(lane).retime(&times.eg2), &times.eg2);
        self.lfo.retime(lane, &times.lfo);
        self.vibrato.retime(lane, &times.vibrato);
        if self.is_filtered(lane) {
            self.resonances[lane] = times.resonance.table();
        }
    }

    /// Returns the values of the moving sources so many frames from now.
    #[inline(always)]
    fn sources(&self, voices: &[Option<Voice>], concerned: LaneSet, ahead: u32) -> Sources {
        let frames = ahead as f32;
        let (eg1, range, eg1_late) = self.eg1.levels(frames);
        let (eg2, _, eg2_late) = self.eg2.levels(frames);
        let (lfo, vibrato) = if self.swinging == 0 {
            (Lane::default(), Lane::default())
        } else {
            (self.lfo.values(ahead), self.vibrato.values(ahead))
        };
        let mut sources = Sources { lfo, vibrato, eg2, eg1, range };
        if eg1_late | eg2_late {
            self.foresee(voices, concerned, frames, &mut sources);
        }
        sources
    }

    /// Returns the same for envelopes that come to the end of their stage until then.
    #[cold]
    fn foresee(&self, voices: &[Option<Voice>], concerned: LaneSet, ahead: f32, sources: &mut Sources) {
        for lane in lanes_of(concerned) {
            let Some(voice) = &voices[lane] else { continue };
            if self.eg1.is_late(lane, ahead) {
                let envelope = self.eg1.get(lane).advance(&voice.times.eg1, ahead);
                (sources.eg1.0[lane], sources.range.0[lane]) = (envelope.level(), envelope.range(&voice.times.eg1));
            }
            if self.eg2.is_late(lane, ahead) {
                sources.eg2.0[lane] = self.eg2.get(lane).advance(&voice.times.eg2, ahead).level();
            }
        }
    }

    /// Returns what the moving sources add to the pitch so many frames from now.
    #[inline(always)]
    fn pitches(&self, sources: &Sources, ahead: u32, voices: &[Option<Voice>]) -> Lane {
        let own = self.pitch.values(sources);
        if self.leads.lanes == 0 {
            return own;
        }
        let [lfo, vibrato, eg2] = self.leads.values(ahead, voices);
        let led = self.pitch.values(&Sources { lfo, vibrato, eg2, ..*sources });
        blend(self.leads.lanes, &led, &own)
    }

    /// Steps for the stretch: pitch half way between its ends.
    #[inline(always)]
    fn bend_to(&mut self, next: &Lane, concerned: LaneSet) {
        for i in 0..LANES {
            let ratio = exp2_single(0.5 * (self.bend.0[i] + next.0[i]));
            let step = oscillator::step(self.unbent[i], ratio);
            self.steps[i] = if concerned & (1 << i) != 0 { step } else { self.steps[i] };
        }
        self.bend = blend(concerned, next, &self.bend);
    }

    #[inline(always)]
    fn gains(&self, sources: &Sources) -> [Lane; 4] {
        let connected = self.gain.values(sources);
        let mut amplitude = Lane::default();
        for i in 0..LANES {
            // DLS: what is connected never amplifies. DirectMusic's own gains come after.
            let gain = least(connected.0[i], 0.0) + self.volumes.0[i];
            let (level, range) = (sources.eg1.0[i], sources.range.0[i]);
            let linear = if range == 0.0 { level } else { 1.0 };
            amplitude.0[i] = exp2_single(gain + range * (level - 1.0)) * linear;
        }
        let mut gains = [Lane::default(); 4];
        for (gains, outputs) in gains.iter_mut().zip(&self.outputs) {
            for i in 0..LANES {
                gains.0[i] = least(outputs.0[i] * amplitude.0[i], GAIN_MAX);
            }
        }
        gains
    }

    #[inline(always)]
    fn coefficients(&self, sources: &Sources) -> [Lane; 3] {
        filter::coefficients(&self.resonances, &self.cutoff.values(sources))
    }
}
