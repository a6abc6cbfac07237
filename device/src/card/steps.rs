//! Works on the card one step at a time, for a replay: what a recording says it did next, and nothing else.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_spec::queue::Queue;

use super::device::Card;
use crate::session::slice::Slice;

impl Card {
    /// Serves one queue, as far as there are chains.
    pub(crate) fn step_queue(&mut self, queue: Queue) {
        self.observe_device();
        match queue {
            Queue::CONTROL => {
                self.control.serve(&mut self.state, &Slice::endless());
            }
            Queue::WAVE => {
                self.wave.take_buffer(&mut self.state.session);
            }
            Queue::MIDI_OUT => {
                self.midi_out.serve(&mut self.state.session);
            }
            Queue::MIDI_IN => {
                self.midi_in.serve(self.state.session.as_mut());
            }
            _ => {
                self.collect_notices();
                self.event.serve(&mut self.state.notices);
            }
        }
        // A buffer may be complete already with what is in the output FIFO.
        self.wave.fill_buffer(&mut self.state);
    }

    /// Renders up to a frame, and returns the wave buffer if that completes it. A frame that has been rendered is none to wait for.
    pub(crate) fn step_to_frame(&mut self, frame: i64) {
        self.observe_device();
        let position = |card: &Self| card.session().map_or(frame, |session| session.timeline.position());
        while position(self) != frame {
            // A fault may move the clock: the recorded frame is behind that.
            let until_fault = self.meet_faults();
            let before = position(self);
            let left = u64::try_from(frame.saturating_sub(before)).unwrap_or(0);
            self.produce(left.min(until_fault), &Slice::endless());
            if position(self) == before {
                break;
            }
        }
        self.count_lost_notes();
        self.wave.fill_buffer(&mut self.state);
    }

    /// Lets the faults become live, and strikes with those that need no occasion, as far as the sample clock has come.
    pub(crate) fn step_faults(&mut self) {
        self.observe_device();
        self.meet_faults();
    }

    /// Leaves out frames that the card left out, because the host had not run it in time.
    pub(crate) fn step_over(&mut self, frames: u64) {
        self.observe_device();
        self.skip(frames);
    }
}
