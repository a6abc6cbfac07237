//! Voices in their lanes, from control values to summed frames.
//!
//! Lanes come in blocks. A block renders by itself, in any thread, and the blocks' frames are added up in their
//! order: so that the sum is the same with any number of threads.

use std::num::NonZeroUsize;

use crate::channel::{CHANNELS, Channel};
use crate::downloads::Downloads;
use crate::kernel::Kernels;
use crate::lanes::{Bus, Group, LANES, LaneSet, PLANES, Planes, Scratch, Sends, TICK, lanes_of, silent_planes};
use crate::profile::Section;
use crate::voice::active::{Surroundings, Voice, VoiceState};
use crate::voice::control::{Control, Moment};
use crate::voice::oscillator::{self, Tables};

/// Lanes beyond the requested voices, at least, in which stolen voices fade out.
const SPARE_LANES_MIN: usize = 8;
/// And one for so many voices.
const VOICES_PER_SPARE_LANE: usize = 4;

/// Lanes of a block: enough work for a thread, and few enough to divide a thousand voices.
const BLOCK_LANES: usize = 128;

/// Frames that [`Mixer::render`] renders at a time.
pub(crate) const FRAMES_MAX: usize = 1024;

/// Voices times frames below which other threads are not worth starting: that takes 20 µs, and this is 140 µs of work.
const WORTH_A_THREAD: usize = 100_000;

/// The state that rendering reads and does not change.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) channels: &'a [[Channel; CHANNELS]],
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) kernels: &'a Kernels,
    /// Whether any effect is there to send to.
    pub(crate) sends: bool,
}

/// All voices of a synthesizer.
pub(crate) struct Mixer {
    blocks: Vec<Block>,
    sum: Planes,
    threads: NonZeroUsize,
}

impl Mixer {
    /// Makes a mixer for so many voices, with spare lanes for stolen ones.
    pub(crate) fn new(voices: usize) -> Self {
        let lanes = (voices + SPARE_LANES_MIN.max(voices / VOICES_PER_SPARE_LANE)).next_multiple_of(LANES);
        let blocks = (0..lanes).step_by(BLOCK_LANES).map(|first| Block::new((lanes - first).min(BLOCK_LANES)));
        Self { blocks: blocks.collect(), sum: silent_planes(FRAMES_MAX), threads: NonZeroUsize::MIN }
    }

    /// Sets the number of threads that render blocks.
    pub(crate) fn set_threads(&mut self, threads: NonZeroUsize) {
        self.threads = threads;
    }

