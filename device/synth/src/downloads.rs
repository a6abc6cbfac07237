//! The downloads of a driver: waves by their download ids, instruments by patch, and the number of voices that still
//! sound from each.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::dls::collection::{Patch, Wave};
use crate::dls::download::{Download, parse};
use crate::handles::{DownloadError, DownloadErrorReason, DownloadHandle, UnknownHandle, Unload};
use crate::limits::{DOWNLOAD_MEMORY_DEFAULT, DOWNLOADS_MAX};
use crate::program::Program;
use crate::voice::zone::WaveSource;

/// Bytes that a download costs besides its data, so that empty ones are not free.
const OVERHEAD_BYTES: usize = 256;

enum Content {
    Wave {
        id: u32,
        wave: Arc<Wave>,
    },
    Instrument {
        patch: Patch,
        general_midi: bool,
        program: Arc<Program>,
    },
    /// Held, and given back: nothing plays it.
    WaveArticulation,
}

struct Entry {
    content: Content,
    bytes: usize,
    /// Voices that sound from it.
    sounding: u32,
    /// Unloaded, and kept for those voices only.
    leaving: bool,
}

/// The downloads of one synthesizer.
pub(crate) struct Downloads {
    entries: HashMap<u32, Entry>,
    /// Handles by patch, oldest first.
    patches: HashMap<Patch, Vec<u32>>,
    /// Handles by download id.
    waves: HashMap<u32, u32>,
    /// Pending unloads that are done and not yet taken, oldest first. It has room for all that may come, since they
    /// come while frames are rendered, which must take no memory.
    unloaded: VecDeque<DownloadHandle>,
    /// The number of the newest of them still in `entries`: rendering must free no memory either, so that what
    /// has ended waits there for the next call that may.
    ended: usize,
    /// Unloads that are pending.
    pending: usize,
    last_handle: u32,
    memory: u32,
    used: usize,
}

