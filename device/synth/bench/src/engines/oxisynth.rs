//! OxiSynth, from crate `oxisynth`.

use oxisynth::{InterpolationMethod, MidiEvent, SoundFont, Synth, SynthDescriptor};

use super::{BLOCK, Engine, EngineError, RATE, Setting, energy};

/// OxiSynth, with the 4-point interpolation that is its default.
pub(crate) struct OxiSynth {
    synth: Synth,
    left: Box<[f32]>,
    right: Box<[f32]>,
    rendered: usize,
}

impl OxiSynth {
    /// Makes a synthesizer. It reads the SoundFont itself, because it must own it.
    ///
    /// # Errors
    /// [`EngineError`] when OxiSynth refuses the SoundFont or the setting.
    pub(crate) fn new(font: &[u8], setting: Setting) -> Result<Self, EngineError> {
        let descriptor = SynthDescriptor {
            sample_rate: RATE as f32,
            polyphony: setting.voices,
            reverb_active: setting.effects,
            chorus_active: setting.effects,
            interpolation: InterpolationMethod::FourthOrder,
            ..SynthDescriptor::default()
        };
        let mut synth = Synth::new(descriptor).map_err(|error| EngineError::new("oxisynth", error))?;
        let font = SoundFont::load(&mut std::io::Cursor::new(font));
        synth.add_font(font.map_err(|error| EngineError::new("oxisynth", error))?, true);
        let buffer = || vec![0.0; BLOCK].into_boxed_slice();
        Ok(Self { synth, left: buffer(), right: buffer(), rendered: 0 })
    }
}

fn event(message: &[u8]) -> Option<MidiEvent> {
    let channel = message.first()? & 15;
    Some(match (message.first()? & 0xF0, &message[1..]) {
        (0x80, [key, _]) | (0x90, [key, 0]) => MidiEvent::NoteOff { channel, key: *key },
        (0x90, [key, vel]) => MidiEvent::NoteOn { channel, key: *key, vel: *vel },
        (0xA0, [key, value]) => MidiEvent::PolyphonicKeyPressure { channel, key: *key, value: *value },
        (0xB0, [ctrl, value]) => MidiEvent::ControlChange { channel, ctrl: *ctrl, value: *value },
        (0xC0, [program_id]) => MidiEvent::ProgramChange { channel, program_id: *program_id },
        (0xD0, [value]) => MidiEvent::ChannelPressure { channel, value: *value },
        (0xE0, [low, high]) => MidiEvent::PitchBend { channel, value: u16::from(*high) << 7 | u16::from(*low) },
        _ => return None,
    })
}

impl Engine for OxiSynth {
    fn midi(&mut self, message: &[u8]) {
        if let Some(event) = event(message) {
            // It refuses the end of a note that does not sound, which is no failure.
            let _ = self.synth.send_event(event);
        }
    }

    fn render(&mut self, frames: usize) {
        self.rendered = frames;
        self.synth.write((&mut self.left[..frames], &mut self.right[..frames]));
    }

    fn energy(&self) -> f64 {
        energy(self.left[..self.rendered].iter().chain(&self.right[..self.rendered]))
    }

    fn left(&self) -> Vec<f32> {
        self.left[..self.rendered].to_vec()
    }

    fn voices(&self) -> Option<u32> {
        None
    }
}
