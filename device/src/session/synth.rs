//! Keeps a session's synthesizer with its downloads, volumes and priorities, so that it can be rebuilt with other settings.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::limits::DOWNLOAD_MEMORY_BYTES;
use dls_synth::{
    Bank, ConfigError, DownloadError, DownloadHandle, SoundingVoice, Synth, SynthConfig, UnknownHandle, Unload,
    VolumeItem,
};

/// A synthesizer, its downloads and its volumes.
///
/// The sample rate and the number of voices are fixed for a synthesizer, but a driver may change them after it
/// has downloaded: the downloads go from one synthesizer to the next.
pub struct SessionSynth {
    bank: Arc<Bank>,
    config: SynthConfig,
    synth: Synth,
    volume: [Option<i32>; 2],
    notes_lost_before: u64,
    voice_changes_before: u64,
}

impl SessionSynth {
    /// A synthesizer without downloads.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration is out of range.
    pub fn new(config: SynthConfig, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        let mut synth = Synth::new(config, Arc::clone(&bank))?;
        synth.set_download_memory(DOWNLOAD_MEMORY_BYTES);
        Ok(Self { bank, config, synth, volume: [None; 2], notes_lost_before: 0, voice_changes_before: 0 })
    }

    /// Returns the settings in force.
    #[must_use]
    pub const fn config(&self) -> SynthConfig {
        self.config
    }

    /// Changes the settings. Downloads, volumes and priorities stay; voices end and channels start afresh.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration is out of range; nothing has changed then.
    pub fn reconfigure(&mut self, config: SynthConfig) -> Result<(), ConfigError> {
        if config == self.config {
            return Ok(());
        }
        let mut synth = Synth::new(config, Arc::clone(&self.bank))?;
        synth.take_downloads(&mut self.synth);
        for group in 0..config.channel_groups.min(self.config.channel_groups) {
            for channel in 0..16 {
                if let Some(priority) = self.synth.voice_priority(group, channel) {
                    let _ = synth.set_voice_priority(group, channel, priority);
                }
            }
        }
        for (item, value) in [VolumeItem::Volume, VolumeItem::Boost].into_iter().zip(self.volume) {
            if let Some(value) = value {
                synth.set_volume(item, value);
            }
        }
        self.notes_lost_before = self.notes_lost();
        // One more: the voices of the one before have ended.
        self.voice_changes_before = self.voice_changes().saturating_add(1);
        self.synth = synth;
        self.config = config;
        Ok(())
    }

    /// Returns the synthesizer, for messages and frames.
    pub const fn synth(&mut self) -> &mut Synth {
        &mut self.synth
    }

    /// Returns the number of voices that sound.
    #[must_use]
    pub fn active_voices(&self) -> u32 {
        self.synth.active_voices()
    }

    /// Returns a number that grows whenever a voice starts or ends.
    #[must_use]
    pub fn voice_changes(&self) -> u64 {
        self.voice_changes_before.saturating_add(self.synth.voice_changes())
    }

    /// Iterates over the voices that sound, in the order of their lanes.
    pub fn voices(&self) -> impl Iterator<Item = SoundingVoice> {
        self.synth.voices()
    }

    /// Returns the number of notes lost since the session began.
    #[must_use]
    pub fn notes_lost(&self) -> u64 {
        self.notes_lost_before.saturating_add(self.synth.notes_lost())
    }

    /// Returns the bytes free for downloads.
    #[must_use]
    pub fn free_download_memory(&self) -> u32 {
        self.synth.free_download_memory()
    }

    /// Returns how many downloads are held.
    #[must_use]
    pub fn downloads(&self) -> usize {
        self.synth.downloads()
    }

    /// Takes a download, and returns its handle. The buffer itself is not kept; what is kept of it is charged to the
    /// download memory.
    ///
    /// # Errors
    /// [`DownloadError`], when the buffer is malformed or does not fit, with the reason and the byte.
    pub fn download(&mut self, buffer: &[u8]) -> Result<u32, DownloadError> {
        self.synth.download(buffer).map(DownloadHandle::get)
    }

    /// Unloads a download, at once or when its last voice has ended.
    ///
    /// # Errors
    /// [`UnknownHandle`], when no download has this handle, or it has been unloaded.
    pub fn unload(&mut self, handle: u32) -> Result<Unload, UnknownHandle> {
        self.synth.unload(DownloadHandle::from_number(handle).ok_or(UnknownHandle)?)
    }

    /// Returns the next download whose pending unload is done.
    pub fn take_unloaded(&mut self) -> Option<u32> {
        self.synth.take_unloaded().map(DownloadHandle::get)
    }

    /// Sets a volume.
    pub fn set_volume(&mut self, item: VolumeItem, hundredths_db: i32) {
        match item {
            VolumeItem::Volume => self.volume[0] = Some(hundredths_db),
            VolumeItem::Boost => self.volume[1] = Some(hundredths_db),
        }
        self.synth.set_volume(item, hundredths_db);
    }
}