impl Downloads {
    /// Makes an empty store.
    pub(crate) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            patches: HashMap::new(),
            waves: HashMap::new(),
            unloaded: VecDeque::new(),
            ended: 0,
            pending: 0,
            last_handle: 0,
            memory: DOWNLOAD_MEMORY_DEFAULT,
            used: 0,
        }
    }

    /// Takes a buffer. A wave with an id that is there already takes its place for instruments to come.
    pub(crate) fn add(&mut self, buffer: &[u8]) -> Result<DownloadHandle, DownloadError> {
        let memory = DownloadError { reason: DownloadErrorReason::Memory, offset: 0 };
        self.collect();
        // Samples are kept as 16 bits, so that an 8-bit wave may take twice its size: what is far too large is refused
        // before it is read, the rest when its size is known.
        if self.entries.len() >= DOWNLOADS_MAX || buffer.len() > self.free() as usize {
            return Err(memory);
        }
        let (content, bytes) = match parse(buffer)? {
            Download::Wave { id, wave } => {
                let bytes = wave.guarded().len().saturating_mul(size_of::<i16>());
                (Content::Wave { id, wave: Arc::new(wave) }, bytes)
            }
            Download::Instrument { instrument, general_midi, region_offsets } => {
                for (region, offset) in instrument.regions.iter().zip(region_offsets) {
                    if !self.waves.contains_key(&region.link.index) {
                        // DMUS_REGION.WaveLink.ulTableIndex
                        return Err(DownloadError {
                            reason: DownloadErrorReason::WaveLink,
                            offset: offset.saturating_add(32),
                        });
                    }
                }
                let program = Program::new(&instrument, |id| self.wave_of(id));
                let bytes = program.bytes();
                (Content::Instrument { patch: instrument.patch, general_midi, program: Arc::new(program) }, bytes)
            }
            Download::WaveArticulation { buffers } => {
                if let Some((_, offset)) = buffers.iter().find(|(id, _)| !self.waves.contains_key(id)) {
                    return Err(DownloadError { reason: DownloadErrorReason::WaveLink, offset: *offset });
                }
                (Content::WaveArticulation, buffer.len())
            }
        };
        let bytes = bytes.saturating_add(OVERHEAD_BYTES);
        if bytes > self.free() as usize {
            return Err(memory);
        }
        let handle = self.next_handle();
        match &content {
            Content::Wave { id, .. } => _ = self.waves.insert(*id, handle.get()),
            Content::Instrument { patch, .. } => self.patches.entry(*patch).or_default().push(handle.get()),
            Content::WaveArticulation => {}
        }
        self.used = self.used.saturating_add(bytes);
        self.entries.insert(handle.get(), Entry { content, bytes, sounding: 0, leaving: false });
        Ok(handle)
    }

    fn wave_of(&self, id: u32) -> Option<(Arc<Wave>, WaveSource)> {
        let handle = *self.waves.get(&id)?;
        Some((self.wave(handle)?, WaveSource::Download(handle)))
    }

    fn next_handle(&mut self) -> DownloadHandle {
        loop {
            self.last_handle = self.last_handle.wrapping_add(1);
            if let Some(handle) = DownloadHandle::from_number(self.last_handle)
                && !self.entries.contains_key(&self.last_handle)
            {
                return handle;
            }
        }
    }

    /// Returns a wave that is not unloaded, by its handle.
    pub(crate) fn wave(&self, handle: u32) -> Option<Arc<Wave>> {
        match self.entries.get(&handle)? {
            Entry { content: Content::Wave { wave, .. }, leaving: false, .. } => Some(wave.clone()),
            _ => None,
        }
    }

    /// Returns the instrument of a patch: the newest that is not of the General MIDI set, else the newest that is.
    pub(crate) fn program(&self, patch: &Patch) -> Option<(u32, Arc<Program>)> {
        let found = |wanted_general_midi: bool| {
            self.patches.get(patch)?.iter().rev().find_map(|handle| match &self.entries.get(handle)?.content {
                Content::Instrument { general_midi, program, .. } if *general_midi == wanted_general_midi => {
                    Some((*handle, program.clone()))
                }
                _ => None,
            })
        };
        found(false).or_else(|| found(true))
    }

    /// Gives a download back, now or when its last voice has ended.
    pub(crate) fn remove(&mut self, handle: DownloadHandle) -> Result<Unload, UnknownHandle> {
        self.collect();
        let entry = self.entries.get_mut(&handle.get()).filter(|entry| !entry.leaving).ok_or(UnknownHandle)?;
        entry.leaving = true;
        let sounding = entry.sounding;
        match &entry.content {
            Content::Wave { id, .. } => {
                if self.waves.get(id) == Some(&handle.get()) {
                    self.waves.remove(id);
                }
            }
            Content::Instrument { patch, .. } => {
                if let Some(handles) = self.patches.get_mut(patch) {
                    handles.retain(|other| *other != handle.get());
                    if handles.is_empty() {
                        self.patches.remove(&patch.clone());
                    }
                }
            }
            Content::WaveArticulation => {}
        }
        if sounding > 0 {
            self.pending = self.pending.saturating_add(1);
            self.unloaded.reserve(self.pending);
            return Ok(Unload::Pending);
        }
        if let Some(entry) = self.entries.remove(&handle.get()) {
            self.used = self.used.saturating_sub(entry.bytes);
        }
        Ok(Unload::Done)
    }

    /// Gives back what has ended since this was last called.
    fn collect(&mut self) {
        for handle in self.unloaded.iter().rev().take(self.ended) {
            self.entries.remove(&handle.get());
        }
        self.ended = 0;
    }

    /// Counts a voice that begins to sound from these handles.
    pub(crate) fn begin(&mut self, handles: [u32; 2]) {
        for handle in handles {
            if let Some(entry) = self.entries.get_mut(&handle) {
                entry.sounding = entry.sounding.saturating_add(1);
            }
        }
    }

    /// Uncounts a voice that has ended. Allocates and frees no memory; downloads that were kept for the voice alone
    /// count as free from now on.
    pub(crate) fn end(&mut self, handles: [u32; 2]) {
        for handle in handles {
            let Some(entry) = self.entries.get_mut(&handle) else { continue };
            entry.sounding = entry.sounding.saturating_sub(1);
            if entry.leaving && entry.sounding == 0 {
                self.used = self.used.saturating_sub(entry.bytes);
                self.pending = self.pending.saturating_sub(1);
                self.ended = self.ended.saturating_add(1);
                self.unloaded.extend(DownloadHandle::from_number(handle));
            }
        }
    }

    /// Takes the next download whose pending unload is done, and frees what is no longer used.
    pub(crate) fn take_unloaded(&mut self) -> Option<DownloadHandle> {
        self.collect();
        self.unloaded.pop_front()
    }

    /// Returns how many downloads are held, without those whose voices have ended.
    pub(crate) fn len(&self) -> usize {
        self.entries.len().saturating_sub(self.ended)
    }

    /// Returns how many bytes downloads may still take.
    pub(crate) fn free(&self) -> u32 {
        (self.memory as usize).saturating_sub(self.used) as u32
    }

    /// Sets the bytes that downloads may take.
    pub(crate) fn set_memory(&mut self, bytes: u32) {
        self.memory = bytes;
    }

    /// Drops all downloads. No voice may sound from one any more.
    pub(crate) fn clear(&mut self) {
        let memory = self.memory;
        *self = Self::new();
        self.memory = memory;
    }
}