    /// Iterates over all sounding voices, stolen ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Voice> {
        self.blocks.iter().flat_map(|block| block.voices.iter().flatten())
    }

    /// Iterates over all sounding voices, stolen ones included, each with the number of its lane, which it has to its end.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (usize, &Voice)> {
        let lanes = self.blocks.iter().flat_map(|block| &block.voices).enumerate();
        lanes.filter_map(|(lane, voice)| Some((lane, voice.as_ref()?)))
    }

    /// Returns a number that is another one whenever a voice has started or ended in between.
    pub(crate) fn changes(&self) -> u64 {
        self.blocks.iter().map(|block| block.changes).sum()
    }

    /// Iterates over all sounding voices mutably, stolen ones included.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Voice> {
        self.blocks.iter_mut().flat_map(|block| {
            block.touched = true;
            block.voices.iter_mut().flatten()
        })
    }

    /// Iterates over all sounding voices, stolen ones included, each with its loudness at a frame, for the choice of a
    /// voice to steal.
    pub(crate) fn levels(&self, frame: u64) -> impl Iterator<Item = (&Voice, f32)> {
        self.blocks.iter().flat_map(move |block| {
            let lanes = block.voices.iter().enumerate();
            lanes.filter_map(move |(lane, voice)| Some((voice.as_ref()?, block.level(lane, frame)?)))
        })
    }

    /// Finds the first voice for which `is_it` returns true, given its loudness at a frame.
    pub(crate) fn find_mut(&mut self, frame: u64, is_it: impl Fn(&Voice, f32) -> bool) -> Option<&mut Voice> {
        self.blocks.iter_mut().find_map(|block| {
            let is_here = |lane: usize| Some(is_it(block.voices[lane].as_ref()?, block.level(lane, frame)?));
            let lane = (0..block.voices.len()).find(|lane| is_here(*lane) == Some(true))?;
            block.touched = true;
            block.voices[lane].as_mut()
        })
    }

    /// Puts a voice in a free lane. When there is none, the quietest stolen voice ends at once; if there is no such
    /// either, the new one is not played. Returns whether it is.
    pub(crate) fn insert(&mut self, voice: Voice, downloads: &mut Downloads) -> bool {
        let Some((block, lane)) = self.free_lane().or_else(|| self.quietest_stolen(voice.started)) else {
            return false;
        };
        let block = &mut self.blocks[block];
        if let Some(sources) = block.remove(lane) {
            downloads.end(sources);
        }
        downloads.begin(voice.sources);
        block.put(lane, voice);
        true
    }

    fn free_lane(&self) -> Option<(usize, usize)> {
        let mut blocks = self.blocks.iter().enumerate().filter(|(_, block)| block.sounding < block.voices.len());
        let (index, block) = blocks.next()?;
        Some((index, block.voices.iter().position(Option::is_none)?))
    }

    fn quietest_stolen(&self, frame: u64) -> Option<(usize, usize)> {
        let mut quietest = None;
        for (index, block) in self.blocks.iter().enumerate() {
            for (lane, voice) in block.voices.iter().enumerate() {
                let stolen = voice.as_ref().is_some_and(|voice| voice.state == VoiceState::Stolen);
                let Some(level) = block.level(lane, frame).filter(|_| stolen) else { continue };
                if quietest.is_none_or(|(least, _)| level < least) {
                    quietest = Some((level, (index, lane)));
                }
            }
        }
        quietest.map(|(_, place)| place)
    }

    /// Ends every voice for which `ends` returns true, at once.
    pub(crate) fn remove_if(&mut self, downloads: &mut Downloads, ends: impl Fn(&Voice) -> bool) {
        for block in &mut self.blocks {
            for lane in 0..block.voices.len() {
                if block.voices[lane].as_ref().is_some_and(&ends)
                    && let Some(sources) = block.remove(lane)
                {
                    downloads.end(sources);
                }
            }
        }
    }

    /// Begins anew, with frame 0 to come.
    pub(crate) fn restart(&mut self, downloads: &mut Downloads) {
        self.remove_if(downloads, |_| true);
        self.blocks.iter_mut().for_each(|block| block.tick = None);
    }

    /// Renders `frames` frames, [`FRAMES_MAX`] at most, from frame `frame` on: left, right, reverb send, chorus send.
    pub(crate) fn render(
        &mut self,
        frame: u64,
        frames: usize,
        scene: Scene<'_>,
        downloads: &mut Downloads,
    ) -> [&mut [f32]; PLANES] {
        let sounding: usize = self.blocks.iter().map(|block| block.sounding).sum();
        let worth = if sounding * frames < WORTH_A_THREAD { 1 } else { self.threads.get() };
        let share = self.blocks.len().div_ceil(worth);
        let work = |blocks: &mut [Block]| blocks.iter_mut().for_each(|block| block.render(frame, frames, scene));
        if share == self.blocks.len() {
            work(&mut self.blocks);
        } else {
            std::thread::scope(|scope| {
                let (own, others) = self.blocks.split_at_mut(share);
                others.chunks_mut(share).for_each(|blocks| _ = scope.spawn(move || work(blocks)));
                work(own);
            });
        }
        for block in &mut self.blocks {
            block.ended.drain(..).for_each(|sources| downloads.end(sources));
        }
        self.add_up(frames)
    }

    /// Adds up the blocks' frames, always in the same order.
    fn add_up(&mut self, frames: usize) -> [&mut [f32]; PLANES] {
        let mut sums = self.sum.each_mut().map(|plane| &mut plane[..frames]);
        for (index, sum) in sums.iter_mut().enumerate() {
            sum.fill(0.0);
            for block in self.blocks.iter().filter(|block| index < block.audible) {
                sum.iter_mut().zip(&block.frames[index]).for_each(|(sum, x)| *sum += x);
            }
        }
        sums
    }

    /// Repeats a section of rendering ([`crate::Synth::repeat_section`]). Returns the frame that comes next.
    pub(crate) fn repeat_section(&mut self, section: Section, frame: u64, scene: Scene<'_>) -> u64 {
        let frame = frame.next_multiple_of(TICK as u64);
        for block in self.blocks.iter_mut().filter(|block| block.sounding > 0) {
            block.repeat_section(section, frame, scene);
        }
        if section == Section::Sum {
            self.add_up(TICK);
        }
        frame + TICK as u64
    }
}

