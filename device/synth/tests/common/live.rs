//! Two synthesizers side by side, one with a cosine and one with a sine, for tests that send and measure in turn.

use std::f64::consts::{FRAC_PI_2, TAU};
use std::sync::Arc;

use dls_synth::dls::Collection;
use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};

use super::{PEAK, RATE, TONE_HERTZ, TURN};

/// The pair, and what it put out last.
pub(crate) struct Live {
    pair: [Synth; 2],
    last: [Vec<[f32; 2]>; 2],
}

impl Live {
    /// Makes as it comes: General MIDI's first volumes, effects as the configuration says; only DirectMusic's own gain
    /// is taken away.
    pub(crate) fn new(config: SynthConfig, collection: impl Fn(f64) -> Collection) -> Self {
        let make = |quarter: f64| {
            let bank = Arc::new(Bank::from_collection(&collection(quarter)));
            let mut synth = Synth::new(config, bank).unwrap();
            synth.set_volume(VolumeItem::Volume, -600);
            synth.set_volume(VolumeItem::Boost, 0);
            synth
        };
        Self { pair: [make(0.0), make(1.0)], last: [Vec::new(), Vec::new()] }
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        self.send_to(0, message);
    }

    pub(crate) fn send_to(&mut self, group: u16, message: &[u8]) {
        self.pair.iter_mut().for_each(|synth| synth.midi(group, message));
    }

    pub(crate) fn send_all(&mut self, messages: &[&[u8]]) {
        messages.iter().for_each(|message| self.send(message));
    }

    /// Does something else to both.
    pub(crate) fn each(&mut self, act: impl Fn(&mut Synth)) {
        self.pair.iter_mut().for_each(act);
    }

    pub(crate) fn run(&mut self, frames: usize) {
        for (synth, last) in self.pair.iter_mut().zip(&mut self.last) {
            last.clear();
            last.resize(frames, [0.0; 2]);
            synth.render(last);
        }
    }

    pub(crate) fn seconds(&mut self, seconds: f64) {
        self.run((seconds * f64::from(RATE)).round() as usize);
    }

    pub(crate) fn voices(&self) -> u32 {
        self.pair[0].active_voices()
    }

    /// Returns the last frames, of the cosine.
    pub(crate) fn frames(&self) -> &[[f32; 2]] {
        &self.last[0]
    }

    /// Returns amplitude at a frame of the last run; 1 is the tone's own.
    pub(crate) fn output(&self, frame: usize, output: usize) -> f64 {
        f64::from(self.last[0][frame][output]).hypot(f64::from(self.last[1][frame][output])) / PEAK
    }

    pub(crate) fn amplitude(&self, frame: usize) -> f64 {
        self.output(frame, 0).hypot(self.output(frame, 1))
    }

    /// Runs a little, and says how loud it is at its end.
    pub(crate) fn decibels(&mut self) -> f64 {
        self.run(400);
        20.0 * self.amplitude(399).log10()
    }

    /// Runs a little, and says where it is at its end: -0.5 is left.
    pub(crate) fn pan(&mut self) -> f64 {
        self.run(400);
        self.output(399, 1).atan2(self.output(399, 0)) / FRAC_PI_2 - 0.5
    }

    /// Runs a little, and says how far above the tone's own pitch it is at its end.
    pub(crate) fn cents(&mut self) -> f64 {
        self.run(200 + 8 * TURN);
        let output = usize::from(self.output(200, 1) > self.output(200, 0));
        let angle = |i: usize| f64::from(self.last[1][i][output]).atan2(f64::from(self.last[0][i][output])) / TAU;
        let turned = |i: usize| (angle(i + 1) - angle(i)) - (angle(i + 1) - angle(i)).round();
        let frames = self.last[0].len() - 1 - 200;
        let turns: f64 = (200..200 + frames).map(turned).sum();
        1200.0 * (turns / frames as f64 * f64::from(RATE) / TONE_HERTZ).log2()
    }
}
