//! The synthesizer with what a session has put into it, so that it can be rebuilt with other settings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use card_spec::limits::DOWNLOAD_MEMORY_BYTES;
use dls_synth::{
    Bank, ConfigError, DownloadError, DownloadHandle, Synth, SynthConfig, UnknownHandle, Unload, VolumeItem,
};

/// A download as the driver knows it.
struct Held {
    bytes: Arc<[u8]>,
    inner: DownloadHandle,
    unloading: bool,
}

/// A synthesizer, its downloads and its volumes.
///
/// The sample rate and the number of voices are fixed for a synthesizer's life, but a driver may change them after it
/// has downloaded. So the download buffers are kept, and the driver's handles are the card's own.
pub struct SessionSynth {
    bank: Arc<Bank>,
    config: SynthConfig,
    synth: Synth,
    downloads: BTreeMap<u32, Held>,
    last_handle: u32,
    /// Pending unloads that the synthesizer of an earlier setting took with it.
    unloaded: VecDeque<u32>,
    volume: [Option<i32>; 2],
    notes_lost_before: u64,
}

impl SessionSynth {
    /// A synthesizer without downloads.
    ///
    /// # Errors
    /// A configuration out of range.
    pub fn new(config: SynthConfig, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        let synth = make(config, &bank)?;
        Ok(Self {
            bank,
            config,
            synth,
            downloads: BTreeMap::new(),
            last_handle: 0,
            unloaded: VecDeque::new(),
            volume: [None; 2],
            notes_lost_before: 0,
        })
    }

    /// The settings in force.
    #[must_use]
    pub const fn config(&self) -> SynthConfig {
        self.config
    }

    /// Changes the settings. Downloads, volumes and priorities stay; voices end and channels start afresh.
    ///
    /// # Errors
    /// A configuration out of range; nothing has changed then.
    pub fn reconfigure(&mut self, config: SynthConfig) -> Result<(), ConfigError> {
        if config == self.config {
            return Ok(());
        }
        let mut synth = make(config, &self.bank)?;
        // In the order of the handles, which is the order of download: an instrument follows its waves.
        self.downloads.retain(|handle, held| {
            if held.unloading {
                self.unloaded.push_back(*handle);
                return false;
            }
            match synth.download(&held.bytes) {
                Ok(inner) => {
                    held.inner = inner;
                    true
                }
                Err(error) => {
                    log::error!("download {handle} was lost when the synthesizer changed its settings: {error}");
                    false
                }
            }
        });
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
        self.notes_lost_before += self.synth.notes_lost();
        self.synth = synth;
        self.config = config;
        Ok(())
    }

    /// The synthesizer, for messages and frames.
    pub const fn synth(&mut self) -> &mut Synth {
        &mut self.synth
    }

    /// Voices that sound.
    #[must_use]
    pub fn active_voices(&self) -> u32 {
        self.synth.active_voices()
    }

    /// Notes lost since the session began.
    #[must_use]
    pub fn notes_lost(&self) -> u64 {
        self.notes_lost_before + self.synth.notes_lost()
    }

    /// Bytes free for downloads.
    #[must_use]
    pub fn free_download_memory(&self) -> u32 {
        self.synth.free_download_memory()
    }

    /// How many downloads are held.
    #[must_use]
    pub fn downloads(&self) -> usize {
        self.downloads.len()
    }

    /// Takes a download; its handle.
    ///
    /// # Errors
    /// Why the buffer was refused.
    pub fn download(&mut self, buffer: &[u8]) -> Result<u32, DownloadError> {
        let inner = self.synth.download(buffer)?;
        self.last_handle = self.last_handle.wrapping_add(1).max(1);
        while self.downloads.contains_key(&self.last_handle) {
            self.last_handle = self.last_handle.wrapping_add(1).max(1);
        }
        self.downloads.insert(self.last_handle, Held { bytes: buffer.into(), inner, unloading: false });
        Ok(self.last_handle)
    }

    /// Gives a download back.
    ///
    /// # Errors
    /// There is none of this handle, or it has been given back.
    pub fn unload(&mut self, handle: u32) -> Result<Unload, UnknownHandle> {
        let held = self.downloads.get_mut(&handle).filter(|held| !held.unloading).ok_or(UnknownHandle)?;
        let how = self.synth.unload(held.inner)?;
        match how {
            Unload::Done => {
                self.downloads.remove(&handle);
            }
            Unload::Pending => {
                held.unloading = true;
                held.bytes = Arc::from([]);
            }
        }
        Ok(how)
    }

    /// The next download whose pending unload is done.
    pub fn take_unloaded(&mut self) -> Option<u32> {
        if let Some(handle) = self.unloaded.pop_front() {
            return Some(handle);
        }
        let inner = self.synth.take_unloaded()?;
        let (&handle, _) = self.downloads.iter().find(|(_, held)| held.unloading && held.inner == inner)?;
        self.downloads.remove(&handle);
        Some(handle)
    }

    /// Sets a volume.
    pub fn set_volume(&mut self, item: VolumeItem, hundredths_db: i32) {
        self.volume[item as usize] = Some(hundredths_db);
        self.synth.set_volume(item, hundredths_db);
    }
}

fn make(config: SynthConfig, bank: &Arc<Bank>) -> Result<Synth, ConfigError> {
    let mut synth = Synth::new(config, Arc::clone(bank))?;
    synth.set_download_memory(DOWNLOAD_MEMORY_BYTES);
    Ok(synth)
}