/// Some of the lanes.
struct Block {
    voices: Vec<Option<Voice>>,
    controls: Vec<Control>,
    groups: Vec<Group>,
    /// The number of lanes in use.
    sounding: usize,
    /// How many voices have started and ended.
    changes: u64,
    /// The tick up to which control values are worked out.
    tick: Option<u64>,
    /// Whether any voice may have changed since control values were last worked out.
    touched: bool,
    /// Downloads that voices sounded from which ended in the last call.
    ended: Vec<[u32; 2]>,
    /// The first so many planes of `frames` hold something; the others are silent.
    audible: usize,
    frames: Planes,
    scratch: Box<Scratch>,
    bus: Box<Bus>,
}

impl Block {
    fn new(lanes: usize) -> Self {
        Self {
            voices: (0..lanes).map(|_| None).collect(),
            controls: (0..lanes / LANES).map(|_| Control::new()).collect(),
            groups: vec![Group::new(); lanes / LANES],
            sounding: 0,
            changes: 0,
            tick: None,
            touched: false,
            ended: Vec::with_capacity(lanes),
            audible: 0,
            frames: silent_planes(FRAMES_MAX),
            scratch: Scratch::new(),
            bus: Bus::new(),
        }
    }

    /// Returns how loud a lane's voice is at a frame.
    fn level(&self, lane: usize, frame: u64) -> Option<f32> {
        Some(self.controls[lane / LANES].level(lane % LANES, self.voices[lane].as_ref()?, frame))
    }

    /// Puts a voice in an empty lane.
    fn put(&mut self, lane: usize, voice: Voice) {
        self.controls[lane / LANES].start(lane % LANES, &voice);
        self.voices[lane] = Some(voice);
        self.sounding += 1;
        self.changes += 1;
        self.touched = true;
    }

    /// Empties a lane; the downloads that its voice sounded from.
    fn remove(&mut self, lane: usize) -> Option<[u32; 2]> {
        let voice = self.voices[lane].take()?;
        self.sounding -= 1;
        self.changes += 1;
        self.controls[lane / LANES].clear(lane % LANES);
        self.groups[lane / LANES].clear(lane % LANES);
        Some(voice.sources)
    }

    fn render(&mut self, begin: u64, frames: usize, scene: Scene<'_>) {
        let end = begin + frames as u64;
        self.audible = 0;
        if self.sounding == 0 {
            self.tick = Some((end - 1) / TICK as u64);
            return;
        }
        let mut frame = begin;
        while frame < end {
            let until_tick = TICK as u64 - frame % TICK as u64;
            let count = until_tick.min(end - frame) as usize;
            self.stretch(frame, count, scene);
            let at = (frame - begin) as usize;
            self.reduce(at, count, scene);
            frame += count as u64;
        }
    }

    /// Adds up the lanes of a stretch that begins at frame `at` of the call.
    fn reduce(&mut self, at: usize, frames: usize, scene: Scene<'_>) {
        let open = self.bus.opened();
        // A plane may be silent in some stretches of a call and not in others.
        for plane in &mut self.frames[self.audible.min(open)..open] {
            plane[..at].fill(0.0);
        }
        for plane in &mut self.frames[open.min(self.audible)..self.audible] {
            plane[at..at + frames].fill(0.0);
        }
        self.audible = self.audible.max(open);
        (scene.kernels.reduce)(&self.bus, self.frames.each_mut().map(|plane| &mut plane[at..at + frames]));
    }

