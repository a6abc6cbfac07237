//! The leads of a group of voices: few voices have one, so that they are kept apart from the other control values.

use super::active::Voice;
use super::envelope::{Envelope, Envelopes, Kind};
use super::lead::Lead;
use super::lfo::Lfos;
use crate::lanes::{LANES, Lane, LaneSet, lanes_of};

/// The leads of a group of voices.
#[derive(Debug)]
pub(crate) struct Leads {
    /// Lanes that have one.
    pub(crate) lanes: LaneSet,
    eg2: Envelopes,
    lfo: Lfos,
    vibrato: Lfos,
}

impl Leads {
    /// Makes the leads of a group without voices.
    pub(crate) fn new() -> Self {
        Self { lanes: 0, eg2: Envelopes::done(), lfo: Lfos::default(), vibrato: Lfos::default() }
    }

    /// Starts a note in a lane.
    pub(crate) fn start(&mut self, lane: usize, lead: &Lead) {
        self.lanes |= 1 << lane;
        self.eg2.set(lane, Envelope::start(&lead.eg2), &lead.eg2);
        self.lfo.start(lane, &lead.lfo);
        self.vibrato.start(lane, &lead.vibrato);
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.lanes &= !(1 << lane);
        self.eg2.clear(lane);
    }

    /// Releases a lane's lead: the master's note-off is the slave's.
    pub(crate) fn release(&mut self, lane: usize, lead: &Lead) {
        let released = self.eg2.get(lane).release(&lead.eg2, Kind::Modulation, lead.eg2.release);
        self.eg2.set(lane, released, &lead.eg2);
    }

    /// Advances each lane by its number of frames.
    #[cold]
    pub(crate) fn advance(&mut self, frames: &[u32; LANES], voices: &[Option<Voice>]) {
        self.lfo.advance(frames);
        self.vibrato.advance(frames);
        if self.eg2.advance(frames) {
            for lane in lanes_of(self.lanes) {
                if let Some(lead) = lead_of(voices, lane)
                    && self.eg2.is_late(lane, 0.0)
                {
                    self.eg2.set(lane, self.eg2.get(lane).advance(&lead.eg2, 0.0), &lead.eg2);
                }
            }
        }
    }

    /// Returns the values of the oscillators (first, vibrato) and the envelope so many frames from now.
    #[cold]
    pub(crate) fn values(&self, ahead: u32, voices: &[Option<Voice>]) -> [Lane; 3] {
        let frames = ahead as f32;
        let (mut eg2, _, late) = self.eg2.levels(frames);
        if late {
            for lane in lanes_of(self.lanes) {
                if let Some(lead) = lead_of(voices, lane)
                    && self.eg2.is_late(lane, frames)
                {
                    eg2.0[lane] = self.eg2.get(lane).advance(&lead.eg2, frames).level();
                }
            }
        }
        [self.lfo.values(ahead), self.vibrato.values(ahead), eg2]
    }
}

fn lead_of(voices: &[Option<Voice>], lane: usize) -> Option<&Lead> {
    voices[lane].as_ref()?.lead.as_ref()
}
