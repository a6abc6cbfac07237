//! The synthesizer: messages in, frames out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bank::Bank;
use crate::config::{ConfigError, SynthConfig};
use crate::handles::{
    DownloadError, DownloadErrorReason, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem,
};
use crate::limits::{DOWNLOAD_MEMORY_DEFAULT, VOLUME_RANGE};

/// A DLS synthesizer. It has no clock: time is the count of frames rendered since it was made or reset.
pub struct Synth {
    config: SynthConfig,
    _bank: Arc<Bank>,
    tones: Vec<Tone>,
    priorities: HashMap<(u16, u8), u32>,
    volume: [i32; 2],
    download_memory: u32,
}

struct Tone {
    group: u16,
    channel: u8,
    key: u8,
    phase: f64,
    step: f64,
    level: f32,
}

impl Synth {
    /// Makes a synthesizer that plays from `bank`.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration is out of range.
    pub fn new(config: SynthConfig, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            _bank: bank,
            tones: Vec::new(),
            priorities: HashMap::new(),
            volume: [0, 600],
            download_memory: DOWNLOAD_MEMORY_DEFAULT,
        })
    }

    /// Ends all voices and puts every channel, priority and volume in its first state. Downloads stay.
    pub fn reset(&mut self) {
        self.tones.clear();
        self.priorities.clear();
        self.volume = [0, 600];
    }

    /// Ends all voices at once, and resets all controllers. Programs stay.
    pub fn all_sound_off(&mut self) {
        self.tones.clear();
    }

    /// Takes one MIDI message, or one whole system-exclusive message, for a channel group (from 0). It takes effect
    /// exactly at the next frame rendered. Whatever is not a message, or for a group that is not there, is ignored.
    pub fn midi(&mut self, group: u16, message: &[u8]) {
        if group >= self.config.channel_groups {
            return;
        }
        match *message {
            [status @ 0x80..=0x9F, key @ 0..=127, velocity @ 0..=127] => {
                let channel = status & 15;
                self.tones.retain(|t| (t.group, t.channel, t.key) != (group, channel, key));
                if status >= 0x90 && velocity > 0 && self.tones.len() < usize::from(self.config.voices) {
                    let frequency = 440.0 * libm::exp2((f64::from(key) - 69.0) / 12.0);
                    let step = frequency / f64::from(self.config.sample_rate);
                    let level = f32::from(velocity) / 2540.0;
                    self.tones.push(Tone { group, channel, key, phase: 0.0, step, level });
                }
            }
            _ => {}
        }
    }

    /// Renders the next frames, of any number, over whatever `out` holds. Full scale is 1.0; there is no clipping.
    pub fn render(&mut self, out: &mut [[f32; 2]]) {
        for frame in out {
            let mut sum = 0.0;
            for tone in &mut self.tones {
                sum += libm::sin(tone.phase * core::f64::consts::TAU) as f32 * tone.level;
                tone.phase = (tone.phase + tone.step) % 1.0;
            }
            *frame = [sum, sum];
        }
    }

    /// Renders the next frames as 16-bit samples: rounded to nearest, clipped, not dithered.
    pub fn render_i16(&mut self, out: &mut [[i16; 2]]) {
        let mut block = [[0.0; 2]; 256];
        for part in out.chunks_mut(block.len()) {
            self.render(&mut block[..part.len()]);
            for (frame, from) in part.iter_mut().zip(&block) {
                *frame = from.map(|x| (x * 32768.0).round_ties_even() as i16);
            }
        }
    }

    /// Voices that sound, released ones included.
    #[must_use]
    pub fn active_voices(&self) -> u32 {
        self.tones.len() as u32
    }

    /// Notes that were not played, or cut short, for want of a voice, since the synthesizer was made or reset.
    #[must_use]
    pub fn notes_lost(&self) -> u64 {
        0
    }

    /// Takes a DirectMusic download buffer: an instrument or a wave.
    ///
    /// # Errors
    /// [`DownloadError`], with the reason and the place. Nothing is kept then.
    pub fn download(&mut self, buffer: &[u8]) -> Result<DownloadHandle, DownloadError> {
        let reason = if buffer.len() < 16 { DownloadErrorReason::Header } else { DownloadErrorReason::Unsupported };
        Err(DownloadError { reason, offset: 0 })
    }

    /// Gives a download back.
    ///
    /// # Errors
    /// [`UnknownHandle`], when there is no such download, or it was unloaded before.
    pub fn unload(&mut self, _handle: DownloadHandle) -> Result<Unload, UnknownHandle> {
        Err(UnknownHandle)
    }

    /// The next download whose unload was [`Unload::Pending`] and is done now.
    pub fn take_unloaded(&mut self) -> Option<DownloadHandle> {
        None
    }

    /// Bytes that downloads may still take.
    #[must_use]
    pub fn free_download_memory(&self) -> u32 {
        self.download_memory
    }

    /// Sets how many bytes downloads may take in all. What is held stays, even if it is more.
    pub fn set_download_memory(&mut self, bytes: u32) {
        self.download_memory = bytes;
    }

    /// Ends every voice that sounds from a download, and forgets all downloads.
    pub fn clear_downloads(&mut self) {}

    /// The voice priority of a channel (`DAUD_*_VOICE_PRIORITY`); `None` when there is no such channel.
    #[must_use]
    pub fn voice_priority(&self, group: u16, channel: u8) -> Option<u32> {
        const OFFSETS: [u32; 16] = [0xE, 0xD, 0xC, 0xB, 0xA, 9, 8, 7, 6, 0xF, 5, 4, 3, 2, 1, 0];
        let offset = OFFSETS.get(usize::from(channel)).filter(|_| group < self.config.channel_groups)?;
        Some(self.priorities.get(&(group, channel)).copied().unwrap_or(0x8000_0000 | offset))
    }

    /// Sets the voice priority of a channel.
    ///
    /// # Errors
    /// [`UnknownChannel`], when there is no such channel.
    pub fn set_voice_priority(&mut self, group: u16, channel: u8, priority: u32) -> Result<(), UnknownChannel> {
        self.voice_priority(group, channel).ok_or(UnknownChannel { group, channel })?;
        self.priorities.insert((group, channel), priority);
        Ok(())
    }

    /// Sets one of the two volumes that add, in 1/100 dB, clamped to [`VOLUME_RANGE`].
    pub fn set_volume(&mut self, item: VolumeItem, hundredths_db: i32) {
        self.volume[item as usize] = hundredths_db.clamp(*VOLUME_RANGE.start(), *VOLUME_RANGE.end());
    }
}