    /// Mixes the next `frames` frames, which must not reach beyond the next tick, into the bus.
    fn stretch(&mut self, frame: u64, frames: usize, scene: Scene<'_>) {
        let tick = frame / TICK as u64;
        let arrives = self.tick != Some(tick);
        self.tick = Some(tick);
        self.bus.clear();
        let moment = Moment { frame, arrives, channels: scene.channels, surroundings: scene.surroundings };
        // One group after another, while what belongs to it is at hand.
        for index in 0..self.groups.len() {
            if self.controls[index].taken == 0 {
                continue;
            }
            self.prefetch(index + 1, frames, scene);
            if arrives || self.touched {
                self.settle(index, &moment, scene);
            }
            self.oscillate(index, frame, frames, scene);
            self.mix(index, frames, scene);
        }
        self.touched = false;
    }

    /// Renders one section alone, from a tick to the next.
    fn repeat_section(&mut self, section: Section, frame: u64, scene: Scene<'_>) {
        let moment = Moment { frame, arrives: true, channels: scene.channels, surroundings: scene.surroundings };
        for index in 0..self.groups.len() {
            if self.controls[index].taken == 0 {
                continue;
            }
            match section {
                Section::Control => self.settle(index, &moment, scene),
                Section::Oscillators => self.oscillate(index, frame, TICK, scene),
                Section::Mix => self.mix(index, TICK, scene),
                Section::Sum | Section::Effects => {}
            }
        }
        if section == Section::Sum {
            self.bus.clear();
            self.bus.open(if scene.sends { Sends::Both } else { Sends::None }, TICK);
            self.reduce(0, TICK, scene);
        }
    }

    /// Works out all control values of a group that a frame needs. At a tick, voices that are over go.
    fn settle(&mut self, index: usize, moment: &Moment<'_>, scene: Scene<'_>) {
        let voices = &mut self.voices[index * LANES..(index + 1) * LANES];
        let mut due: LaneSet = 0;
        if self.touched {
            let is_due = |voice: &Option<Voice>| voice.as_ref().is_some_and(Voice::is_due);
            due = voices.iter().rev().fold(0, |set, voice| set << 1 | LaneSet::from(is_due(voice)));
        }
        if !moment.arrives && due == 0 {
            return;
        }
        let over = (scene.kernels.settle)(&mut self.controls[index], &mut self.groups[index], voices, due, moment);
        for lane in lanes_of(over) {
            let sources = self.remove(index * LANES + lane);
            self.ended.extend(sources);
        }
    }

    /// Asks for the samples of a group, if there is one, while another is worked on: the waves of many voices are in no
    /// cache that is near.
    fn prefetch(&self, index: usize, frames: usize, scene: Scene<'_>) {
        let Some(control) = self.controls.get(index).filter(|control| control.taken != 0) else { return };
        for (voice, step) in self.voices[index * LANES..(index + 1) * LANES].iter().zip(control.steps) {
            if let Some(voice) = voice {
                (scene.kernels.prefetch)(voice.cursor.upcoming(step, frames));
            }
        }
    }

    /// Lets a group's oscillators run from a frame on, into the scratch.
    fn oscillate(&mut self, index: usize, frame: u64, frames: usize, scene: Scene<'_>) {
        let offset = (frame % TICK as u64) as usize;
        let control = &mut self.controls[index];
        let voices = &mut self.voices[index * LANES..(index + 1) * LANES];
        let rows = voices.iter_mut().zip(&mut self.scratch.rows).zip(control.steps);
        for (lane, ((voice, row), step)) in rows.enumerate() {
            let row = &mut row[..frames];
            match voice {
                Some(voice) => {
                    let tables = match voice.tables {
                        None => Tables::begin(step),
                        // Chosen at ticks alone, so that it does not depend on how rendering is divided.
                        Some(tables) if offset == 0 => tables.follow(step),
                        Some(tables) => tables,
                    };
                    voice.tables = Some(tables);
                    oscillator::render(&mut voice.cursor, step, tables, offset, scene.kernels.interpolate, row);
                    control.ended |= LaneSet::from(voice.cursor.ended()) << lane;
                }
                None => row.fill(0.0),
            }
        }
    }

    /// Mixes the scratch into the bus.
    fn mix(&mut self, index: usize, frames: usize, scene: Scene<'_>) {
        let group = &mut self.groups[index];
        if !scene.sends {
            group.sends = Sends::None;
        }
        self.bus.open(group.sends, frames);
        (scene.kernels.mix)(group, &mut self.scratch, frames, &mut self.bus);
    }
}
