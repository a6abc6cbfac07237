//! RustySynth, from crate `rustysynth`.

use std::sync::Arc;

use rustysynth::{SoundFont, Synthesizer, SynthesizerSettings};

use super::{BLOCK, Engine, EngineError, RATE, Setting, energy};

/// Most voices that one of its synthesizers takes.
const VOICES_MAX: usize = 256;

/// RustySynth. For more than 256 voices, which is the most that it takes, several share the notes; each then has
/// effects of its own.
pub(crate) struct RustySynth {
    synths: Vec<Synthesizer>,
    next: usize,
    buffers: [Box<[f32]>; 2],
    sum: [Box<[f32]>; 2],
    rendered: usize,
}

impl RustySynth {
    /// Reads a SoundFont.
    ///
    /// # Errors
    /// [`EngineError`] when RustySynth refuses the SoundFont.
    pub(crate) fn bank(font: &[u8]) -> Result<Arc<SoundFont>, EngineError> {
        SoundFont::new(&mut &*font).map(Arc::new).map_err(|error| EngineError::new("rustysynth", error))
    }

    /// Makes a synthesizer, or several.
    ///
    /// # Errors
    /// [`EngineError`] when RustySynth refuses the setting.
    pub(crate) fn new(bank: &Arc<SoundFont>, setting: Setting) -> Result<Self, EngineError> {
        let voices = usize::from(setting.voices);
        let count = voices.div_ceil(VOICES_MAX);
        let mut settings = SynthesizerSettings::new(RATE as i32);
        settings.maximum_polyphony = voices.div_ceil(count).max(8);
        settings.enable_reverb_and_chorus = setting.effects;
        let make = |_| Synthesizer::new(bank, &settings).map_err(|error| EngineError::new("rustysynth", error));
        let buffer = || vec![0.0; BLOCK].into_boxed_slice();
        Ok(Self {
            synths: (0..count).map(make).collect::<Result<_, _>>()?,
            next: 0,
            buffers: [buffer(), buffer()],
            sum: [buffer(), buffer()],
            rendered: 0,
        })
    }
}

impl Engine for RustySynth {
    fn midi(&mut self, message: &[u8]) {
        let [status, data @ ..] = message else { return };
        let data = |index: usize| data.get(index).copied().map_or(0, i32::from);
        let (channel, command) = (i32::from(status & 15), i32::from(status & 0xF0));
        // Notes take turns; other channel messages go to all.
        if command == 0x90 && self.synths.len() > 1 {
            let turn = self.next % self.synths.len();
            self.synths[turn].process_midi_message(channel, command, data(0), data(1));
            self.next += 1;
            return;
        }
        for synth in &mut self.synths {
            synth.process_midi_message(channel, command, data(0), data(1));
        }
    }

    fn render(&mut self, frames: usize) {
        self.rendered = frames;
        let ([left, right], [left_sum, right_sum]) = (&mut self.buffers, &mut self.sum);
        let (left_sum, right_sum) = (&mut left_sum[..frames], &mut right_sum[..frames]);
        let Some((first, others)) = self.synths.split_first_mut() else { return };
        first.render(left_sum, right_sum);
        for synth in others {
            synth.render(&mut left[..frames], &mut right[..frames]);
            left_sum.iter_mut().zip(&*left).for_each(|(sum, sample)| *sum += sample);
            right_sum.iter_mut().zip(&*right).for_each(|(sum, sample)| *sum += sample);
        }
    }

    fn energy(&self) -> f64 {
        energy(self.sum.iter().flat_map(|side| &side[..self.rendered]))
    }

    fn left(&self) -> Vec<f32> {
        self.sum[0][..self.rendered].to_vec()
    }

    fn voices(&self) -> Option<u32> {
        None
    }
}
