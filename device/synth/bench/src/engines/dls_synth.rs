//! The synthesizer of this repository.

use std::sync::Arc;

use dls_synth::profile::Section;
use dls_synth::{Bank, Kernel, Synth, SynthConfig};

use super::{BLOCK, Engine, EngineError, RATE, Setting, energy};

/// `dls-synth`.
pub(crate) struct DlsSynth {
    synth: Synth,
    out: Box<[[f32; 2]]>,
    rendered: usize,
}

impl DlsSynth {
    /// Reads a bank of any form.
    ///
    /// # Errors
    /// [`EngineError`] when the bank is refused.
    pub(crate) fn bank(font: &[u8]) -> Result<Arc<Bank>, EngineError> {
        Bank::from_bytes(font).map(Arc::new).map_err(|error| EngineError::new("dls-synth", error))
    }

    /// Makes a synthesizer.
    ///
    /// # Errors
    /// [`EngineError`] when the configuration is out of range.
    pub(crate) fn new(bank: &Arc<Bank>, setting: Setting, kernel: Kernel) -> Result<Self, EngineError> {
        let config = SynthConfig {
            sample_rate: RATE,
            voices: setting.voices,
            channel_groups: 1,
            reverb: setting.effects,
            chorus: setting.effects,
            kernel,
        };
        let synth = Synth::new(config, Arc::clone(bank)).map_err(|error| EngineError::new("dls-synth", error))?;
        Ok(Self { synth, out: vec![[0.0; 2]; BLOCK].into_boxed_slice(), rendered: 0 })
    }

    /// Does one section of rendering alone.
    pub(crate) fn repeat(&mut self, section: Section, ticks: usize) {
        self.synth.repeat_section(section, ticks);
    }
}

impl Engine for DlsSynth {
    fn midi(&mut self, message: &[u8]) {
        self.synth.midi(0, message);
    }

    fn render(&mut self, frames: usize) {
        self.rendered = frames;
        self.synth.render(&mut self.out[..frames]);
    }

    fn energy(&self) -> f64 {
        energy(self.out[..self.rendered].iter().flatten())
    }

    fn left(&self) -> Vec<f32> {
        self.out[..self.rendered].iter().map(|frame| frame[0]).collect()
    }

    fn voices(&self) -> Option<u32> {
        Some(self.synth.active_voices())
    }
}
