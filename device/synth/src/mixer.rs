//! Voices in their lanes, from control values to summed frames.

use crate::channel::{CHANNELS, Channel};
use crate::downloads::Downloads;
use crate::kernel::{Bus, Group, Kernels, LANES, Parts, Scratch, TICK};
use crate::voice::active::{Stage, Surroundings, Voice, clear_lane};
use crate::voice::oscillator;

/// Lanes beyond the voices asked for, at least, in which stolen voices fade out.
const SPARE_LANES_MIN: usize = 8;
/// And one for so many voices.
const VOICES_PER_SPARE_LANE: usize = 4;

/// All voices of a synthesizer.
pub(crate) struct Mixer {
    voices: Vec<Option<Voice>>,
    groups: Vec<Group>,
    scratch: Box<Scratch>,
    bus: Box<Bus>,
    /// The tick up to which control values are worked out.
    tick: Option<u64>,
}

impl Mixer {
    pub(crate) fn new(voices: usize) -> Self {
        let lanes = (voices + SPARE_LANES_MIN.max(voices / VOICES_PER_SPARE_LANE)).next_multiple_of(LANES);
        Self {
            voices: (0..lanes).map(|_| None).collect(),
            groups: (0..lanes / LANES).map(|_| empty_group()).collect(),
            scratch: Box::new(Scratch([[0.0; TICK]; LANES])),
            bus: Bus::new(),
            tick: None,
        }
    }

    /// All voices that sound, stolen ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Voice> {
        self.voices.iter().flatten()
    }

    /// The same, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Voice> {
        self.voices.iter_mut().flatten()
    }

    /// Puts a voice in a free lane. When there is none, the quietest stolen voice ends at once; if there is no such
    /// either, the new one comes back.
    pub(crate) fn insert(&mut self, voice: Voice, downloads: &mut Downloads) -> Result<(), Box<Voice>> {
        let free = self.voices.iter().position(Option::is_none);
        let Some(lane) = free.or_else(|| self.quietest_stolen()) else { return Err(Box::new(voice)) };
        self.remove(lane, downloads);
        downloads.begin(voice.sources);
        self.voices[lane] = Some(voice);
        Ok(())
    }

    fn quietest_stolen(&self) -> Option<usize> {
        let stolen =
            self.voices.iter().enumerate().filter_map(|(lane, voice)| {
                voice.as_ref().filter(|v| v.stage == Stage::Stolen).map(|v| (lane, v.level()))
            });
        stolen.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(lane, _)| lane)
    }

    fn remove(&mut self, lane: usize, downloads: &mut Downloads) {
        if let Some(voice) = self.voices[lane].take() {
            downloads.end(voice.sources);
            clear_lane(&mut self.groups[lane / LANES], lane % LANES);
        }
    }

    /// Ends every voice that `ends` says at once.
    pub(crate) fn remove_if(&mut self, downloads: &mut Downloads, ends: impl Fn(&Voice) -> bool) {
        for lane in 0..self.voices.len() {
            if self.voices[lane].as_ref().is_some_and(&ends) {
                self.remove(lane, downloads);
            }
        }
    }

    /// Begins anew, with frame 0 to come.
    pub(crate) fn restart(&mut self, downloads: &mut Downloads) {
        self.remove_if(downloads, |_| true);
        self.tick = None;
    }

    /// Works out all control values that frame `frame` needs. At a tick, voices that are over go.
    pub(crate) fn settle(
        &mut self,
        frame: u64,
        channels: &[[Channel; CHANNELS]],
        surroundings: &Surroundings,
        downloads: &mut Downloads,
    ) {
        let tick = frame / TICK as u64;
        let arrives = self.tick != Some(tick);
        self.tick = Some(tick);
        for lane in 0..self.voices.len() {
            let Some(voice) = &mut self.voices[lane] else { continue };
            let group = &mut self.groups[lane / LANES];
            if arrives {
                voice.arrive(frame, group, lane % LANES);
                if voice.is_over() {
                    self.remove(lane, downloads);
                    continue;
                }
            }
            if arrives || voice.is_due() {
                let channel = &channels[usize::from(voice.group)][usize::from(voice.channel)];
                voice.aim(frame, channel, surroundings, (group, lane % LANES));
            }
        }
    }

    /// Mixes the next `frames` frames, which must not reach beyond the next tick, into the bus.
    pub(crate) fn mix(&mut self, frames: usize, sends: bool, kernels: &Kernels) -> &Bus {
        self.bus.clear(frames);
        for (voices, group) in self.voices.chunks_mut(LANES).zip(&mut self.groups) {
            if voices.iter().all(Option::is_none) {
                continue;
            }
            let mut filter = false;
            for (voice, row) in voices.iter_mut().zip(&mut self.scratch.0) {
                match voice {
                    Some(voice) => {
                        oscillator::render(&mut voice.cursor, voice.step, kernels, &mut row[..frames]);
                        filter |= voice.is_filtered();
                    }
                    None => row[..frames].fill(0.0),
                }
            }
            (kernels.mix)(group, &self.scratch, frames, &mut self.bus, Parts { filter, sends });
        }
        &self.bus
    }
}

fn empty_group() -> Group {
    let mut group = Group::default();
    (0..LANES).for_each(|lane| clear_lane(&mut group, lane));
    group
}
